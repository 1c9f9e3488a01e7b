"""The options that say which events: names, a source, kinds, a user, a period, a boot, a number.

They become a ``Filter``. A boot is a run of the kernel: each ``daemon_started`` has its boot id.
"""

import pwd
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, Final, TypeVar

import click
import msgspec

from ..daemon.cli.commandline import TIME
from ..daemon.cli.option_types import whole
from ..journal.errors import JournalError
from ..journal.events import DaemonStarted
from ..journal.reading import Reader
from ..journal.selection import Filter, nth_from_end
from ..journal.times import EventNumber, Moment
from ..monitors.names import shown
from .beginnings import or_in_archive
from .hosts import HostReader
from .names import chosen
from .of_source import monitor_option, url_of
from .rebuild import NotFound
from .shared import check_order, check_times, in_any, kinds_option, names_argument

T = TypeVar("T")
_UID: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_BOOT: Final = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_BOOT_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Selection(msgspec.Struct, frozen=True):
    """The options of ``filters``, as they are told."""

    names: tuple[str, ...]
    monitor: str | None
    kinds: tuple[str, ...]
    by: int | None
    since: Moment | None
    until: Moment | None
    boot: str | None

    def of(self, hosts: Sequence[HostReader], lines: int | None = None) -> list[HostReader]:
        """The journals of which some event may fit, each with the filter; the last ``lines``.

        Raises NotFound, UsageError.
        """
        check_times(hosts, self.since, self.until)
        return in_any(hosts, lambda each: each._replace(which=self.filter(each.reader, lines)))

    def filter(self, reader: Reader, lines: int | None = None) -> Filter:
        """The events of a journal that are meant. Raises NotFound, UsageError."""
        # By the name that this journal has for its source, or by its URL.
        url = url_of(reader, self.monitor)
        check_order(reader, self.since, self.until)
        names = chosen(reader, self.names)
        which = Filter(
            names[0] if len(names) == 1 else None,
            url, self.kinds, self.since, self.until,
            tuple(names) if len(names) > 1 else (),
            self.by,
        )  # fmt: skip
        if self.boot is not None:
            which = _of_boot(reader, which, self.boot)
        if lines is not None:
            which = msgspec.structs.replace(which, since=_of_the_last(reader, which, lines))
        return which


def filters(
    kinds: Sequence[str],
    requests: bool = False,
    argument: Callable[[Callable[..., Any]], Callable[..., Any]] = names_argument,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The arguments that say which events; the function gets them as a Selection, ``which``.

    With ``requests``, a user may be told as well. ``argument`` is the one that has the names.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(
            *args: Any, names: tuple[str, ...], monitor: str | None, chosen: tuple[str, ...],
            since: Moment | None, until: Moment | None, boot: str | None,
            by: int | None = None, **rest: Any,
        ) -> Any:  # fmt: skip
            which = Selection(names, monitor, chosen, by, since, until, boot)
            return function(*args, which=which, **rest)

        command: Callable[..., Any] = run
        for option in (
            click.option("--boot", metavar="N", callback=_boot,
                         help="Only of this boot: 0 the last, -1 the one before, 1 the first."),
            kinds_option(kinds),
            monitor_option,
            click.option("--until", type=TIME, metavar="T", help="Only up to then."),
            click.option("--since", type=TIME, metavar="T", help="Only from then on."),
            argument,
        ):  # fmt: skip
            command = option(command)
        return _by_option(command) if requests else command

    return decorate


def _by_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--by", metavar="UID", callback=_uid, help="Only what this user, or login user, asked for."
    )(command)


def last(told: Iterable[T], hosts: Sequence[HostReader], lines: int | None) -> Iterable[T]:
    """The last ``lines`` of several journals; of one, the filter has left out the others."""
    return told if lines is None or len(hosts) == 1 else deque(told, maxlen=lines)


def lines_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``-n``; the function gets it as ``lines``."""
    return click.option("-n", "--lines", type=whole(0), metavar="N", help="Only the last N.")(
        command
    )


def _uid(_: click.Context, __: click.Parameter, told: str | None) -> int | None:
    if told is None or _UID.fullmatch(told):
        return None if told is None else int(told)
    try:
        return pwd.getpwnam(told).pw_uid
    except KeyError:
        raise click.BadParameter(f"there is no user {told}; a uid need not be known here") from None


def _boot(_: click.Context, __: click.Parameter, told: str | None) -> str | None:
    if told is None:
        return None
    plain = told.lower().replace("-", "")
    if _BOOT.fullmatch(told) or _BOOT_ID.fullmatch(plain):
        return told.lower()
    raise click.BadParameter(f"{told} is no boot; write 0, -1, 1 or a boot id")


def _of_the_last(reader: Reader, which: Filter, lines: int) -> EventNumber:
    """From where there are so many events that fit."""
    if lines == 0:
        return EventNumber(reader.head.seq + 1)
    return EventNumber(nth_from_end(reader.fetch, which, lines, *reader.span(which, None, None)))


# Boots


def _of_boot(reader: Reader, which: Filter, told: str) -> Filter:
    first, last = _boot_range(reader, told)
    if which.since is not None:
        first = max(first, reader.seq_before(which.since) + 1)
    if which.until is not None:
        last = min(last, reader.seq_of(which.until))
    return msgspec.structs.replace(which, since=EventNumber(first), until=EventNumber(last))


def _boot_range(reader: Reader, told: str) -> tuple[int, int]:
    """The first and the last event of a boot. Raises NotFound."""
    begins = _boots(reader)
    if not begins:
        text = "no daemon_started is in this journal, so it has no boot to choose"
        raise NotFound(or_in_archive(reader, text))
    ends = [seq - 1 for seq, _ in begins[1:]] + [reader.head.seq]
    ranges = [(first, last, boot) for (first, boot), last in zip(begins, ends, strict=True)]
    if not _BOOT.fullmatch(told):
        found = [each for each in ranges if each[2].replace("-", "") == told.replace("-", "")]
    else:
        number = int(told)
        place = number - 1 if number > 0 else len(ranges) - 1 + number
        found = ranges[place : place + 1] if place >= 0 else []
    if not found:
        some = "boot is" if len(ranges) == 1 else "boots are"
        text = f"there is no boot {shown(told)} here; {len(ranges)} {some} in this journal"
        raise NotFound(or_in_archive(reader, text))
    return found[0][0], found[-1][1]


def _boots(reader: Reader) -> list[tuple[int, str]]:
    """Where each boot begins, and its id; the first has what is before its first start, too."""
    found = list[tuple[int, str]]()
    for row in reader.rows(Filter(kinds=("daemon_started",))):
        with suppress(JournalError):  # a damaged start hides no other
            body = reader.decode(row).body
            if isinstance(body, DaemonStarted) and (not found or found[-1][1] != body.boot):
                found.append((row[0] if found else reader.anchor.seq + 1, body.boot))
    return found
