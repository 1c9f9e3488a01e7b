"""``emperor-ctl list``: the fleet as it is, all of it or a part."""

import click

from ..cli import commandline
from ..cli.name_arguments import text_of
from ..cli.tables import formatted, listing, write
from ..cli.vassals import FIELDS, table
from ..core.fleet import PHASES
from ..core.records import LIVE, vassal_columns
from . import choosing, completing
from .asking import REFUSED, ask, end
from .format import print_json
from .name_arguments import names_argument


@click.command("list", cls=commandline.Command)
@names_argument
@click.option(
    "--phase", "phases", type=click.Choice(PHASES), metavar="P", multiple=True,
    help=f"Only in this phase: {', '.join(PHASES)}. Repeatable.",
)  # fmt: skip
@click.option(
    "--monitor", metavar="M", callback=text_of, shell_complete=completing.SOURCES,
    help="Only from this source: its URL or short name.",
)  # fmt: skip
@click.option(
    "--sort", type=click.Choice(tuple(choosing.ORDERS)), metavar="KEY", default="name",
    help=f"By {', '.join(choosing.ORDERS)}.  [default: name]",
)  # fmt: skip
@click.option("-r", "--reverse", is_flag=True, help="In the other direction.")
@listing()
@click.pass_obj
def command(
    path: str, names: tuple[str, ...], phases: tuple[str, ...], monitor: str | None, sort: str,
    reverse: bool, form: str,
) -> None:  # fmt: skip
    """The fleet as it is. NAME is a vassal or a pattern ('app-*')."""
    fields = (*FIELDS, *choosing.FIELDS) if form == "short" else ()
    answer = ask(path, choosing.request(names, monitor, fields))
    sources = answer.get("sources", {})  # a daemon of a former version names none
    try:
        found = choosing.select(answer["vassals"], sources, names, phases, monitor)
    except choosing.Unknown as error:
        end(REFUSED, str(error))
    found = choosing.ordered(found, sort, reverse)
    if form == "json":
        print_json({**answer, "vassals": found})
    elif form != "short":
        write(formatted(form, (*vassal_columns(), *LIVE), found))
    else:
        commandline.page()
        for line in table(found, sources):
            print(line)
