"""``history``: deploys, and what became of each."""

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...journal.deploys import DEPLOYS
from ...journal.reading import Reader
from ...journal.selection import Filter
from .. import deploys
from ..shared import filters, print_lines, reading
from ..sources import Sources


@click.command("history", cls=Command)
@click.option("--full", is_flag=True, help="Fold all events, without what the daemon concluded.")
@listing()
@reading
@filters(DEPLOYS)
def command(reader: Reader, which: Filter, form: str, full: bool) -> None:
    """Deploys: what came, from where, and what became of it."""
    found = deploys.deploys(reader, which, full)
    if form != "short":
        write(formatted(form, deploys.COLUMNS, map(deploys.deploy_record, found)))
        return
    first = next(found, None)
    if first is None:
        click.echo("no deploys", err=True)
        return
    sources = Sources.of(reader)
    print_lines([deploys.HEAD, deploys.line(first, sources)])
    print_lines(deploys.line(deploy, sources) for deploy in found)
