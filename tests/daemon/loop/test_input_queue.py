"""A source that tells of thousands of vassals holds up no other."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
import trio
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.loop import input_queue
from emperord.daemon.loop.deferred import Deferred
from emperord.daemon.loop.deferred import Source as Of
from emperord.daemon.loop.input_queue import MOST, SHARE, BarrierInput, InputQueue, SourceInput
from emperord.daemon.loop.turn import Input
from emperord.journal.events import Empty, OperatorRequested, Spec
from emperord.monitors.contract import Seen, Touched
from support.steered import Source, Steered, inline, steered

MANY: Final = 10 * MOST
A: Final = "test://a"
SPEC: Final = Spec(ts=1)


def many(name: str, count: int) -> Input:
    """An input of so many events, of which each may wait."""

    def meaning(_: Fleet) -> Iterable[Draft | None]:
        for number in range(count):
            yield None
            yield Draft("vassal_added", Empty(), None, f"{name}{number}")

    return meaning


class Taken:
    """An input queue, and what was taken from it: pass by pass, the names of the inputs."""

    def __init__(self) -> None:
        self.input_queue = InputQueue(self._read)
        self.passes: list[str] = []
        self.finished: list[trio.Event] = []
        self._names: list[str] = []

    @staticmethod
    def _read(given: Input) -> Iterator[Draft | None]:
        yield from given(Fleet())

    def put(self, given: Input) -> trio.Event:
        done = trio.Event()
        self.input_queue.put(given, done)
        return done

    def all(self) -> list[str]:
        """Take all that waits."""
        while self.input_queue:
            self._names = []
            self.finished += self.input_queue.take(self._note)
            self.passes.append("".join(self._names))
        return self.passes

    def _note(self, draft: Draft) -> None:
        assert draft.vassal is not None
        self._names.append(draft.vassal[0])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two events are a share."""
    monkeypatch.setattr(input_queue, "SHARE", 2)


@pytest.mark.usefixtures("small")
def test_each_input_gives_its_share() -> None:
    taken = Taken()
    done = [taken.put(many("a", 5)), taken.put(many("b", 1)), taken.put(many("c", 3))]
    assert taken.all() == ["aabcc", "aac", "a"]
    assert taken.finished == [done[1], done[2], done[0]]


@pytest.mark.usefixtures("small")
def test_one_source_keeps_its_order() -> None:
    taken = Taken()
    taken.put(SourceInput(A, many("a", 3)))
    taken.put(SourceInput(A, many("b", 1)))
    taken.put(SourceInput("test://other", many("c", 1)))
    assert taken.input_queue.has_of(A)
    assert taken.all() == ["aac", "ab"]
    assert not taken.input_queue.has_of(A)


@pytest.mark.usefixtures("small")
def test_an_input_may_wait_for_all_that_came_before() -> None:
    taken = Taken()
    taken.put(SourceInput(A, many("a", 3)))
    taken.put(BarrierInput(many("b", 1)))
    taken.put(BarrierInput(many("c", 1)))
    taken.put(many("d", 3))
    assert taken.all() == ["aadd", "abcd"]


@pytest.mark.usefixtures("small")
def test_events_that_belong_together_are_one_share() -> None:
    taken = Taken()
    taken.put(lambda _: [Draft("vassal_added", Empty(), None, "a")] * 5)
    taken.put(many("b", 1))
    assert taken.all() == ["aaaaab"]


def test_a_change_that_waits_is_told_once() -> None:
    """A newer one, or one that was taken, is not overtaken by it."""
    deferred = Deferred()
    old, new = Touched("a.ini", Seen(SPEC)), Touched("a.ini", Seen(Spec(ts=2)))
    deferred.add(Of(A, True), "a.ini", old.seen, "user 5")
    [(_, waits)] = deferred.all()
    assert deferred.has(A, waits)
    deferred.add(Of(A, True), "a.ini", new.seen, "user 5")
    assert not deferred.has(A, waits)
    deferred.drop(A, "a.ini")
    assert not deferred.has(A, new)


def listed(count: int, ts: int) -> dict[str, Seen]:
    """Vassals that are barred."""
    return {f"v{number}": inline(f"{number}", ts, bar="not to run") for number in range(count)}


async def begun(daemon: Steered, begin: int) -> int:
    """Return when the first turn of a long listing is recorded: how many events there are."""
    while daemon.fleet.seq == begin:
        await trio.lowlevel.checkpoint()
    assert daemon.fleet.seq < begin + MANY
    return daemon.fleet.seq


async def between(daemon: Steered, busy: Source, other: Source, ts: int) -> int:
    """While one source lists many, another lists one: after how many events that is recorded."""
    begin = daemon.fleet.seq
    after = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: busy.lists(**listed(MANY, ts)))
        asked = await begun(daemon, begin)
        await other.lists(it=inline("it", ts, bar="not to run"))
        vassal = daemon.vassal("it.ini")
        assert vassal is not None
        assert vassal.spec.ts == ts
        after = daemon.fleet.seq - asked
    assert daemon.fleet.seq >= begin + MANY
    return after


async def test_another_source_does_not_wait_for_a_long_listing(tmp_path: Path) -> None:
    busy, other = Source(A), Source("test://other")
    async with steered(tmp_path, busy, other, record_budget=0) as daemon:
        await busy.lists()
        await other.lists()
        # The turn that was being recorded, and the next one, which both take a share of.
        for ts in (1, 2):
            assert await between(daemon, busy, other, ts) <= MOST + 5 * SHARE
        known = [vassal.spec.ts for vassal in daemon.fleet.vassals.values()]
        assert known == [2] * (MANY + 1)


async def test_what_a_long_listing_lacks_is_removed_at_its_end(tmp_path: Path) -> None:
    source = Source(A)
    gone = {f"gone{number}": inline("gone", 1, bar="not to run") for number in range(3)}
    async with steered(tmp_path, source, record_budget=0) as daemon:
        await source.lists(**gone, **listed(10, 1))
        await source.lists(**listed(3 * MOST, 2))
        kinds = [kind for kind in daemon.kinds() if kind.startswith("vassal_")]
        assert kinds[-3:] == ["vassal_removed"] * 3
        assert kinds.count("vassal_removed") == 3
        assert len(daemon.fleet.vassals) == 3 * MOST


async def test_an_operator_does_not_wait_for_a_long_listing(tmp_path: Path) -> None:
    source = Source(A)
    async with steered(tmp_path, source, record_budget=0) as daemon:
        await source.lists()
        begin = daemon.fleet.seq
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: source.lists(**listed(MANY, 1)))
            asked = await begun(daemon, begin)
            request = OperatorRequested(request="stop", via="test")
            await daemon.shell.view.record(Draft("operator_requested", request, None, "v0.ini"))
            assert daemon.fleet.seq - asked <= MOST + 5 * SHARE
