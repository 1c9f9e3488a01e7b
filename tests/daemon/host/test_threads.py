"""Threads and looks that all share: jobs of one user leave some for others, and for the journal."""

import threading
from pathlib import Path

import trio
import trio.testing
from emperord.daemon.host.threads import Shared, Shares, run_sync
from support.steered import Source, inline, steered

ALICE, BOB = 61_001, 61_002


async def test_jobs_of_one_user_leave_threads_for_others() -> None:
    shares, go_on = Shares(), threading.Event()
    done: list[int] = []

    async def work() -> None:
        await shares.run_sync(ALICE, go_on.wait)
        done.append(ALICE)

    async with trio.open_nursery() as nursery:
        try:
            for _ in range(100):
                nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(10):
                assert await shares.run_sync(BOB, lambda: "done") == "done"
                assert await shares.run_sync(None, lambda: "done") == "done"
            assert not done
        finally:
            go_on.set()
    assert len(done) == 100


async def test_the_journal_does_not_wait_for_a_thread(tmp_path: Path) -> None:
    source, go_on = Source(), threading.Event()
    async with steered(tmp_path, source) as daemon, trio.open_nursery() as nursery:
        await source.lists()
        most = trio.to_thread.current_default_thread_limiter().total_tokens
        try:
            for _ in range(2 * int(most)):
                nursery.start_soon(lambda: run_sync(go_on.wait))
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(10):
                await source.lists(it=inline("it", 1, bar="not to run"))
            assert daemon.vassal("it.ini") is not None
        finally:
            go_on.set()


async def test_callers_that_wait_share_a_look_that_began_after_they_asked() -> None:
    begun: list[int] = []

    def look() -> int:
        begun.append(len(begun))
        return begun[-1]

    shared = Shared(look)
    seen: list[int] = []

    async def ask() -> None:
        seen.append(await shared())

    async with trio.open_nursery() as nursery, shared.lock:
        for _ in range(5):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert not begun
    assert seen == [0] * 5
    assert await shared() == 1


async def test_a_look_that_fails_is_made_again_for_the_next_caller() -> None:
    tries: list[int] = []

    def look() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OSError
        return 7

    shared = Shared(look)
    seen: list[int | None] = []

    async def ask() -> None:
        try:
            seen.append(await shared())
        except OSError:
            seen.append(None)

    async with trio.open_nursery() as nursery, shared.lock:
        for _ in range(5):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [None, None, 7, 7, 7]
    assert len(tries) == 3
