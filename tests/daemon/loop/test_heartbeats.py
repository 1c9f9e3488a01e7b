"""Heartbeats are looked at when one may be late, and only those of vassals that send some."""

from collections.abc import Callable, Iterable

import trio
import trio.testing
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.daemon.loop.heartbeats import Heartbeats
from emperord.journal.events import Event, OfAttempt, Spec
from emperord.journal.policy import Policy

REQUIRED = 30.0  # seconds


class World:
    """A fleet whose vassals are up, and what is told of their silence."""

    def __init__(self, count: int) -> None:
        self.fleet = Fleet(policy=Policy(required_heartbeat=REQUIRED))
        self.looks: list[str] = []
        self.told: list[tuple[float, str | None]] = []
        self.beats: dict[str, float] = {}
        for number in range(count):
            name = f"{number}.ini"
            self.fleet.vassals[name] = Vassal(
                name,
                "dir:///v",
                Spec(ts=1),
                since=0,
                because=1,
                phase="accepting",
                attempt=1,
                control=True,
            )
        self.watch = Heartbeats(self.fleet, self, self.tell)  # type: ignore[arg-type]

    def silent_for(self, vassal: str, attempt: int | None) -> float:
        self.looks.append(vassal)
        return trio.current_time() - self.beats.get(vassal, self.began)

    async def tell(self, *inputs: Callable[[Fleet], Iterable[Draft | None]]) -> None:
        for meaning in inputs:
            for draft in meaning(self.fleet):
                assert draft is not None
                self.told.append((trio.current_time() - self.began, draft.vassal))
                assert draft.vassal is not None
                self.fleet.vassals[draft.vassal].phase = "stopping"

    def beat(self, name: str) -> None:
        """A heartbeat comes; the first one is an event."""
        self.beats[name] = trio.current_time()
        vassal = self.fleet.vassals[name]
        if not vassal.heartbeat:
            vassal.heartbeat = True
            self.watch.note(
                Event(1, 1, "heartbeat_started", None, name, None, OfAttempt(attempt=1))
            )

    def run(self, seconds: float, *steps: tuple[float, str]) -> None:
        async def main() -> None:
            self.began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.watch.watch)
                for second, name in steps:
                    await trio.sleep_until(self.began + second)
                    self.beat(name)
                await trio.sleep_until(self.began + seconds)
                nursery.cancel_scope.cancel()

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_fleet_without_heartbeats_is_not_looked_at() -> None:
    world = World(1000)
    world.run(3600)
    assert world.looks == []


def test_one_that_falls_silent_is_told_in_time_and_costs_few_looks() -> None:
    world = World(1000)
    world.run(200, *[(float(second), "7.ini") for second in range(1, 101)])
    [(at, name)] = world.told
    assert name == "7.ini"
    assert 100 + REQUIRED <= at < 100 + REQUIRED + 1
    assert set(world.looks) == {"7.ini"}
    assert len(world.looks) < 10


def test_the_earliest_of_many_decides() -> None:
    world = World(1000)
    world.run(100, (1, "1.ini"), (2, "2.ini"), (20, "1.ini"), (40, "1.ini"))
    assert [(round(at), name) for at, name in world.told] == [(32, "2.ini"), (70, "1.ini")]


def test_those_of_a_daemon_before_are_known() -> None:
    world = World(3)
    world.fleet.vassals["2.ini"].heartbeat = True
    world.run(100)
    assert [name for _, name in world.told] == ["2.ini"]
