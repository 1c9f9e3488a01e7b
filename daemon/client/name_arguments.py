"""The arguments of ``emperor-ctl`` that are vassals or patterns (``app-*``)."""

from collections.abc import Callable
from typing import Any

import click

from ..cli.name_arguments import vassals_of
from .completing import VASSALS


def names_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument NAME..., which may be left out. The function gets ``names``."""
    return click.argument(
        "names", metavar="[NAME]...", nargs=-1, callback=vassals_of, shell_complete=VASSALS
    )(command)


def some_names_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument NAME..., one at least. The function gets ``names``."""
    return click.argument(
        "names", metavar="NAME...", nargs=-1, required=True, callback=vassals_of,
        shell_complete=VASSALS,
    )(command)  # fmt: skip
