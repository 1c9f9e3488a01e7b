"""``history``: deploys, and what became of each."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import click

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...daemon.core.deploys import Deploy
from ...journal.deploys import DEPLOYS
from ...journal.reading import Reader
from .. import deploys
from ..hosts import HostReader, columns, lines, merged, records
from ..shared import filters, print_lines, reading_all
from ..sources import Sources

Tell = Callable[[Deploy], Any]


@click.command("history", cls=Command)
@click.option("--full", is_flag=True, help="Fold all events, without what the daemon concluded.")
@listing()
@reading_all
@filters(DEPLOYS)
def command(hosts: Sequence[HostReader], form: str, full: bool) -> None:
    """Deploys: what came, from where, and what became of it."""

    def told(tell: Callable[[Reader], Tell]) -> Iterator[tuple[str | None, Any]]:
        return merged((each.host, _timed(each, tell(each.reader), full)) for each in hosts)

    if form != "short":
        found = records(told(lambda _: deploys.deploy_record))
        write(formatted(form, columns(hosts, deploys.COLUMNS), found))
        return
    texts = told(_line)
    first = next(texts, None)
    if first is None:
        click.echo("no deploys", err=True)
        return
    head = None if first[0] is None else "HOST"
    print_lines(lines(hosts, chain([(head, deploys.HEAD), first], texts)))


def _line(reader: Reader) -> Tell:
    sources = Sources.of(reader)
    return lambda deploy: deploys.line(deploy, sources)


def _timed(each: HostReader, tell: Tell, full: bool) -> Iterator[tuple[int, Any]]:
    return ((deploy.at, tell(deploy)) for deploy in deploys.deploys(each.reader, each.which, full))
