"""Makes a journal of a history, which all commands read and ``verify`` verifies.

A journal that does not begin with the first event has a snapshot there, as one whose older events
were archived. Its numbers have no gaps. So where a history has some, its events are numbered anew,
and with them all that refers to events: attempts, causes, orders.
"""

import os
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from typing import Any, Final

import msgspec

from ...daemon.core.actions import Action, recorded
from ...daemon.core.deploys import Deploys
from ...journal import chain
from ...journal.errors import JournalError
from ...journal.store import Head, Journal, Snapshot
from ..rebuild import fold_one
from .history import NOTHING, History, Step

_AT_ONCE: Final = 500  # events
# Fields of bodies that are events, where they are numbers.
_NUMBERS: Final = frozenset(("attempt", "gone", "check", "change"))


class Taken(JournalError):
    """There is a file where the journal was to be made."""


class Made(msgspec.Struct, frozen=True):
    """The journal that was made. ``renumbered``: its events have other numbers than before."""

    path: str
    first: int
    last: int
    renumbered: bool
    texts: int
    redacted: bool


def take_in(history: History, path: str) -> Made:
    """Make a journal of a history at a path where no file is.

    Raises JournalError where it cannot be made, and OSError.
    """
    if not history.steps:
        raise JournalError("the history has no event, so there is no journal of it")
    steps = tuple(_numbered_on(history))
    folder = tempfile.mkdtemp(prefix=".import.", dir=os.path.dirname(path) or ".")
    try:
        beside = os.path.join(folder, "journal.db")
        _write(beside, history, steps)
        os.link(beside, path)  # fails where there is a file
    except FileExistsError:
        raise Taken(f"{path}: is there already; name another file") from None
    finally:
        shutil.rmtree(folder)
    events = [step.event.seq for step in steps]
    return Made(
        path=path,
        first=events[0],
        last=events[-1],
        renumbered=events != [step.event.seq for step in history.steps],
        texts=len(history.texts),
        redacted=history.header.redacted,
    )


def _write(path: str, history: History, steps: tuple[Step, ...]) -> None:
    fleet = history.fleet()
    deploys = Deploys()
    rows: list[chain.Columns] = []
    for step in steps:
        event = step.event
        deploys.take(fleet, event, step.actions, fold_one)
        rows.append(
            (
                event.seq, event.at, event.kind, event.monitor, event.vassal, event.cause,
                chain.text(event.body), recorded(step.actions, failed=event.failed),
            )
        )  # fmt: skip
    with Journal.open(path) as journal:
        waiting = iter(rows)
        if history.start != NOTHING:
            journal.number_on(_head(history), Snapshot(history.fleet().seq, history.start), rows[0])
            next(waiting)
        texts = dict(history.texts)
        while some := list(islice(waiting, _AT_ONCE)):
            journal.append(some, texts)
            texts = {}
        journal.append([], texts, None, deploys.rows)


def _head(history: History) -> Head:
    """The end of the part before the history, of which only the fleet is known."""
    mark = sha256(b"emperord history\n" + history.start).digest()
    fleet = history.fleet()
    return Head(mark, fleet.seq, mark, fleet.at)


def _numbered_on(history: History) -> Iterator[Step]:
    """The steps with numbers that follow one another from the start on."""
    first = history.fleet().seq + 1
    old = [step.event.seq for step in history.steps]
    if old == list(range(first, first + len(old))):
        yield from history.steps
        return

    def number(seq: int) -> int:
        """The new number of an event; of one that is left out, that of the event before it."""
        return seq if seq < first else first + bisect_right(old, seq) - 1

    for step in history.steps:
        event = step.event
        body = msgspec.to_builtins(event.body)
        for field in _NUMBERS & body.keys():
            if body[field].__class__ is int:
                body[field] = number(body[field])
        cause = event.cause
        told = msgspec.structs.replace(
            event,
            seq=number(event.seq),
            cause=None if cause is None else number(cause),
            body=msgspec.convert(body, type(event.body)),
        )
        yield Step(told, tuple(_numbered(each, number) for each in step.actions))


def _numbered(action: Action, number: Any) -> Action:
    attempt = action.attempt
    changed = None if attempt is None else number(attempt)
    return msgspec.structs.replace(action, attempt=changed)
