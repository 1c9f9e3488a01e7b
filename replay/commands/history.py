"""``history``: deploys, and what became of each."""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, Final

import click
from msgspec.structs import replace

from ...daemon.cli import terminal
from ...daemon.cli.commandline import Command
from ...daemon.cli.name_arguments import text_of
from ...daemon.cli.tables import formatted, listing, write
from ...daemon.cli.waiting import until_interrupted
from ...daemon.core.deploys import Deploy
from ...journal.deploys import DEPLOYS
from ...journal.errors import VERIFY_SAYS_MORE, JournalError
from ...journal.reading import Reader, Row
from ...journal.times import EventNumber, Moment
from .. import altered_rows, deploys
from ..authors import author, body_of, is_by
from ..beginnings import or_in_archive_since
from ..deploy_rows import Rows
from ..following import TO_FOLLOW, check_endless, follow, follow_option, without_head
from ..hosts import HostReader, columns, merged, records
from ..hosts import lines as of_hosts
from ..reappearances import reappearance
from ..rebuild import NotFound
from ..retold import Told
from ..selecting import Selection, filters, last, lines_option
from ..shared import UNREADABLE, complain, print_lines, reading_all
from ..sources import Sources

_FIRST: Final = 50  # deploys, so that the first lines are there at once
_AT_ONCE: Final = 1_000
DatedDeploy = tuple[int, Any]  # the time of a deploy, and the deploy as it is told


@click.command("history", cls=Command)
@click.option("--full", is_flag=True, help="Fold all events, without what the daemon concluded.")
@click.option(
    "--by", "author", metavar="UID|AUTHOR", callback=text_of,
    help="Only changes by this user or author, as far as the source tells.",
)  # fmt: skip
@follow_option
@lines_option
@listing()
@reading_all
@filters(DEPLOYS)
def command(
    hosts: Sequence[HostReader], which: Selection, form: str, lines: int | None, full: bool,
    author: str | None, following: bool,
) -> int:  # fmt: skip
    """Deploys: what came, from where, and what became of it. NAME may be a pattern ('app-*').

    -f begins with the last 10, unless -n or a period is told, and ends with ^C. It tells a deploy
    when it comes, and once more when its outcome is another.
    """
    which = which if which.kinds else replace(which, kinds=DEPLOYS)
    history = _History(hosts, form, author, full, which.since)
    if not following:
        history.tell(_of(hosts, which, lines, author), lines)
        return history.code()
    check_endless(form, which.until, which.boot)
    if lines is None and which.since is None:
        lines = TO_FOLLOW
    with until_interrupted():
        history.follow(which, lines)
    return 0


def _of(
    hosts: Sequence[HostReader], which: Selection, lines: int | None, by: str | None = None
) -> list[HostReader]:
    """The hosts with their filters. The author of a deploy is seen later, so all are read then."""
    return which.of(hosts, lines if by is None else None)


def _line(told: tuple[str | None, Any]) -> tuple[str | None, str]:
    host, (words, altered) = told
    text = deploys.line(words)
    return host, altered_rows.marked(text) if altered else text


def _read_ahead(reader: Reader, found: Iterator[Deploy]) -> Iterator[Deploy]:
    """The same deploys, when the rows of the next ones and of their outcomes are read."""
    length = _FIRST
    while True:
        some: list[Deploy] = []
        failure: JournalError | None = None
        try:
            for each in islice(found, length):
                some.append(each)  # noqa: PERF402  # they stay where the next one is damaged
        except JournalError as error:
            failure = error
        numbers = chain.from_iterable((each.seq, each.outcome_seq) for each in some)
        altered_rows.read_ahead(reader, (seq for seq in numbers if seq is not None))
        yield from some
        if failure is not None:
            raise failure
        if len(some) < length:
            return
        length = _AT_ONCE


