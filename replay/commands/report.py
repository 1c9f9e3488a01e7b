"""``report``: time up, outages, and deploys, of each vassal and of the fleet."""

from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.name_arguments import vassal_of
from ...daemon.cli.nearest import is_pattern
from ...daemon.cli.tables import formatted, listing, write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import report
from ..completing import VASSALS
from ..hosts import HostReader
from ..mass_removals import MassRemoval, mass_removals
from ..names import check_known
from ..of_source import monitor_option, none_in_period, url_of
from ..rebuild import NotFound
from ..shared import check_times, in_any, print_lines, reading_all
from ..sources import Sources


def _removals(reader: Reader, since: Moment | None, until: Moment | None) -> list[MassRemoval]:
    with suppress(NotFound):  # of several journals, one may have no event in the period
        return mass_removals(reader, report.window_of(reader, since, until))
    return []


@click.command("report", cls=Command)
@click.argument("name", required=False, callback=vassal_of, shell_complete=VASSALS)
@click.option("--since", type=TIME, metavar="T", help="Only from then on.")
@click.option("--until", type=TIME, metavar="T", help="Only up to then.")
@click.option(
    "--sort", "order", type=click.Choice(["name", *report.ORDERS]), default="name",
    help="The worst first: by up, outages, mttr, longest, deaths, deploys, failed or lead."
    "  [default: name]", metavar="KEY",
)  # fmt: skip
@monitor_option
@click.option(
    "--full", is_flag=True, help="Fold all events, without the sums that a former report kept."
)
@listing()
@reading_all
def command(
    hosts: Sequence[HostReader],
    name: str | None,
    since: Moment | None,
    until: Moment | None,
    order: str,
    monitor: str | None,
    full: bool,
    form: str,
) -> None:
    """Time up, outages and deploys of each vassal and of all.

    The four measures of DORA are among them. NAME is a vassal or a pattern ('app-*').
    docs/replay.md says how each number is computed, and what a journal cannot know.
    """
    check_times(hosts, since, until)
    if name is not None and not is_pattern(name):
        in_any(hosts, lambda each: check_known(each.reader, name))
    urls = dict(in_any(hosts, lambda each: (each.host, url_of(each.reader, monitor))))
    asked = [each for each in hosts if each.host in urls]
    found = in_any(asked, lambda each: (each.host, report.report(each.reader, since, until, full)))

    def wanted(host: str | None, vassal: str, source: str | None) -> bool:
        its = monitor is None or source == urls[host]
        return its and (name is None or vassal == name or fnmatchcase(vassal, name))

    removals = [
        (each.host, one)
        for each in asked
        for one in _removals(each.reader, since, until)
        if any(wanted(each.host, vassal, one.monitor) for vassal in one.removed)
    ]
    answer = report.Answer(found, wanted, order, removals)
    if monitor is not None and not answer.vassals:
        raise none_in_period(monitor)
    if form == "short":
        sources = {each.host: Sources.of(each.reader) for each in hosts}
        print_lines(answer.lines(lambda host, url: sources[host].name(url) if url else "-"))
    elif form == "json":
        write([escapes.encode(answer.as_json()), b"\n"])
    else:
        write(formatted(form, report.COLUMNS, answer.records()))
