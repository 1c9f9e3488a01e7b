"""``simulate``: what another policy would have decided."""

from collections.abc import Sequence
from typing import Any

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import simulate
from ..policies import changes
from ..report import window_of
from ..shared import print_lines, reading


def _changes(_: click.Context, __: click.Parameter, told: Sequence[str]) -> dict[str, Any]:
    return changes(told)


@click.command("simulate", cls=Command)
@click.option(
    "--set", "changed", metavar="KEY=VALUE", multiple=True, required=True, callback=_changes,
    help="A setting of emperor, as throttle=5s. Repeatable.",
)  # fmt: skip
@click.option("--since", type=TIME, metavar="T", help="Only from then on.")
@click.option("--until", type=TIME, metavar="T", help="Only up to then.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@reading
def command(
    reader: Reader,
    changed: dict[str, Any],
    since: Moment | None,
    until: Moment | None,
    as_json: bool,
) -> None:
    """Decide again by another policy, and tell the differences.

    These are starts, delays, their order and kills. Settings are throttle, max-throttle, forgive,
    required-heartbeat, mercy, max-starting, start-patience, rollback, rollout, rollout-failures and
    record-budget. docs/replay.md says what the answer cannot know.
    """
    window = window_of(reader, since, until)
    fleet, facts = simulate.facts_of(reader, window)
    model = simulate.Run(fleet, facts, {}, window.until)
    model.run()
    other = simulate.Run(fleet, facts, changed, window.until)
    other.run()
    found = simulate.Comparison(facts, model, other)
    if as_json:
        write([escapes.encode(found.as_json()), b"\n"])
    else:
        print_lines(found.lines())
