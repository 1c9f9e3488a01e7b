"""The ends of processes of a whole fleet that were failures.

Most ends are judged by their cause alone, so that a page about many deaths reads little. One that
may be that of a reload, or a success, is judged by the marks of its vassal, as ``why`` does.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from ..daemon.core.deaths import is_success
from ..daemon.core.fleet import Fleet
from ..journal.deploys import DEPLOYED
from ..journal.errors import JournalError
from ..journal.events import Announced, Exited
from ..journal.reading import Reader
from .asked_ends import Cause, why_ended
from .event_text import decode_actions
from .marks import marks, record
from .rebuild import damaged, fleet_at
from .salvage import leave_out


class FailedEnd(NamedTuple):
    """The end of a process that was a failure."""

    seq: int
    at: int
    vassal: str


def failed_ends(reader: Reader, after: int, upto: int) -> list[FailedEnd]:
    """The ends of processes that were failures: unasked, or asked for because of one."""
    rows: list[Any] = reader.fetch(
        "SELECT one.seq, one.at, one.vassal, one.body, cause.kind, cause.actions,"
        " before.kind, before.actions FROM event AS one"
        " LEFT JOIN event AS cause ON cause.seq = one.cause"
        " LEFT JOIN event AS before ON before.seq = cause.cause"
        " WHERE one.seq > ? AND one.seq <= ? AND one.kind = 'exited' ORDER BY one.seq",
        after, upto,
    )  # fmt: skip
    found, doubts = list[FailedEnd](), _Doubts(reader, upto)
    for seq, at, name, body, *causes in rows:
        why = why_ended(_cause(name, *causes[:2]), _cause(name, *causes[2:]))
        try:
            told = msgspec.json.decode(body, type=Exited)
        except (msgspec.DecodeError, TypeError):
            leave_out(reader, seq, damaged(reader, seq, "cannot be read"))
            continue
        if why == "asked" or told.away or told.reload:
            continue
        found.append(FailedEnd(seq, at, name))
        if why == "unasked":
            doubts.note(seq, name, told)
    none = doubts.unfounded()
    return [end for end in found if end.seq not in none]


def _cause(name: str, kind: str | None, actions: str | None) -> Cause | None:
    if kind is None:
        return None
    orders = decode_actions(actions or "[]")
    return Cause(kind, [action.do for action in orders if action.vassal == name])


class _Doubts:
    """Unasked ends that may be no failures, up to an event."""

    def __init__(self, reader: Reader, upto: int) -> None:
        self._reader = reader
        self._upto = upto
        self._settings: dict[str, dict[str, str]] = {}  # by vassal, of its last config
        self._ends: dict[str, list[int]] = {}  # by vassal, in order

    def note(self, seq: int, name: str, body: Exited) -> None:
        """Note an end, if there is a doubt."""
        if body.signal is None and (
            body.code is None or is_success(self._settings_of(name), body.code)
        ):
            self._ends.setdefault(name, []).append(seq)

    def _settings_of(self, name: str) -> dict[str, str]:
        if name not in self._settings:
            row, found = self._reader.last_of(name, DEPLOYED, self._upto), dict[str, str]()
            try:
                body = None if row is None else self._reader.decode(row).body
            except JournalError:
                body = None
            if isinstance(body, Announced):
                found = body.spec.settings
            self._settings[name] = found
        return self._settings[name]

    def unfounded(self) -> set[int]:
        """Those that were no failures."""
        if not self._ends:
            return set()
        fleet = fleet_at(self._reader, self._upto)
        return {seq for name, ends in self._ends.items() for seq in self._no_deaths(name, fleet)}

    def _no_deaths(self, name: str, fleet: Fleet) -> Iterator[int]:
        ends = self._ends[name]
        while ends:
            told = record(self._reader, name, ends[-1])
            dead = {mark.seq for mark in marks(told, fleet) if mark.what == "death"}
            first = min(told.entries, default=0)
            while ends and ends[-1] >= first:  # a record reads so many events at most
                seq = ends.pop()
                if seq not in dead:
                    yield seq
