"""``graph``: the causes of a vassal's phase as a tree."""

from collections.abc import Sequence
from itertools import chain

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import graph, line_styles, why
from ..altered_rows import complaint
from ..clocks import keep_utc
from ..of_source import monitor_option
from ..periods import period_of, period_options
from ..several import answers, meant
from ..shared import UNREADABLE, complain, print_lines, reading, some_names_argument

_FORMS = ("text", "dot", "svg", "json")


@click.command("graph", cls=Command)
@some_names_argument
@click.option("--at", type=TIME, metavar="T", help="As it was at this time.")
@period_options("Only events since then; a line stands for each earlier cause.")
@monitor_option
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(_FORMS),
    metavar="FORMAT",
    help="text (the default), dot (for Graphviz), svg or json.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: -o json.")
@reading
def command(
    reader: Reader, names: Sequence[str], at: Moment | None, since: Moment | None,
    until: Moment | None, monitor: str | None, form: str | None, as_json: bool,
) -> int:  # fmt: skip
    """The causes of a vassal's present phase as a tree. NAME may be a pattern ('app-*').

    It has the events of why. A solid line leads from a cause, a dotted one from a state that was
    met. With --since it has those of the period, and '… caused by event N, before the period' where
    a cause is older.
    """
    if as_json or form not in (None, "text"):
        keep_utc()
    if as_json and form not in (None, "json"):
        raise click.UsageError("--json is -o json; give one of them")
    period = period_of(reader, since, until, at)
    chosen, several = meant(reader, names, monitor)
    stories = why.Stories(reader, chosen, period.upto)
    found = list(answers(chosen, lambda name: graph.graph(stories.tell(name), period)))
    if as_json or form == "json":
        records = [graph.record(told) for told in found]
        write([escapes.encode(records if several else records[0]), b"\n"])
    elif form == "svg" and len(found) > 1:
        raise click.UsageError(f"a picture is of one vassal; {' '.join(names)} means {len(found)}")
    else:
        draw = {"dot": graph.dot, "svg": graph.svg}.get(form or "", graph.text)
        for place, told in enumerate(found):
            lines = draw(told)
            lines = line_styles.cut(lines) if draw is graph.text else lines
            print_lines(chain([""] if place else [], lines))
    altered = [seq for told in found for seq in told.altered]
    return complain(complaint(reader, altered), UNREADABLE) if altered else 0
