"""``simulate``: what another policy would have decided about the recorded news.

The fold decides, as in the daemon. ``recorded_facts.py`` says what it is told. The same world
decides twice, by the recorded policy and by the other one. The difference of both is the answer,
and that of the first one to the record says how good the model is.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec

from ..daemon.core.fleet import Fleet, copied
from ..daemon.core.fold import BY_CHECK
from ..journal.events import (
    Body,
    DeadlinePassed,
    Event,
    Exited,
    HeartbeatLost,
    OfAttempt,
    RolloutDue,
    Spawned,
)
from ..journal.policy import Policy
from ..journal.reading import Reader
from ..journal.times import rfc3339, took
from ..monitors.names import shown
from . import intact_events
from .clocks import stamp
from .event_text import decode_actions
from .rebuild import base, fold_one
from .recorded_facts import RESUME, UNANSWERED, Order, RecordedFacts, rechecked, renamed
from .tally import Window

_SECOND: Final = 1_000_000_000
_SAME: Final = 1_000_000  # nanoseconds; two orders as near as that are at the same time
_SOON: Final = _SECOND // 10
# The answers to orders of which the record has none like it.
_LIKELY: Final[dict[str, list[tuple[int, str, Body]]]] = {
    "spawn": [
        (1, "spawned", Spawned(attempt=0, pid=1, start_time=0)),
        (_SOON, "vassal_accepting", OfAttempt(attempt=0)),
    ],
    "reload": [(_SOON, "vassal_accepting", OfAttempt(attempt=0))],
    "stop": [(_SOON, "exited", Exited(attempt=0, code=0))],
    "kill": [(1, "exited", Exited(attempt=0, signal=9))],
}
_NEAREST: Final = (
    "each attempt is taken to go as the recorded one that is nearest in time, where possible with"
    " the same config; the world may have answered otherwise"
)
ORDERS: Final = ("spawn", "reload", "stop", "kill")
WORDS: Final = {"spawn": "starts", "reload": "reloads", "stop": "stops", "kill": "kills"}
PHASES: Final = ("throttled", "queued", "starting")


def facts_of(reader: Reader, window: Window) -> tuple[Fleet, RecordedFacts]:
    """The fleet at the beginning, and the record after it. Raises Damaged, NewerFormat."""
    fleet, _ = base(reader, window.before)
    for event, _ in intact_events.events(reader, fleet.seq, window.before):
        fold_one(fleet, event)
    facts = RecordedFacts()
    facts.begin(fleet)
    for event, row in intact_events.events(reader, window.before, window.last):
        facts.take(event, decode_actions(row[7]))
    return fleet, facts


class Run:
    """One run of the recorded facts by one policy."""

    def __init__(
        self, fleet: Fleet, facts: RecordedFacts, changes: dict[str, Any], until: int
    ) -> None:
        self.fleet, self.facts, self.changes, self.until = copied(fleet), facts, changes, until
        self.fleet.policy = msgspec.structs.replace(fleet.policy, **changes)
        self.orders: list[Order] = []
        self.spent: dict[str, dict[str, int]] = {}  # nanoseconds, by vassal and phase
        self.assumed = 0  # orders to which the record has no answer
        self._agenda: list[tuple[int, int, str, int | None, str, Body]] = []
        self._numbers = count()
        self._valid: dict[str, int] = {}  # by vassal, since which number its answers count
        self._asked: set[tuple[str, int]] = set()  # deadlines that are on the agenda
        self._phases = {name: (each.phase, fleet.at) for name, each in fleet.vassals.items()}
        self._verdicts: dict[str, Event] = {}  # of changes that wait for their turn
        self._gaps = iter(facts.gaps)
        self._gap = next(self._gaps, None)

    def run(self) -> None:
        """Decide everything. Raises NewerFormat, FoldFailed."""
        self._look(None)
        for vassal in self.fleet.vassals.values():
            answer = self.facts.answer(vassal.name, RESUME, None, self.fleet.at)
            self._plan(self.fleet.at, vassal.name, vassal.attempt, answer.events if answer else [])
        for news in self.facts.news:
            self._until(news.at)
            self._tell(news)
        self._until(self.until)
        for name in self._phases:
            self._note_phase(name, self.until)

    def _until(self, at: int) -> None:
        """Let all happen that comes before the next news."""
        while self._agenda and self._agenda[0][0] < at:
            due, number, name, attempt, kind, body = heappop(self._agenda)
            if (later := self._in_gap(due)) is not None:
                heappush(self._agenda, (later, number, name, attempt, kind, body))
            elif kind in BY_CHECK:
                self._judge(due, kind, name, body)
            elif self._is_due(name, number, body):
                self._happen(due, kind, None, name or None, renamed(body, attempt))

    def _is_due(self, name: str, number: int, body: Body) -> bool:
        """Whether it still happens: no order or other deadline has come between."""
        if isinstance(body, RolloutDue):
            rollout = self.fleet.rollouts.get(body.rollout)
            return rollout is not None and rollout.deadline == body.deadline
        vassal = self.fleet.vassals.get(name)
        if vassal is None:
            return False
        if isinstance(body, DeadlinePassed):
            self._asked.discard((name, body.deadline))
            return vassal.deadline == body.deadline
        return number >= self._valid.get(name, 0)

    def _in_gap(self, at: int) -> int | None:
        """The end of the time without a daemon in which this is."""
        while self._gap is not None and self._gap[1] < at:
            self._gap = next(self._gaps, None)
        if self._gap is not None and self._gap[0] < at < self._gap[1]:
            return self._gap[1] + 1
        return None

    def _tell(self, news: Event) -> None:
        body: Any = news.body
        if news.kind == "daemon_started":
            policy: Policy = msgspec.structs.replace(body.policy, **self.changes)
            body = msgspec.structs.replace(body, policy=policy)
        if news.kind in BY_CHECK:
            self._take_verdict(news)
            return
        if hasattr(body, "attempt"):  # adopted, or dead while no daemon was there
            vassal = self.fleet.vassals.get(news.vassal or "")
            if vassal is None or vassal.attempt is None:
                return
            body = renamed(body, vassal.attempt)
            if isinstance(body, Exited):
                self._valid[vassal.name] = next(self._numbers)
        self._happen(news.at, news.kind, news.monitor, news.vassal, body)

    def _take_verdict(self, news: Event) -> None:
        """It comes when it came. A change that waits for its turn is checked later."""
        vassal = self.fleet.vassals.get(news.vassal or "")
        if vassal is not None and vassal.check is None and vassal.waits_in is not None:
            self._verdicts[vassal.name] = news
        elif vassal is not None:
            self._judge(news.at, news.kind, vassal.name, news.body)

    def _judge(self, at: int, kind: str, name: str, body: Body) -> None:
        """The check of a vassal ends so, if one is under way."""
        verdict = rechecked(body, self.fleet.vassals.get(name))
        if verdict is not None:
            self._happen(at, kind, None, name, verdict)

    def _check(self, at: int, name: str) -> None:
        """A check is ordered, of which the verdict may have come in the record already."""
        news = self._verdicts.pop(name, None)
        if news is not None:
            until = at + self.facts.checks.get(news.seq, _SOON)
            heappush(self._agenda, (until, next(self._numbers), name, None, news.kind, news.body))

    def _happen(
        self, at: int, kind: str, monitor: str | None, vassal: str | None, body: Body
    ) -> None:
        fleet = self.fleet
        at = max(at, fleet.at + 1)
        event = Event(fleet.seq + 1, at, kind, monitor, vassal, None, body)
        actions = fold_one(fleet, event)
        for action in actions:
            if action.do == "check":
                self._check(at, action.vassal)
            if action.do not in UNANSWERED:
                self.orders.append(Order(at, action.do, action.vassal))
                self._answer(at, action.do, action.vassal, action.attempt, action.config)
        if vassal is None:
            self._look(None)
        else:
            for name in {vassal, *(action.vassal for action in actions), *fleet.turned}:
                self._look(name)
        self._look_at_rollouts()

    def _answer(self, at: int, do: str, name: str, attempt: int | None, config: str | None) -> None:
        """Plan the events of the process, or of the host, that an order leads to."""
        answer = self.facts.answer(name, do, config, at)
        events = [] if answer is None else answer.events
        if answer is None and do != "listen":
            self.assumed += 1
            events = _LIKELY[do]
        elif do == "kill" and not events:
            events = _LIKELY[do]  # the record ends there, and no process outlives a kill
        self._plan(at, name, attempt, events)

    def _plan(
        self, at: int, name: str, attempt: int | None, events: list[tuple[int, str, Body]]
    ) -> None:
        self._valid[name] = next(self._numbers)
        for after, kind, body in events:
            if isinstance(body, HeartbeatLost) and "required_heartbeat" in self.changes:
                after += int((self.changes["required_heartbeat"] - body.silent) * _SECOND)
            number = next(self._numbers)
            heappush(self._agenda, (at + max(after, 1), number, name, attempt, kind, body))

    def _look(self, name: str | None) -> None:
        """See the deadlines and the phases that an event has led to."""
        fleet = self.fleet
        for each in [name] if name is not None else list(fleet.vassals | self._phases):
            vassal = fleet.vassals.get(each)
            known = self._phases.get(each)
            phase = None if vassal is None else vassal.phase
            if known is None or known[0] != phase:
                self._note_phase(each, fleet.at)
            if vassal is None or vassal.deadline is None:
                continue
            if (each, vassal.deadline) not in self._asked:
                self._asked.add((each, vassal.deadline))
                number = next(self._numbers)
                body = DeadlinePassed(deadline=vassal.deadline)
                heappush(
                    self._agenda, (vassal.deadline, number, each, None, "deadline_passed", body)
                )

    def _look_at_rollouts(self) -> None:
        """See the deadlines of rollouts, which are few."""
        for rollout in self.fleet.rollouts.values():
            at = rollout.deadline
            if at is None or (f"rollout {rollout.seq}", at) in self._asked:
                continue
            self._asked.add((f"rollout {rollout.seq}", at))
            body = RolloutDue(rollout=rollout.seq, deadline=at)
            heappush(self._agenda, (at, next(self._numbers), "", None, "rollout_due", body))

    def _note_phase(self, name: str, at: int) -> None:
        known = self._phases.get(name)
        if known is not None:
            spent = self.spent.setdefault(name, {})
            spent[known[0]] = spent.get(known[0], 0) + at - known[1]
        vassal = self.fleet.vassals.get(name)
        if vassal is None:
            self._phases.pop(name, None)
        else:
            self._phases[name] = (vassal.phase, at)


# The comparison


class Difference(NamedTuple):
    """The first order of a vassal that differs; None where one of both gives none."""

    vassal: str
    model: Order | None
    other: Order | None

    @property
    def at(self) -> int:
        """When the runs part."""
        return min(order.at for order in (self.model, self.other) if order is not None)


class Comparison:
    """Two runs of the same facts, and the record."""

    def __init__(self, facts: RecordedFacts, model: Run, other: Run) -> None:
        self.facts, self.model, self.other = facts, model, other
        ours, theirs = _by_vassal(model.orders), _by_vassal(other.orders)
        names = sorted(ours.keys() | theirs.keys())
        found = [_first(name, ours.get(name, []), theirs.get(name, [])) for name in names]
        self.differing = [each for each in found if each is not None]
        self.first = min(self.differing, key=lambda each: (each.at, each.vassal), default=None)
        self.later, self.earlier, self.delay = 0, 0, 0
        for name in names:
            starts = [_starts(orders.get(name, [])) for orders in (ours, theirs)]
            for one, another in zip(*starts, strict=False):
                self.later += another - one >= _SAME
                self.earlier += one - another >= _SAME
                self.delay += another - one
        self.reordered = _reordered(model.orders, other.orders)

    def totals(self) -> dict[str, dict[str, float]]:
        """Orders and seconds: of the record, by its policy as modelled, and by the other."""
        found: dict[str, dict[str, float]] = {}
        for do in ORDERS:
            found[WORDS[do]] = {
                "recorded": self.facts.count(do),
                "modelled": sum(order.do == do for order in self.model.orders),
                "set": sum(order.do == do for order in self.other.orders),
            }
        for phase in PHASES:
            found[f"{phase}_s"] = {
                "modelled": _seconds_in(self.model, phase),
                "set": _seconds_in(self.other, phase),
            }
        return found

    def unknown(self) -> list[str]:
        """The limits of what can be said about these runs."""
        told = [_NEAREST]
        told += self._limits_of_model()
        changes = self.other.changes
        if "mercy" in changes and self.facts.count("kill"):
            told.append(
                "a stop that was cut short by a kill may have ended by itself with more mercy"
            )
        if "required_heartbeat" in changes:
            told.append("heartbeats are not recorded, so only those that were lost are moved")
        return told

    def _limits_of_model(self) -> Iterator[str]:
        if self.other.assumed:
            yield (
                f"{_orders(self.other.assumed)} of which the record has none like it: a start or"
                " a reload is taken to go well, a stop to be obeyed"
            )
        totals = self.totals()
        wrong = [
            f"{totals[word]['modelled']:.0f} {word} instead of {totals[word]['recorded']:.0f}"
            for word in WORDS.values()
            if totals[word]["modelled"] != totals[word]["recorded"]
        ]
        if wrong:
            yield (
                "by the recorded policy, too, the model differs from the record:"
                f" {', '.join(wrong)}; differences as small as that mean nothing"
            )

    def as_json(self) -> dict[str, Any]:
        """All that there is to tell, for ``--json``."""
        first = self.first
        return {
            "set": {name.replace("_", "-"): value for name, value in self.other.changes.items()},
            "first_difference": None if first is None else _difference_json(first),
            "totals": self.totals(),
            "starts_later": self.later,
            "starts_earlier": self.earlier,
            "starts_reordered": self.reordered,
            "delay_s": round(self.delay / _SECOND, 3),
            "vassals": [_difference_json(each) for each in self.differing],
            "assumed": self.other.assumed,
            "unknown": self.unknown(),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        first = self.first
        if first is None:
            yield "the same orders at the same times"
        else:
            yield f"first difference: {shown(first.vassal)}"
            yield f"  by the recorded policy: {_told(first.model)}"
            yield f"  with these settings:    {_told(first.other)}{_delay(first)}"
            count_ = (
                "1 vassal gets"
                if len(self.differing) == 1
                else f"{len(self.differing)} vassals get"
            )
            yield f"{count_} other orders, or the same at other times"
        yield ""
        yield f"{'':14} {'RECORDED':>10} {'MODELLED':>10} {'WITH --set':>10}"
        for word, values in self.totals().items():
            cells = [_cell(word, values.get(key)) for key in ("recorded", "modelled", "set")]
            yield f"{word.removesuffix('_s'):14} " + " ".join(f"{cell:>10}" for cell in cells)
        if self.later or self.earlier or self.reordered:
            yield ""
            yield (
                f"starts that both have: {self.later} later, {self.earlier} earlier,"
                f" {_signed(self.delay)} in all; {self.reordered} in another order"
            )
        yield ""
        yield "This cannot be known for certain:"
        for text in self.unknown():
            yield f"- {text}"


def _orders(number: int) -> str:
    return "1 order was given" if number == 1 else f"{number} orders were given"


def _by_vassal(orders: list[Order]) -> dict[str, list[Order]]:
    found: dict[str, list[Order]] = {}
    for order in orders:
        found.setdefault(order.vassal, []).append(order)
    return found


def _starts(orders: list[Order]) -> list[int]:
    return [order.at for order in orders if order.do == "spawn"]


def _first(name: str, ours: list[Order], theirs: list[Order]) -> Difference | None:
    for one, another in zip(ours, theirs, strict=False):
        if one.do != another.do or abs(one.at - another.at) >= _SAME:
            return Difference(name, one, another)
    if len(ours) == len(theirs):
        return None
    place = min(len(ours), len(theirs))
    longer = ours if len(ours) > len(theirs) else theirs
    rest = longer[place]
    return Difference(name, rest, None) if longer is ours else Difference(name, None, rest)


def _reordered(ours: list[Order], theirs: list[Order]) -> int:
    """How many of the starts that both have come at another place among these."""
    one, another = _numbered(ours), _numbered(theirs)
    common = set(one) & set(another)
    one = [each for each in one if each in common]
    another = [each for each in another if each in common]
    return sum(left != right for left, right in zip(one, another, strict=True))


def _numbered(orders: list[Order]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    found = []
    for order in orders:
        if order.do == "spawn":
            counts[order.vassal] = number = counts.get(order.vassal, 0) + 1
            found.append((order.vassal, number))
    return found


def _seconds_in(run: Run, phase: str) -> float:
    return round(sum(spent.get(phase, 0) for spent in run.spent.values()) / _SECOND, 3)


def _difference_json(difference: Difference) -> dict[str, Any]:
    return {
        "vassal": difference.vassal,
        "modelled": _order_json(difference.model),
        "set": _order_json(difference.other),
    }


def _order_json(order: Order | None) -> dict[str, str] | None:
    return None if order is None else {"do": order.do, "at": rfc3339(order.at)}


def _told(order: Order | None) -> str:
    return "no order" if order is None else f"{order.do} at {stamp(order.at)}"


def _delay(difference: Difference) -> str:
    one, another = difference.model, difference.other
    if one is None or another is None or one.do != another.do:
        return ""
    return f", {_signed(another.at - one.at)}"


def _signed(nanoseconds: int) -> str:
    return f"{took(abs(nanoseconds))} {'later' if nanoseconds >= 0 else 'earlier'}"


def _cell(word: str, value: float | None) -> str:
    if value is None:
        return "-"
    return took(int(value * _SECOND)) if word.endswith("_s") else f"{value:.0f}"
