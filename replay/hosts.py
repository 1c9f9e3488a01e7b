"""Several journals at once, as of several hosts: their names, and their events by time.

``--journal HOST=PATH`` names a host. Without a name it is the file's, and where two files have the
same one, their folders tell them apart. Numbers of events belong to one journal, so with several
only times say when. Their order is that of their own clocks: the hosts' clocks may differ.
"""

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from ..daemon.cli.tables import Record
from ..journal.reading import Reader, Row
from ..journal.selection import ALL, Filter
from ..monitors.names import shown

T = TypeVar("T")

_NAMED: Final = re.compile(r"([^/=]+)=(.+)", re.DOTALL)


class Source(NamedTuple):
    """A journal to read. ``host`` is None where it is the only one.

    ``archives`` are those that are read with it, the oldest first.
    """

    host: str | None
    path: str
    archives: tuple[str, ...] = ()


class HostReader(NamedTuple):
    """A reader of a source, and which of its events are meant."""

    host: str | None
    reader: Reader
    which: Filter = ALL


def sources(told: Sequence[str]) -> list[Source]:
    """The journals that ``--journal`` names. Raises ValueError where a host or file is twice."""
    given = [_split(each) for each in told]
    if len(given) == 1:
        return [Source(None, given[0][1])]
    paths = [path for _, path in given]
    if len(set(paths)) < len(paths):
        raise ValueError("names a journal twice")
    found = [host or _name(path, paths) for host, path in given]
    if len(set(found)) < len(found):
        raise ValueError("names two journals alike; write HOST=PATH")
    return [Source(host, path) for host, path in zip(found, paths, strict=True)]


def _split(told: str) -> tuple[str | None, str]:
    """A host and a path. A file that is there is a path, whatever its name."""
    named = _NAMED.fullmatch(told)
    if named is None or Path(told).exists():
        return None, told
    return named[1], named[2]


def _name(path: str, paths: Sequence[str]) -> str:
    """The shortest end of the path, without its suffix, that no other path has."""
    parts = Path(path).absolute().with_suffix("").parts
    for length in range(1, len(parts)):
        end = parts[-length:]
        same = [
            other
            for other in paths
            if Path(other).absolute().with_suffix("").parts[-length:] == end
        ]
        if len(same) == 1:
            return "/".join(end)
    return path


def merged(
    streams: Iterable[tuple[str | None, Iterable[tuple[int, T]]]],
) -> Iterator[tuple[str | None, T]]:
    """Things with their times, of several hosts, in one order; each with its host."""
    named = [_with_host(host, things) for host, things in streams]
    if len(named) == 1:
        yield from ((host, thing) for _, host, thing in named[0])
        return
    for _, host, thing in heapq.merge(*named, key=lambda each: each[0]):
        yield host, thing


def _with_host(
    host: str | None, things: Iterable[tuple[int, T]]
) -> Iterator[tuple[int, str | None, T]]:
    return ((at, host, thing) for at, thing in things)


def timed(
    tell: Callable[[Row], tuple[T, bool]],
) -> Callable[[Row], tuple[tuple[int, T], bool]]:
    """The same as ``tell`` for a row, with the row's time. A damaged time comes first."""

    def told(row: Row) -> tuple[tuple[int, T], bool]:
        one, good = tell(row)
        return (row[1] if row[1].__class__ is int else 0, one), good

    return told


def line(host: str | None, text: str, width: int) -> str:
    """A line of a host, for people."""
    return text if host is None else f"{shown(host):{width}}  {text}"


def width(hosts: Iterable[HostReader]) -> int:
    """How wide the column of hosts is."""
    return max((len(shown(each.host)) for each in hosts if each.host is not None), default=0)


def record(host: str | None, one: Record) -> Record:
    """A record of a host."""
    return one if host is None else {"host": host, **one}


def columns(hosts: Sequence[HostReader], names: Sequence[str]) -> Sequence[str]:
    """The columns of such records."""
    return names if hosts[0].host is None else ("host", *names)


def lines(hosts: Sequence[HostReader], told: Iterable[tuple[str | None, str]]) -> Iterator[str]:
    """Lines for people, each with its host where there are several."""
    wide = width(hosts)
    return (line(host, text, wide) for host, text in told)


def records(told: Iterable[tuple[str | None, Any]]) -> Iterator[Record]:
    """Records, each with its host where there are several."""
    return (record(host, one) for host, one in told)
