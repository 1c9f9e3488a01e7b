"""Which events a reader is to read, and how it reads them: in order, a page at a time."""

import json
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Any, Final

import msgspec

from .times import Moment

_AT_ONCE: Final = 2000  # rows
_FEW: Final = 20  # vassals, each of which is read by the index
Fetch = Callable[..., list[Any]]


class Filter(msgspec.Struct, frozen=True):
    """Which events are meant; all parts must fit. Both moments are inclusive."""

    vassal: str | None = None
    monitor: str | None = None
    kinds: Sequence[str] = ()
    since: Moment | None = None
    until: Moment | None = None
    vassals: Sequence[str] = ()  # any of these, if ``vassal`` is None
    by: int | None = None  # a user that asked, or that had logged in


ALL: Final = Filter()


def pages(
    fetch: Fetch, columns: str, tables: str, which: Filter, after: int, upto: int
) -> Iterator[Any]:
    """Columns of events behind ``after``, up to ``upto``; the first is to be ``event.seq``.

    Each page is a transaction of its own. ``tables`` has ``event``.
    """
    if 0 < len(which.vassals) <= _FEW:  # each by the index
        each = [
            _pages(fetch, columns, tables, _of(which, name), after, upto, _AT_ONCE // _FEW)
            for name in which.vassals
        ]
        return merge(*each, key=lambda row: row[0])
    return _pages(fetch, columns, tables, which, after, upto, _AT_ONCE)


def _pages(
    fetch: Fetch, columns: str, tables: str, which: Filter, after: int, upto: int, length: int
) -> Iterator[Any]:
    where, parameters = _conditions(which)
    query = (
        f"SELECT {columns} FROM {tables} WHERE event.seq > ? AND event.seq <= ?{where}"
        f" ORDER BY event.seq LIMIT {length}"
    )
    while True:
        rows = fetch(query, after, upto, *parameters)
        yield from rows
        if len(rows) < length:
            return
        after = rows[-1][0]


def nth_from_end(fetch: Fetch, which: Filter, count: int, after: int, upto: int) -> int:
    """The event from which on so many fit; the first that may, where fewer do."""
    where, parameters = _conditions(which)
    rows = fetch(
        f"SELECT event.seq FROM event WHERE event.seq > ? AND event.seq <= ?{where}"
        " ORDER BY event.seq DESC LIMIT 1 OFFSET ?",
        after, upto, *parameters, count - 1,
    )  # fmt: skip
    return rows[0][0] if rows else after + 1


def _of(which: Filter, name: str) -> Filter:
    return msgspec.structs.replace(which, vassal=name, vassals=())


def _conditions(which: Filter) -> tuple[str, list[object]]:
    where, parameters = "", list[object]()
    for column, wanted in (("vassal", which.vassal), ("monitor", which.monitor)):
        if wanted is not None:
            where += f" AND event.{column} = ?"
            parameters.append(wanted)
    if which.kinds:
        where += f" AND event.kind IN ({', '.join('?' * len(which.kinds))})"
        parameters.extend(which.kinds)
    if which.vassals and which.vassal is None:
        # Not by the index: each page would be sorted anew.
        where += " AND +event.vassal IN (SELECT value FROM json_each(?))"
        parameters.append(json.dumps(list(which.vassals)))
    if which.by is not None:
        body = "CASE WHEN json_valid(event.body) THEN event.body END"
        where += f" AND ? IN (json_extract({body}, '$.uid'), json_extract({body}, '$.loginuid'))"
        parameters.append(which.by)
    return where, parameters
