"""The options that several commands of ``emperor-replay`` take, and how they read and print."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from ..daemon.cli import commandline, completion
from ..daemon.cli.commandline import TIME
from ..daemon.cli.name_arguments import vassal_of, vassals_of
from ..daemon.cli.nearest import did_you_mean, nearest_words
from ..daemon.cli.option_types import whole
from ..journal.errors import VERIFY_SAYS_MORE, JournalError
from ..journal.reading import COPY_THE_LOG, Reader, Row
from ..journal.selection import Filter
from ..journal.times import EventNumber, Moment
from ..monitors.names import shown
from . import completing, open_end, salvage
from .hosts import HostReader, Source
from .joining import open_source
from .rebuild import NotFound, moment

P = ParamSpec("P")
T = TypeVar("T")

UNREADABLE: Final = 3
SOURCES: Final = "emperord.replay.sources"  # in the context: the journals to read
PROGRAM: Final = "emperord.replay.program"  # in the context: which program it is, unless ours
_BUNDLE: Final = 500  # lines written at once


def _kinds(kinds: Sequence[str]) -> Callable[..., tuple[str, ...]]:
    """An option that takes some of these kinds, with or without their ``vassal_``."""

    def kinds_of(_: click.Context, __: click.Parameter, told: Sequence[str]) -> tuple[str, ...]:
        return tuple(_kind(one, kinds) for one in told)

    return kinds_of


def _kind(told: str, kinds: Sequence[str]) -> str:
    for kind in (told, f"vassal_{told}"):
        if kind in kinds:
            return kind
    others = did_you_mean(nearest_words(told, kinds)) or f"there are {', '.join(kinds)}"
    raise click.BadParameter(f"there is no kind {told!r}; {others}")


def reading(
    command: Callable[Concatenate[Reader, P], int | None],
) -> Callable[Concatenate[P], None]:
    """Give the command a reader of the journal; what cannot be done is one line and a code."""

    @wraps(command)
    def run(hosts: Sequence[HostReader], /, *args: P.args, **kwargs: P.kwargs) -> int | None:
        return command(hosts[0].reader, *args, **kwargs)

    return reading_all(run)


def reading_all(
    command: Callable[Concatenate[Sequence[HostReader], P], int | None],
) -> Callable[Concatenate[P], None]:
    """Give the command a reader of each journal. ``main.py`` lists the commands that take several.

    Errors are as with ``reading``.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        sources: Sequence[Source] = click.get_current_context().meta[SOURCES]
        code: int | None = 0
        try:
            with contextlib.ExitStack() as opened:
                hosts = [
                    HostReader(each.host, opened.enter_context(open_source(each)))
                    for each in sources
                ]
                for host in hosts:
                    _note(host.reader)
                code = command(hosts, *args, **kwargs)
                for host in hosts:
                    if (lost := salvage.told(host.reader)) is not None:
                        code = complain(lost, UNREADABLE)
        except NotFound as error:
            code = complain(error, 1)
        except JournalError as error:
            code = complain(error, UNREADABLE)
        except OSError as error:  # standard output is not meant: that is OutputLost
            code = complain(commandline.os_error_text(error), UNREADABLE)
        sys.stdout.flush()
        sys.exit(code or 0)

    return run


def _note(reader: Reader) -> None:
    """Say what a reader of any command must know about the journal."""
    if reader.head.seq == 0:
        complain(f"{reader.path}: no event was written yet; {COPY_THE_LOG}")
    if click.get_current_context().meta.get(salvage.OPTION):
        salvage.allow(reader)
    if (unfinished := open_end.note(reader)) is not None:
        complain(unfinished)


def complain(error: Exception | str, code: int = 0) -> int:
    """Say it on stderr, and return the exit code."""
    sys.stdout.flush()
    context = click.get_current_context(silent=True)
    program = "emperor-replay" if context is None else context.meta.get(PROGRAM, "emperor-replay")
    click.echo(f"{program}: {shown(str(error))}", err=True)
    return code


class Unreadable:
    """Events that a command told, though this version cannot read them, and those between them.

    Where ``which`` leaves none out, a gap in the numbers is an event that is missing.
    """

    def __init__(self, reader: Reader, which: Filter) -> None:
        self._path = reader.path
        self._seqs: list[int] = []
        self._every = not (which.vassal or which.vassals or which.monitor or which.kinds)
        self._every &= which.by is None
        self._gaps: list[tuple[int, int]] = []

    def seen(self, rows: Iterable[Row], tell: Callable[[Row], tuple[T, bool]]) -> Iterator[T]:
        """Each row as it is told, and False with it where it cannot be read."""
        before: int | None = None
        for row in rows:
            one, good = tell(row)
            if not good:
                self._seqs.append(row[0])
            if self._every and before is not None and row[0] > before + 1:
                self._gaps.append((before + 1, row[0] - 1))
            before = row[0]
            yield one

    def code(self) -> int:
        """Say which, if there are any, in one line, and return the exit code."""
        found = [*self._missing(), *self._strange()]
        if not found:
            return 0
        return complain(f"{self._path}: {', and '.join(found)}{VERIFY_SAYS_MORE}", UNREADABLE)

    def _missing(self) -> Iterator[str]:
        if self._gaps:
            first, last = self._gaps[0]
            which = f"event {first} is" if first == last else f"events {first} to {last} are"
            more = f", and so are others in {len(self._gaps) - 1} places" * (len(self._gaps) > 1)
            yield f"{which} missing{more}"

    def _strange(self) -> Iterator[str]:
        if self._seqs:
            others = f" and {len(self._seqs) - 1} others" if len(self._seqs) > 1 else ""
            yield (
                f"event {self._seqs[0]}{others} cannot be read by this version, or is not what was"
                " written"
            )