class _History:
    """Tells deploys of some of these hosts; ``by`` an author, if that is told."""

    def __init__(
        self, hosts: Sequence[HostReader], form: str, by: str | None, full: bool = False,
        since: Moment | None = None,
    ) -> None:  # fmt: skip
        self._hosts = hosts
        self._form = form
        self._by = by
        self._full = full
        self._since = since
        self._paged = True
        self._has_head = False
        self._sources: dict[Reader, Sources] = {}
        self._first_altered: str | None = None
        self._altered = 0
        self._followed: dict[str | None, Told] = {}  # by host, while it follows

    def tell(self, hosts: Sequence[HostReader], lines: int | None = None) -> None:
        """Print the deploys that fit."""
        streams = ((each.host, self._each(each)) for each in hosts)
        found = last(merged(streams), hosts, lines)
        if self._by is not None and lines is not None:
            found = deque(found, maxlen=lines)
        self._print(iter(found))

    def follow(self, which: Selection, lines: int | None) -> None:
        """Print the last deploys, and those that come, until the end."""
        self._paged = False
        self._followed = {each.host: Told() for each in self._hosts}
        self.tell(_of(self._hosts, which, lines, self._by), lines)
        for found in follow(self._hosts):
            newer = []
            for each, after in found:
                first = self._followed[each.host].first(each.reader, after)
                with suppress(NotFound):  # a name that the journal does not know yet
                    newer += replace(which, since=EventNumber(first)).of([each])
            self.tell(newer)

    def _each(self, each: HostReader) -> Iterator[DatedDeploy]:
        told = self._followed.get(each.host)
        for deploy in _read_ahead(
            each.reader, deploys.deploys(each.reader, each.which, self._full)
        ):
            news = deploy.seq, deploy.outcome, deploy.outcome_seq
            if told is not None and not told.is_news(*news):
                continue
            row = altered_rows.row_of(each.reader, deploy.seq)
            body = body_of(each.reader, row)
            if self._by is None or is_by(body, self._by):
                yield deploy.at, self._told(each.reader, deploy, row, author(body))

    def _told(self, reader: Reader, deploy: Deploy, row: Row | None, by: str | None) -> Any:
        altered = self._is_altered(reader, deploy, row)
        back = reappearance(reader, deploy)
        if self._form == "short":
            return deploys.in_words(deploy, self._names(reader), back, by), altered
        one = deploys.deploy_record(deploy, back, by)
        return {**one, "altered": True} if altered else one

    def _names(self, reader: Reader) -> Sources:
        if reader not in self._sources:
            self._sources[reader] = Sources.of(reader)
        return self._sources[reader]

    def _print(self, told: Iterator[tuple[str | None, Any]]) -> None:
        if self._form != "short":
            pieces = formatted(self._form, columns(self._hosts, deploys.COLUMNS), records(told))
            headless = self._has_head and self._form == "csv"
            write(without_head(pieces) if headless else pieces, paged=self._paged)
        elif (first := next(told, None)) is not None:
            print_lines(self._lines(chain([first], told)), paged=self._paged)
        elif not self._followed:
            click.echo(self._none(), err=True)
            return
        else:
            return
        self._has_head = True
        sys.stdout.flush()

    def _none(self) -> str:
        """That there is no deploy, and the archive of a journal that may have some."""
        none = "no deploys"
        told = (or_in_archive_since(each.reader, self._since, none) for each in self._hosts)
        return next((text for text in told if text != none), none)

    def _lines(self, told: Iterator[tuple[str | None, Any]]) -> Iterator[str]:
        most = terminal.width()
        hosts = [each.host for each in self._hosts if each.host is not None]
        if most is not None:
            rows = Rows(most, hosts)
            if not self._has_head:
                yield rows.head()
            for host, (words, altered) in told:
                yield rows.row(host, words, altered=altered)
            return
        head = [] if self._has_head else [("HOST" if hosts else None, deploys.HEAD)]
        yield from of_hosts(self._hosts, chain(head, map(_line, told)))

    # Rows that are not what was written

    def _is_altered(self, reader: Reader, deploy: Deploy, row: Row | None) -> bool:
        """Whether the deploy's own event is altered, or the one with its outcome."""
        seq = deploy.seq
        if row is None or not altered_rows.is_altered(reader, row):
            if deploy.outcome_seq is None or not altered_rows.number_is_altered(
                reader, deploy.outcome_seq
            ):
                return False
            seq = deploy.outcome_seq
        self._first_altered = self._first_altered or f"{reader.path}: event {seq}"
        self._altered += 1
        return True

    def code(self) -> int:
        """Say which, if there are any, and return the exit code."""
        if self._first_altered is None:
            return 0
        text = f"{self._first_altered} is not what was written"
        more = self._altered - 1
        others = f", and {more} more deploys are affected" if more else ""
        return complain(f"{text}{others}{VERIFY_SAYS_MORE}", UNREADABLE)
