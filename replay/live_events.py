"""``emperor-ctl events``, also ``tail``: the journal of a running daemon, and what it writes next.

The daemon says which journal it writes. This program reads it, so it misses nothing when the daemon
dies or is upgraded, and needs no daemon to go on. The file is here for the reason that
``live_why.py`` gives.
"""

import os
from collections.abc import Sequence

import click
from msgspec.structs import replace

from ..daemon.cli import commandline
from ..daemon.cli.option_types import whole
from ..daemon.cli.tables import listing
from ..daemon.client.asking import REFUSED, ask, end
from ..journal.events import KINDS
from ..journal.times import EventNumber
from ..monitors.names import shown
from .event_lines import tell
from .following import follow_option
from .hosts import HostReader, Source
from .live_why import journal_of
from .rebuild import NotFound
from .selecting import Selection, filters, lines_option
from .shared import PROGRAM, SOURCES, reading_all


@click.command("events", cls=commandline.Command)
@follow_option
@lines_option
@click.option(
    "--after", type=whole(0), metavar="SEQ",
    help="Only those behind this event: go on where another run has ended.",
)  # fmt: skip
@listing(json="jsonl")
@filters(tuple(KINDS), requests=True)
@click.pass_context
def command(
    context: click.Context, which: Selection, form: str, lines: int | None, following: bool,
    after: int | None,
) -> None:  # fmt: skip
    """The record as the daemon writes it, one event a line.

    tail is another word for it. NAME is a vassal or a pattern ('app-*'). -f begins with the last 10
    events, unless -n, --after or a period is told, and ends with ^C. It misses nothing while the
    daemon dies, or is upgraded.
    """
    if after is not None:
        if which.since is not None:
            raise click.UsageError("--after and --since both say where it begins; give one of them")
        which = replace(which, since=EventNumber(after + 1))
    journal = journal_of(ask(context.obj, {"do": "status"})["status"])
    if not _may_read(journal):
        end(
            REFUSED,
            f"{shown(journal)}: this user may not read the daemon's journal; ask as root or as the"
            " daemon's user",
        )
    context.meta[SOURCES] = [Source(None, journal)]
    context.meta[PROGRAM] = "emperor-ctl"
    _tell(which, form, lines, following, after)


def _may_read(journal: str) -> bool:
    """False where it is known that this user may not; a reader tells all else."""
    try:
        os.stat(journal)
    except OSError as error:
        return not isinstance(error, PermissionError)
    return os.access(journal, os.R_OK)


@reading_all
def _tell(
    hosts: Sequence[HostReader], which: Selection, form: str, lines: int | None, following: bool,
    after: int | None,
) -> int:  # fmt: skip
    if after is not None:
        _check(hosts[0], after)
    return tell(hosts, which, form, lines, following)


def _check(host: HostReader, after: int) -> None:
    """Raise NotFound where the events behind this one are not all in the journal."""
    reader = host.reader
    first, last = reader.anchor.seq, reader.head.seq
    if after > last:
        raise NotFound(f"{reader.path} ends with event {last}: --after {after} is of another one")
    if after < first:
        raise NotFound(
            f"{reader.path}: the events up to {first} are in an archive; say --after {first}, and"
            " read those before with emperor-replay --journal ARCHIVE events"
        )
