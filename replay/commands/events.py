"""``events``: the raw record, one event a line."""

from collections.abc import Sequence

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import listing
from ...journal.events import KINDS
from ..event_lines import tell
from ..following import follow_option
from ..hosts import HostReader
from ..selecting import Selection, filters, lines_option
from ..shared import reading_all


@click.command("events", cls=Command)
@follow_option
@lines_option
@listing(json="jsonl")
@reading_all
@filters(tuple(KINDS), requests=True)
def command(
    hosts: Sequence[HostReader], which: Selection, form: str, lines: int | None, following: bool
) -> int:
    """The raw record, one event a line.

    NAME is a vassal or a pattern ('app-*'). -f begins with the last 10 events, unless -n or
    a period is told, and ends with ^C.
    """
    return tell(hosts, which, form, lines, following)
