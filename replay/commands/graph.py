"""``graph``: the causes of a vassal's phase as a tree."""

import click

from ...daemon.cli import escapes
from ...daemon.cli.commandline import TIME, Command
from ...daemon.cli.tables import write
from ...journal.reading import Reader
from ...journal.times import Moment
from .. import graph, why
from ..rebuild import moment
from ..shared import UNREADABLE, complain, name_argument, print_lines, reading
from ..trust import complaint

_FORMS = ("text", "dot", "svg", "json")


@click.command("graph", cls=Command)
@name_argument
@click.option("--at", type=TIME, metavar="T", help="As it was at this time.")
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
def command(reader: Reader, name: str, at: Moment | None, form: str | None, as_json: bool) -> int:
    """The causes of a vassal's present phase as a tree.

    It has the events of why. A solid line leads from a cause, a dotted one from a state that was
    met.
    """
    if as_json and form not in (None, "json"):
        raise click.UsageError("--json is -o json; give one of them")
    told = why.tell(reader, name, moment(reader, at, None))
    if as_json or form == "json":
        write([escapes.encode(graph.record(told)), b"\n"])
    else:
        print_lines({"dot": graph.dot, "svg": graph.svg}.get(form or "", graph.text)(told))
    return complain(complaint(reader, told.altered), UNREADABLE) if told.altered else 0
