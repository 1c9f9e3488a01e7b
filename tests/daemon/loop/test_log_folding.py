"""The log is folded into the journal as soon as nothing was appended for a moment."""

import math
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.loop.clock import Clock
from emperord.daemon.loop.deadlines import Deadlines
from emperord.daemon.loop.pending import Pending
from emperord.daemon.loop.recorder import Recorder
from emperord.daemon.loop.turn import Turn
from support.waiting import PATIENCE
from trio.testing import MockClock, wait_all_tasks_blocked


class Kept:
    """A journal that keeps nothing. Its log is always worth folding."""

    is_worthwhile = True

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "journal.db")
        self.log = self.texts = self
        self.looks = self.folds = 0
        self.may_append = threading.Event()
        self.may_append.set()

    def content(self, _: str) -> None:
        return None

    def append(self, *_: object) -> None:
        assert self.may_append.wait(PATIENCE)

    def fold(self, _: object) -> None:
        self.folds += 1

    def is_whole(self) -> bool:
        self.looks += 1
        return True

    def troubles(self) -> dict[str, str]:
        return {}

    def time_of(self, _: int) -> int:
        return 0


class Listener:
    def on_pause(self, reason: str, *_: object, **__: object) -> None:
        raise AssertionError(reason)

    def on_resume(self) -> None:
        raise AssertionError("it was never paused")


async def _told(_: Callable[..., Any]) -> None:
    raise AssertionError("nothing is told")


class Watch:
    """A recorder that watches the files of its journal, and the time that it goes by."""

    def __init__(self, folder: Path) -> None:
        self.journal, self.clock = Kept(folder), MockClock()
        now = Clock(1)
        self._pending = Pending(Fleet(), Deploys(), Deadlines(now, _told), now)
        self._recorder = Recorder(self.journal, Fleet(), self._pending, dict, Listener())

    async def run(self, steps: Callable[[], Awaitable[None]], *, told: bool) -> None:
        """Take the steps while it watches; ``told``: it waits for changes of files."""
        scope = trio.CancelScope()
        if not told:
            scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._recorder.watch_files, _told, scope)
            await self._sleeps()
            await steps()
            nursery.cancel_scope.cancel()

    async def append(self, at: float) -> None:
        """Append an event at this time, in seconds."""
        self.clock.jump(at - trio.current_time())
        await self._recorder.commit(Turn(self._pending.deploys, (), requests=False))

    async def folds_at(self, at: float) -> bool:
        """Whether it folds the log at its look at this time."""
        folds, looks, limit = self.journal.folds, self.journal.looks, time.monotonic() + PATIENCE
        self.clock.jump(at - trio.current_time())
        while self.journal.looks == looks:
            assert time.monotonic() < limit, f"it does not look after {at:g} s"
            await trio.lowlevel.checkpoint()
        await self._sleeps()
        return self.journal.folds > folds

    async def _sleeps(self) -> None:
        """Return when it waits for the time of its next look."""
        await wait_all_tasks_blocked()
        while trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf:
            await wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("appended", "folded"),
    [
        ((), (1, 2, 3, 4)),
        ((0.5, 1.5, 2.5, 3.5), (1, 2, 3, 4)),
        ((0.9, 1.9, 2.9, 3.9), ()),
        ((0.9, 1.9, 2.5), (3, 4)),
    ],
    ids=["idle", "half a second before", "a tenth before", "and then longer before"],
)
def test_it_is_folded_where_the_last_append_was_a_moment_ago(
    tmp_path: Path, appended: Sequence[float], folded: Sequence[float]
) -> None:
    watch, found = Watch(tmp_path), list[float]()

    async def steps() -> None:
        for at in sorted({1, 2, 3, 4, *appended}):
            if at in appended:
                await watch.append(at)
            elif await watch.folds_at(at):
                found.append(at)

    trio.run(partial(watch.run, steps, told=False), clock=watch.clock)
    assert found == list(folded)


def test_it_is_not_folded_while_an_event_is_appended(tmp_path: Path) -> None:
    watch, found = Watch(tmp_path), list[bool]()

    async def steps() -> None:
        watch.journal.may_append.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.append, 0.5)
            await wait_all_tasks_blocked()
            found.extend([await watch.folds_at(at) for at in (1, 2)])
            watch.journal.may_append.set()
        found.extend([await watch.folds_at(at) for at in (3, 4)])

    trio.run(partial(watch.run, steps, told=False), clock=watch.clock)
    assert found == [False, False, True, True]


def test_a_daemon_that_waits_for_changes_has_folded_it(tmp_path: Path) -> None:
    """It looks again a second later, as the last append was too short ago at the first look."""
    watch, found = Watch(tmp_path), list[bool]()

    async def steps() -> None:
        await watch.append(0.9)
        found.extend([await watch.folds_at(at) for at in (1, 2)])

    trio.run(partial(watch.run, steps, told=True), clock=watch.clock)
    assert found == [False, True]
