"""The log is folded into the journal as soon as nothing was appended for a moment."""

import math
from collections.abc import Callable, Sequence
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
from trio.testing import MockClock, wait_all_tasks_blocked

LOOKS = (1.0, 2.0, 3.0, 4.0)  # seconds after the watch begins


class Kept:
    """A journal that keeps nothing. Its log is always worth folding."""

    is_worthwhile = True

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "journal.db")
        self.log = self
        self.looks = self.folds = 0

    def append(self, *_: object) -> None:
        """Keep nothing."""

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
    journal, clock = Kept(tmp_path), MockClock()
    now = Clock(1)
    pending = Pending(Fleet(), Deploys(), Deadlines(now, _told), now)
    found: list[float] = []

    async def follow() -> None:
        recorder = Recorder(journal, Fleet(), pending, dict, Listener())
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            scope.cancel()  # it looks without events of files
            nursery.start_soon(recorder.watch_files, _told, scope)
            for at in sorted({*LOOKS, *appended}):
                await wait_all_tasks_blocked()
                while trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf:
                    await wait_all_tasks_blocked()  # until it waits for its next look
                before, looks = journal.folds, journal.looks
                clock.jump(at - trio.current_time())
                if at in appended:
                    await recorder.commit(Turn(pending.deploys, (), requests=False))
                    continue
                while journal.looks == looks:
                    await trio.lowlevel.checkpoint()
                found.extend([at] * (journal.folds - before))
            nursery.cancel_scope.cancel()

    trio.run(follow, clock=clock)
    assert found == list(folded)
