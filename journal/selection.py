"""Which events a reader is to read, and how it reads them: in order, a page at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from .times import Moment

_AT_ONCE: Final = 2000  # rows


class Filter(msgspec.Struct, frozen=True):
    """Which events are meant; all parts must fit. Both moments are inclusive."""

    vassal: str | None = None
    monitor: str | None = None
    kinds: Sequence[str] = ()
    since: Moment | None = None
    until: Moment | None = None


ALL: Final = Filter()


def pages(
    fetch: Callable[..., list[Any]], columns: str, tables: str, which: Filter, after: int, upto: int
) -> Iterator[Any]:
    """Columns of events behind ``after``, up to ``upto``; the first is to be ``event.seq``.

    Each page is a transaction of its own. ``tables`` has ``event``.
    """
    where, parameters = _conditions(which)
    query = (
        f"SELECT {columns} FROM {tables} WHERE event.seq > ? AND event.seq <= ?{where}"
        f" ORDER BY event.seq LIMIT {_AT_ONCE}"
    )
    while True:
        rows: list[Any] = fetch(query, after, upto, *parameters)
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1][0]


def _conditions(which: Filter) -> tuple[str, list[object]]:
    where, parameters = "", list[object]()
    for column, wanted in (("vassal", which.vassal), ("monitor", which.monitor)):
        if wanted is not None:
            where += f" AND event.{column} = ?"
            parameters.append(wanted)
    if which.kinds:
        where += f" AND event.kind IN ({', '.join('?' * len(which.kinds))})"
        parameters.extend(which.kinds)
    return where, parameters
