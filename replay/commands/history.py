"""``history``: deploys, and what became of each."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import click
from msgspec.structs import replace

from ...daemon.cli.commandline import Command
from ...daemon.cli.tables import formatted, listing, write
from ...daemon.core.deploys import Deploy
from ...journal.deploys import DEPLOYS
from ...journal.errors import VERIFY_SAYS_MORE
from ...journal.reading import Reader
from .. import deploys, trust
from ..authors import author_at
from ..hosts import HostReader, columns, merged, records
from ..hosts import lines as of_hosts
from ..returns import comes_back
from ..selecting import Selection, filters, last, lines_option
from ..shared import UNREADABLE, complain, print_lines, reading_all
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
) -> int:
    """Deploys: what came, from where, and what became of it. NAME may be a pattern ('app-*')."""
    damage = _Damage()
    hosts = (which if which.kinds else replace(which, kinds=DEPLOYS)).of(hosts, lines)

    def told(tell: Callable[[Reader], Tell]) -> Iterator[tuple[str | None, Any]]:
        streams = ((each.host, _timed(each, tell(each.reader), full)) for each in hosts)
        return iter(last(merged(streams), hosts, lines))

    if form != "short":
        found = records(told(partial(_record, damage)))
        write(formatted(form, columns(hosts, deploys.COLUMNS), found))
        return damage.code()
    texts = told(partial(_line, damage))
    first = next(texts, None)
    if first is None:
        click.echo("no deploys", err=True)
        return 0
    head = None if first[0] is None else "HOST"
    print_lines(of_hosts(hosts, chain([(head, deploys.HEAD), first], texts)))
    return damage.code()


class _Damage:
    """The deploys of which an event is not what was written."""

    def __init__(self) -> None:
        self._first: str | None = None
        self._count = 0

    def of(self, reader: Reader, deploy: Deploy) -> bool:
        """Whether the deploy's own event is altered, or the one with its outcome."""
        for seq in (deploy.seq, deploy.outcome_seq):
            if trust.number_is_altered(reader, seq):
                self._first = self._first or f"{reader.path}: event {seq}"
                self._count += 1
                return True
        return False

    def code(self) -> int:
        """Say which, if there are any, and return the exit code."""
        if self._first is None:
            return 0
        text = f"{self._first} is not what was written"
        others = f", and {self._count - 1} more deploys are affected" if self._count > 1 else ""
        return complain(f"{text}{others}{VERIFY_SAYS_MORE}", UNREADABLE)


def _record(damage: "_Damage", reader: Reader) -> Tell:
    def told(deploy: Deploy) -> dict[str, Any]:
        one = deploys.deploy_record(
            deploy, comes_back(reader, deploy), author_at(reader, deploy.seq)
        )
        return {**one, "altered": True} if damage.of(reader, deploy) else one

    return told


def _line(damage: "_Damage", reader: Reader) -> Tell:
    sources = Sources.of(reader)

    def told(deploy: Deploy) -> str:
        text = deploys.line(
            deploy, sources, comes_back(reader, deploy), author_at(reader, deploy.seq)
        )
        return trust.marked(text) if damage.of(reader, deploy) else text

    return told


def _timed(each: HostReader, tell: Tell, full: bool) -> Iterator[tuple[int, Any]]:
    return ((deploy.at, tell(deploy)) for deploy in deploys.deploys(each.reader, each.which, full))
