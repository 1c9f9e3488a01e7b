"""The record as a world to decide in: what was seen, and how processes behaved after each order.

Another policy orders other things at other times, so the record cannot simply be played again. It
is taken apart into two kinds of facts:

- News that no order led to: changes of sources, requests of operators, daemons that start and end,
  clients, deaths while no daemon was there. They come at the time at which they came.
- Answers: the events of an attempt after an order (spawn, reload, stop, kill, listen), with the
  time from the order to each. An order of the other policy gets the answer to the order of the
  record that is nearest in time. That order is about the same vassal, and where possible has the
  same config.

Deadlines are neither: the policy makes them.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from ..daemon.core.actions import Action
from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.fold import BY_ATTEMPT, BY_CHECK
from ..journal.events import Body, Event

RESUME: Final = "resume"  # stands for the order before the record begins
# Or the answer comes when it came. One to a check that comes later takes as long as it took.
UNANSWERED: Final = ("unlisten", "check", "uncheck")
# An adoption answers no order.
_ANSWERS: Final = (BY_ATTEMPT | {"listen_failed"}) - {"adopted"}
_DROPPED: Final = frozenset(
    (
        "deadline_passed", "rollout_due", "observation_rejected", "listing_doubted",
        "journal_adopted", "journal_archived", "checkpoint", "request_refused",
    )
)  # fmt: skip


class Answer(NamedTuple):
    """The events that an order led to: time since the order, kind and body."""

    at: int
    config: str | None
    events: list[tuple[int, str, Body]]


class Order(NamedTuple):
    """An order as it was given."""

    at: int
    do: str
    vassal: str


class RecordedFacts:
    """The parts of the record, from which the events of another run are made."""

    def __init__(self) -> None:
        self.news: list[Event] = []
        self.orders: list[Order] = []
        self.gaps: list[tuple[int, int]] = []  # when there was no daemon, with its both ends
        self.last_at = 0
        self.checks: dict[int, int] = {}  # how long each took, by the event of its verdict
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self._open: dict[str, tuple[int | None, Answer]] = {}  # attempt and answer, by vassal
        self._began: dict[int, int] = {}  # when each check was ordered, by that event

    def begin(self, fleet: Fleet) -> None:
        """The fleet with which the record begins: its processes go on as they did."""
        self.last_at = fleet.at
        for vassal in fleet.vassals.values():
            if vassal.attempt is not None or vassal.phase == "listening":
                answer = Answer(fleet.at, vassal.spec.config, [])
                self._answers[vassal.name, RESUME] = [answer]
                self._open[vassal.name] = (vassal.attempt, answer)

    def take(self, event: Event, orders: Iterable[Action]) -> None:
        """See an event as it was recorded, and the orders that it led to."""
        body: Any = event.body
        if event.kind == "daemon_started" and self.last_at:
            self.gaps.append((self.last_at, event.at))
        self.last_at = event.at
        away = getattr(body, "away", False)
        if event.kind in _ANSWERS and event.vassal is not None and not away:
            self._note(event)
        elif event.kind not in _DROPPED and not event.failed:
            self.news.append(event)
            if event.kind in BY_CHECK and body.check in self._began:
                self.checks[event.seq] = event.at - self._began.pop(body.check)
        for order in orders:
            self._order(event, order)

    def _note(self, event: Event) -> None:
        attempt = getattr(event.body, "attempt", None)
        opened = self._open.get(event.vassal or "")
        if opened is not None and (attempt is None or opened[0] == attempt):
            opened[1].events.append((event.at - opened[1].at, event.kind, event.body))

    def _order(self, event: Event, order: Action) -> None:
        if order.do == "check":
            self._began[event.seq] = event.at
        if order.do in UNANSWERED:
            return
        self.orders.append(Order(event.at, order.do, order.vassal))
        answer = Answer(event.at, order.config, [])
        self._answers.setdefault((order.vassal, order.do), []).append(answer)
        self._open[order.vassal] = (order.attempt, answer)

    def answer(self, vassal: str, do: str, config: str | None, at: int) -> Answer | None:
        """The answer to the nearest such order; None where the record has none."""
        known = self._answers.get((vassal, do), [])
        same = [each for each in known if each.config == config] or known
        if not same:
            return None
        place = bisect_left(same, at, key=lambda each: each.at)
        around = same[max(0, place - 1) : place + 1]
        return min(around, key=lambda each: abs(each.at - at))

    def count(self, do: str) -> int:
        """How many such orders were given."""
        return sum(order.do == do for order in self.orders)


def rechecked(body: Body, vassal: Vassal | None) -> Body | None:
    """The verdict of a preflight, of the vassal's present check; None where it has none."""
    if vassal is None or vassal.check is None:
        return None
    return msgspec.structs.replace(body, check=vassal.check)


def renamed(body: Body, attempt: int | None) -> Body:
    """The same body, of this attempt."""
    if not hasattr(body, "attempt"):
        return body
    return msgspec.structs.replace(body, attempt=attempt)
