"""``history``: deploys, and what became of each."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import click
from msgspec.structs import replace

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...daemon.core.deploys import Deploy
from ...journal.deploys import DEPLOYS
from ...journal.reading import Reader
from .. import deploys
from ..authors import author_at
from ..hosts import HostReader, columns, merged, records
from ..hosts import lines as of_hosts
from ..returns import comes_back
from ..selecting import Selection, filters, last, lines_option
from ..shared import print_lines, reading_all
from ..sources import Sources

Tell = Callable[[Deploy], Any]


@click.command("history", cls=Command)
@click.option("--full", is_flag=True, help="Fold all events, without what the daemon concluded.")
@lines_option
@listing()
@reading_all
@filters(DEPLOYS)
def command(
    hosts: Sequence[HostReader], which: Selection, form: str, lines: int | None, full: bool
) -> None:
    """Deploys: what came, from where, and what became of it. NAME may be a pattern ('app-*')."""
    hosts = (which if which.kinds else replace(which, kinds=DEPLOYS)).of(hosts, lines)

    def told(tell: Callable[[Reader], Tell]) -> Iterator[tuple[str | None, Any]]:
        streams = ((each.host, _timed(each, tell(each.reader), full)) for each in hosts)
        return iter(last(merged(streams), hosts, lines))

    if form != "short":
        found = records(told(_record))
        write(formatted(form, columns(hosts, deploys.COLUMNS), found))
        return
    texts = told(_line)
    first = next(texts, None)
    if first is None:
        click.echo("no deploys", err=True)
        return
    head = None if first[0] is None else "HOST"
    print_lines(of_hosts(hosts, chain([(head, deploys.HEAD), first], texts)))


def _record(reader: Reader) -> Tell:
    return lambda deploy: deploys.deploy_record(
        deploy, comes_back(reader, deploy), author_at(reader, deploy.seq)
    )


def _line(reader: Reader) -> Tell:
    sources = Sources.of(reader)
    return lambda deploy: deploys.line(
        deploy, sources, comes_back(reader, deploy), author_at(reader, deploy.seq)
    )


def _timed(each: HostReader, tell: Tell, full: bool) -> Iterator[tuple[int, Any]]:
    return ((deploy.at, tell(deploy)) for deploy in deploys.deploys(each.reader, each.which, full))
