"""The names that ``emperor-ctl`` completes: the vassals and sources of the running daemon."""

import os
from collections.abc import Iterator
from typing import Any, Final

import click

from ...journal.places import default_journal
from ..cli import completion
from .asking import exchanged


def socket_of(told: str | None) -> str:
    """The control socket: the one that is told, else the one beside the default journal."""
    return told or _beside(default_journal())


def _beside(journal: str) -> str:
    """The control socket of a journal, which may be named by a symlink that the daemon was not."""
    sockets = [name + ".sock" for name in (journal, os.path.realpath(journal))]
    return next(filter(os.path.exists, sockets), sockets[0])


def _fleet(ctx: click.Context) -> dict[str, Any]:
    path = socket_of(ctx.find_root().params.get("control"))
    return exchanged(path, {"do": "list", "fields": ["name"]}, completion.LIMIT) or {}


def vassals(ctx: click.Context) -> Iterator[str]:
    """The vassals of the daemon. Raises where none answers."""
    return (vassal["name"] for vassal in _fleet(ctx)["vassals"])


def sources(ctx: click.Context) -> Iterator[str]:
    """The short names of its sources. Raises as ``vassals``."""
    return iter(_fleet(ctx)["sources"].values())


VASSALS: Final = completion.looked_up(vassals)
SOURCES: Final = completion.looked_up(sources)
