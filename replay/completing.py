"""The names that ``emperor-replay`` completes: the vassals and sources of the journals.

A command of ``emperor-ctl`` that has the same options completes what the daemon tells.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from ..daemon.cli import completion
from ..daemon.client import completing
from ..journal.places import default_journal
from ..journal.reading import Reader, open_journal
from . import hosts
from .names import known
from .sources import Sources


def journals(told: Sequence[str]) -> Sequence[str]:
    """The journals that are told, else that of the environment, else the default one."""
    return told or (os.environ.get("EMPEROR_JOURNAL") or default_journal(),)


def _readers(ctx: click.Context) -> Iterator[Reader]:
    for source in hosts.sources(journals(ctx.find_root().params.get("journals") or ())):
        with open_journal(source.path) as reader:
            yield reader


def _asks(ctx: click.Context) -> bool:
    return "control" in ctx.find_root().params


def _vassals(ctx: click.Context) -> Iterable[str]:
    if _asks(ctx):
        return completing.vassals(ctx)
    return sorted({name for reader in _readers(ctx) for name in known(reader)})


def _sources(ctx: click.Context) -> Iterable[str]:
    if _asks(ctx):
        return completing.sources(ctx)
    return sorted({name for reader in _readers(ctx) for name in Sources.of(reader).names()})


VASSALS: Final = completion.looked_up(_vassals)
SOURCES: Final = completion.looked_up(_sources)
