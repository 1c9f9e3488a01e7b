"""Threads that all share: jobs of one user leave some for others, and for the journal."""

import threading
from pathlib import Path

import trio
import trio.testing
from emperord.daemon.host.threads import Shares, run_sync
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