def moments(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say when; not both."""
    return _moments(command, "--at")


def moments_or_until(command: Callable[..., None]) -> Callable[..., None]:
    """The same, where ``--until`` is another name of ``--at``."""
    return _moments(command, "--at", "--until", "at")


def _moments(command: Callable[..., None], *names: str) -> Callable[..., None]:
    command = click.option(*names, type=TIME, metavar="T", help="As it was at this time.")(command)
    return click.option("--seq", type=whole(0), metavar="N", help="As it was after this event.")(
        command
    )


def name_argument(command: Callable[..., None]) -> Callable[..., None]:
    """The argument NAME, a vassal."""
    return click.argument("name", callback=vassal_of, shell_complete=completing.VASSALS)(command)


def names_argument(command: Callable[..., None]) -> Callable[..., None]:
    """The argument NAME..., vassals or patterns."""
    return click.argument(
        "names",
        metavar="[NAME]...",
        nargs=-1,
        callback=vassals_of,
        shell_complete=completing.VASSALS,
    )(command)


def some_names_argument(command: Callable[..., None]) -> Callable[..., None]:
    """The argument NAME..., one vassal or pattern at least."""
    return click.argument(
        "names", metavar="NAME...", nargs=-1, required=True, callback=vassals_of,
        shell_complete=completing.VASSALS,
    )(command)  # fmt: skip


def raw_option(command: Callable[..., None]) -> Callable[..., None]:
    """The option of commands that print texts of others."""
    return click.option(
        "--raw", is_flag=True, help="Print the bytes as they are, on a terminal too."
    )(command)


def kinds_option(kinds: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option ``--kind``; the function gets the kinds as ``chosen``."""
    brief = completion.one_of([each.removeprefix("vassal_") for each in kinds])
    full = completion.one_of(kinds)

    def complete(
        context: click.Context, option: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """No brief kind begins with a v."""
        return (full if incomplete.startswith("v") else brief)(context, option, incomplete)

    return click.option(
        "--kind", "chosen", callback=_kinds(kinds), multiple=True, metavar="K", help="Only these.",
        shell_complete=complete,
    )  # fmt: skip


def in_any(hosts: Sequence[HostReader], look: Callable[[HostReader], T]) -> list[T]:
    """The answers of those journals that have one. Raises NotFound where none has."""
    found, missed = list[T](), list[NotFound]()
    for host in hosts:
        try:
            found.append(look(host))
        except NotFound as error:
            missed.append(error)
    if not found:
        raise missed[0]
    return found


def check_times(hosts: Sequence[HostReader], *times: Moment | None) -> None:
    """Raise UsageError for the number of an event, where there are several journals."""
    if len(hosts) > 1 and any(isinstance(time, EventNumber) for time in times):
        raise click.UsageError("with several journals, write a time and not the number of an event")


def check_order(
    reader: Reader, since: Moment | None, until: Moment | None, option: str = "--until"
) -> None:
    """Raise UsageError where no moment is in a period; ``option`` is the one that says its end."""
    if _is_after(reader, since, until):
        raise click.UsageError(f"--since is after {option}")


def _is_after(reader: Reader, since: Moment | None, until: Moment | None) -> bool:
    if since is None or until is None:
        return False
    if isinstance(since, int) and isinstance(until, int):
        return since > until
    if isinstance(since, EventNumber) and isinstance(until, EventNumber):
        return since.seq > until.seq
    number = since if isinstance(since, EventNumber) else until
    if isinstance(number, EventNumber) and number.seq > reader.head.seq:
        return False  # an event that is still to come has no time yet
    return reader.seq_before(since) >= reader.seq_of(until)


def moment_of(reader: Reader, at: Moment | None, seq: int | None) -> int:
    """The event that the options of ``moments`` mean. Raises NotFound, UsageError."""
    if at is not None and seq is not None:
        raise click.UsageError("--at and --seq both say when; give one of them")
    return moment(reader, at, seq)


def print_lines(lines: Iterable[str], *, paged: bool = True) -> None:
    """Lines of text, some hundred with one write. Those without an end are not ``paged``.

    Where the lines end with an error, those before it are printed.
    """
    if paged:
        commandline.page()
    bundle: list[str] = []
    try:
        for line in lines:
            bundle.append(line)
            if len(bundle) == _BUNDLE:
                _write(bundle)
    finally:
        _write(bundle)


def _write(bundle: list[str]) -> None:
    text = "".join(f"{line}\n" for line in bundle)
    bundle.clear()
    sys.stdout.write(text)
