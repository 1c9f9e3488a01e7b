"""``report``: time up, outages, and deploys, of each vassal and of the fleet."""

from fnmatch import fnmatchcase

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import report
from ..names import check_known
from ..shared import name_of, print_lines, reading


@click.command("report", cls=Command)
@click.argument("name", required=False, callback=name_of)
@click.option("--since", type=TIME, metavar="T", help="Only from then on.")
@click.option("--until", type=TIME, metavar="T", help="Only up to then.")
@click.option("--full", is_flag=True, help="Fold all events, and believe nothing that is stored.")
@listing()
@reading
def command(
    reader: Reader,
    name: str | None,
    since: Moment | None,
    until: Moment | None,
    full: bool,
    form: str,
) -> None:
    """Time up, outages and deploys of each vassal and of all; the four measures of DORA.

    NAME is a vassal or a pattern ('app-*'). docs/replay.md says how each number is computed, and
    what a journal cannot know.
    """
    if name is not None and not any(mark in name for mark in "*?["):
        check_known(reader, name)
    found = report.report(reader, since, until, full)
    answer = report.Answer(
        [(None, found)], lambda each: name is None or each == name or fnmatchcase(each, name)
    )
    if form == "short":
        print_lines(answer.lines())
    elif form == "json":
        write([escapes.encode(answer.as_json()), b"\n"])
    else:
        write(formatted(form, report.COLUMNS, answer.records()))
