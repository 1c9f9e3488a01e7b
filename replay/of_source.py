"""The option ``--monitor`` of commands that answer for vassals: those of one source.

A vassal is of a source if that source has ever deployed it. A source that lost a vassal to another
one still has it in its past, so its history is told, too.
"""

from collections.abc import Callable, Iterable
from typing import Any

import click

from ..daemon.cli.name_arguments import text_of
from ..journal.deploys import DEPLOYED
from ..journal.reading import Reader
from ..monitors.names import shown
from . import completing
from .names import chosen, known
from .rebuild import NotFound, base
from .sources import Sources


def monitor_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option; the function gets it as ``monitor``, None unless it is told."""
    return click.option(
        "--monitor", metavar="M", callback=text_of, shell_complete=completing.SOURCES,
        help="Only from this source: its URL or short name.",
    )(command)  # fmt: skip


def url_of(reader: Reader, told: str | None) -> str | None:
    """The URL of a source, by its URL or the name that this journal has for it. Raises NotFound."""
    return told and Sources.of(reader).url(reader, told)


def vassals_of(reader: Reader, url: str) -> frozenset[str]:
    """The vassals that a source has deployed, or had before the journal begins."""
    kinds = ", ".join("?" * len(DEPLOYED))
    query = f"SELECT DISTINCT vassal FROM event WHERE monitor = ? AND kind IN ({kinds})"
    if reader.has_deploys():  # a few events of many
        query += " AND seq IN (SELECT seq FROM deploy)"
    names = {name for (name,) in reader.fetch(query, url, *DEPLOYED) if name.__class__ is str}
    fleet, _ = base(reader, reader.anchor.seq)
    names.update(each.name for each in fleet.vassals.values() if each.monitor == url)
    return frozenset(names)


def none_in_period(told: str) -> NotFound:
    """The error where a source had no vassal in the period of a report."""
    return NotFound(f"no vassal of {shown(told)} is in the period")


def chosen_of(reader: Reader, told: Iterable[str], url: str | None) -> list[str]:
    """The vassals that are told by name or pattern, and are of a source. Raises NotFound.

    Without names, they are all of the source; without a source, of any.
    """
    told = list(told)
    names = chosen(reader, told) if told else known(reader)
    if url is None:
        return names
    its = vassals_of(reader, url)
    found = [name for name in names if name in its]
    if not found:
        which = " or ".join(map(shown, told)) if told else "a vassal here"
        raise NotFound(f"{Sources.of(reader).name(url)} never had {which}")
    return found
