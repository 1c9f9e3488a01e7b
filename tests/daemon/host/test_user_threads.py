"""Threads for tenants' files: what one user's mounts do is that user's."""

import threading

import pytest
import trio
import trio.testing
from emperord.daemon.host.user_threads import NoAnswer, UserThreads

ALICE, BOB = 61_001, 61_002


async def test_a_job_that_hangs_is_its_users() -> None:
    users, answers = UserThreads(patience=0.05), threading.Event()
    ended: list[int] = []

    def hang() -> None:
        answers.wait()
        ended.append(1)

    async def fail(number: int) -> None:
        with pytest.raises(NoAnswer, match=r"no answer within 0\.05 s"):
            await users.run(ALICE, hang if number == 0 else int)

    try:
        with trio.fail_after(10):
            await fail(0)
            async with trio.open_nursery() as nursery:
                for number in range(1, 500):  # at once: none of them gets a thread
                    nursery.start_soon(fail, number)
            # More users than jobs may run at once, and one hangs.
            assert [await users.run(uid, lambda: "fine") for uid in range(BOB, BOB + 40)]
    finally:
        answers.set()
    with trio.fail_after(10):
        await served_again(users)
    assert ended == [1]


@pytest.mark.parametrize(
    ("patience", "ends"),
    [pytest.param(20, True, id="and ends"), pytest.param(0.2, False, id="and hangs")],
)
async def test_the_next_job_waits_for_one_whose_caller_was_cancelled(
    patience: float, ends: bool
) -> None:
    users, answers, begun = UserThreads(patience), threading.Event(), threading.Event()
    told: list[object] = []

    def hang() -> None:
        begun.set()
        answers.wait()

    async def call() -> None:
        try:
            told.append(await users.run(ALICE, lambda: "fine"))
        except NoAnswer:
            told.append(None)

    try:
        with trio.fail_after(10):
            async with trio.open_nursery() as cancelled:
                cancelled.start_soon(users.run, ALICE, hang)
                await trio.to_thread.run_sync(begun.wait)
                cancelled.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(call)
                if ends:
                    await trio.testing.wait_all_tasks_blocked()
                    assert told == []
                    answers.set()
    finally:
        answers.set()
    assert told == ["fine" if ends else None] * 3


async def served_again(users: UserThreads) -> None:
    """Wait until the thread that hung has ended."""
    while True:
        try:
            assert await users.run(ALICE, lambda: "fine") == "fine"
            return
        except NoAnswer:
            await trio.lowlevel.checkpoint()


async def test_an_error_of_a_job_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        await UserThreads().run(ALICE, lambda: 1 // 0)
