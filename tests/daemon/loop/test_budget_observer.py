"""Changes of an account above its budget: recorded without texts, and far above it they wait."""

from collections.abc import Iterable
from typing import Any, Final

import pytest
import trio
from emperord.daemon.control.first_look import FirstLook
from emperord.daemon.core import budget
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.daemon.loop.deferred import Source
from emperord.daemon.loop.input_queue import SHARE, BarrierInput, InputQueue, SourceInput
from emperord.daemon.loop.monitor_runner import MonitorRunner
from emperord.daemon.loop.observer import Observer
from emperord.journal.chain import digest
from emperord.journal.events import (
    Announced,
    DaemonStarted,
    Empty,
    Event,
    Gone,
    Rejected,
    Spec,
)
from emperord.journal.policy import Policy
from emperord.monitors.contract import Destroyed, Listing, Observation, Refused, Seen, Touched

BUDGET: Final = 1 << 20
TEXT: Final = 1 << 16
URL: Final = "dir:///v"
OTHER: Final = "dir:///other"  # given before it
HOUR: Final = 3600 * 10**9


class World:
    """An observer, and the fleet in tyrant mode that follows from what it said."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.observer = Observer()
        self.now = 1
        self.observer.clock = lambda: self.now
        self.events: list[Event] = []
        self.texts: dict[str, bytes] = {}
        policy = Policy(record_budget=BUDGET, tyrant=True)
        started = DaemonStarted(
            version="0", boot="b", pid=1, policy=policy, monitors=(OTHER, URL), rules=RULES
        )
        self.fold([Draft("daemon_started", started), Draft("daemon_ready", Empty())])

    def fold(self, drafts: Iterable[Draft | None]) -> None:
        for d in drafts:
            if d is None:
                continue
            self.now += 1
            seq = self.fleet.seq + 1
            event = Event(seq, self.now, d.kind, d.monitor, d.vassal, d.cause, d.body)
            fold(self.fleet, event)
            self.events.append(event)

    def see(self, *observations: Observation) -> list[str]:
        """Translate and fold; the kinds of the events."""
        before = len(self.events)
        for each in observations:
            self.fold(self.observer.translate(self.fleet, Source(URL, True), each))
            self.texts |= self.observer.take_contents()
        return [event.kind for event in self.events[before:]]

    def again(self) -> list[str]:
        """Try what waits, as the shell does."""
        before = len(self.events)
        for source, touched in self.observer.deferred.all():
            self.fold(self.observer.translate(self.fleet, source, touched))
            self.texts |= self.observer.take_contents()
        return [event.kind for event in self.events[before:]]

    def spend(self, amount: int) -> None:
        """Have the account of user 5 spend so much."""
        body = Announced(spec=seen(b"").spec, cost=amount)
        self.fold([Draft("vassal_changed", body, URL, "spender.ini")])

    @property
    def last(self) -> Any:
        return self.events[-1].body


def seen(text: bytes, ts: int = 1, uid: int = 5, **more: Any) -> Seen:
    spec = Spec(ts=ts, config=digest(text), uid=uid, gid=uid, **{"path": "/v/a.ini", **more})
    return Seen(spec, text)


def inline(text: bytes, ts: int = 1) -> Seen:
    return seen(text, ts, path=None)


@pytest.fixture
def world() -> World:
    """After the first listing, which costs nothing."""
    made = World()
    made.see(Listing({"spender.ini": seen(b"x" * TEXT)}))
    assert made.fleet.spent == {}
    return made


def test_a_change_costs_its_text_and_what_follows_from_it(world: World) -> None:
    world.see(Touched("a.ini", seen(b"x" * TEXT)))
    assert world.last.cost == TEXT + budget.EVENT
    assert digest(b"x" * TEXT) in world.texts


def test_all_changes_of_one_listing_count(world: World) -> None:
    texts = [bytes([number]) * TEXT for number in range(64)]
    names = {f"v{number}.ini": seen(text) for number, text in enumerate(texts)}
    world.see(Listing({"spender.ini": seen(b"x" * TEXT)} | names))
    stored = sum(len(text) for text in world.texts.values()) - TEXT
    assert BUDGET - TEXT <= stored <= BUDGET + TEXT
    assert len(world.fleet.vassals) == 65
    assert [event.body.over_budget for event in world.events[-64:]].count(True) >= 40  # type: ignore[attr-defined]


def test_above_the_budget_a_file_is_taken_without_its_text(world: World) -> None:
    world.spend(BUDGET + 1)
    assert world.see(Touched("a.ini", seen(b"new"))) == ["vassal_added"]
    assert world.last.over_budget
    assert world.last.cost == budget.EVENT
    assert world.fleet.vassals["a.ini"].spec.config == digest(b"new")
    assert digest(b"new") not in world.texts


def test_above_the_budget_an_inline_config_waits_until_it_can_be_recorded(world: World) -> None:
    world.see(Touched("a.ini", inline(b"old")))
    world.spend(BUDGET + 1)
    assert world.see(Touched("a.ini", inline(b"new", 2))) == ["observation_rejected"]
    assert world.last == Rejected(name="uid 5", reason=budget.SPENT)
    assert world.again() == []
    assert world.fleet.vassals["a.ini"].spec.config == digest(b"old")
    world.now += 4 * HOUR
    assert world.again() == ["vassal_changed"]
    assert world.texts[digest(b"new")] == b"new"
    assert not world.observer.deferred


def test_another_ts_of_the_same_inline_config_needs_no_text(world: World) -> None:
    world.see(Touched("a.ini", inline(b"old")))
    world.spend(BUDGET + 1)
    assert world.see(Touched("a.ini", inline(b"old", 2))) == ["vassal_changed"]


def test_far_above_the_budget_all_changes_wait_and_it_is_said_once(world: World) -> None:
    world.spend(2 * BUDGET + 1)
    said = world.see(*(Touched(f"v{number}.ini", seen(b"new")) for number in range(50)))
    assert said == ["observation_rejected"]
    names = {f"v{number}.ini": seen(b"new") for number in range(50)}
    assert world.see(Listing({"spender.ini": seen(b"")} | names)) == []
    assert world.observer.deferred.counts() == {"uid 5": 50}
    world.now += 4 * HOUR
    assert world.again() == ["vassal_added"] * 50
    assert world.observer.deferred.counts() == {}


def test_another_user_does_not_wait(world: World) -> None:
    world.spend(2 * BUDGET + 1)
    assert world.see(Touched("b.ini", seen(b"new", uid=6))) == ["vassal_added"]
    assert not world.last.over_budget


def test_the_last_change_counts_and_one_that_is_gone_does_not_come_back(world: World) -> None:
    world.spend(2 * BUDGET + 1)
    world.see(Touched("a.ini", seen(b"one")), Touched("a.ini", seen(b"two", 2)))
    world.see(Touched("b.ini", seen(b"one")), Destroyed("b.ini"))
    world.now += 4 * HOUR
    assert world.again() == ["vassal_added"]
    assert world.fleet.vassals["a.ini"].spec.ts == 2


def test_what_a_listing_no_longer_has_does_not_come_back(world: World) -> None:
    world.spend(2 * BUDGET + 1)
    world.see(Touched("a.ini", seen(b"one")))
    world.see(Listing({"spender.ini": seen(b"")}))
    assert world.observer.deferred.all() == []


def test_a_source_that_makes_up_names_has_its_rejections_counted(world: World) -> None:
    said = world.see(*(Refused(f"bad {number}", "no name") for number in range(10_500)))
    assert said == ["observation_rejected"] * 10_001
    assert world.last == Rejected(name="...", reason="10000 in an hour; others are only counted")
    assert world.observer.uncounted == {URL: 500}
    world.now += HOUR
    assert world.see(Refused("bad", "no name")) == ["observation_rejected"]
    assert world.observer.uncounted == {}


@pytest.mark.parametrize("how", ["announced", "listed", "listed as it is known"])
def test_a_change_that_its_source_takes_back_waits_no_longer(how: str) -> None:
    world = World()
    first = seen(b"one", path=None)
    world.see(Touched("a.ini", first))
    world.spend(2 * BUDGET)
    assert world.see(Touched("a.ini", seen(b"two", path=None))) == ["observation_rejected"]
    assert world.observer.deferred
    if how == "listed as it is known":
        first = Seen(world.fleet.vassals["a.ini"].spec)
    assert (
        world.see(Touched("a.ini", first) if how == "announced" else Listing({"a.ini": first}))
        == []
    )
    assert not world.observer.deferred
    # To change it back and forth is told once in an hour.
    for _ in range(3):
        assert world.see(Touched("a.ini", seen(b"two", path=None))) == []
        assert world.observer.deferred
        assert world.see(Touched("a.ini", first)) == []
    world.now += HOUR
    assert world.see(Touched("a.ini", seen(b"two", path=None))) == ["observation_rejected"]


@pytest.mark.parametrize("why", ["too long", "another's", "ts"])
def test_a_change_waits_no_longer_when_a_newer_one_is_rejected(why: str) -> None:
    world = World()
    world.see(Touched("a.ini", seen(b"one", path=None)))
    world.spend(2 * BUDGET)
    assert world.see(Touched("a.ini", seen(b"two", ts=2, path=None))) == ["observation_rejected"]
    source = Source(URL, trusts_content=why != "ts")
    newer = seen(b"x" * (1 << 20) if why == "too long" else b"three", path=None)
    if why == "another's":
        moved = Announced(spec=seen(b"one", path=None).spec)
        world.fold([Draft("vassal_removed", Gone(reason=""), URL, "a.ini")])
        world.fold([Draft("vassal_added", moved, OTHER, "a.ini")])
    world.fold(world.observer.translate(world.fleet, source, Touched("a.ini", newer)))
    assert world.events[-1].kind == "observation_rejected"
    assert "budget" not in world.last.reason
    assert not world.observer.deferred


@pytest.mark.parametrize("count", [1, 3 * SHARE], ids=["one", "more than one share"])
def test_no_change_waits_when_the_daemon_leaves(count: int) -> None:
    """Nor does one that comes behind the order to leave, and whose sender hears of it."""
    world = World()
    names = [f"a{number}.ini" for number in range(count)]
    for name in names:
        world.see(Touched(name, seen(b"one", path=None)))
    world.spend(2 * BUDGET)
    for name in names:
        world.see(Touched(name, seen(b"two", path=None)))
    queue = InputQueue(lambda given: iter(given(world.fleet)))
    fleet, observer = world.fleet, world.observer
    monitors = MonitorRunner(fleet, observer, queue, not_told, FirstLook())
    source = Source(URL, True)

    def comes(news: Touched) -> None:
        queue.put(SourceInput(URL, lambda _: observer.translate(fleet, source, news)), trio.Event())

    comes(Touched("before.ini", seen(b"b", path=None)))
    queue.put(BarrierInput(monitors.take_deferred), trio.Event())
    comes(Touched("behind.ini", seen(b"b", path=None)))
    comes(Touched(names[-1], seen(b"three", path=None)))
    while len(queue):
        queue.take(lambda draft: world.fold([draft]))
    assert not world.observer.deferred
    configs = {name: vassal.spec.config for name, vassal in world.fleet.vassals.items()}
    assert configs["before.ini"] == configs["behind.ini"] == digest(b"b")
    assert configs[names[-1]] == digest(b"three")
    assert {configs[name] for name in names[:-1]} <= {digest(b"two")}
    monitors.stay()
    assert world.see(Touched("a0.ini", seen(b"four", path=None))) == []
    assert world.observer.deferred


async def not_told(*_: object) -> None:
    raise AssertionError("nothing is told here")
