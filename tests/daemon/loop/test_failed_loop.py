"""The event loop fails while a task waits for a thread."""

import subprocess
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest
import trio
import trio.testing
from emperord.daemon.loop.failed_loop import guarded

LEFT = 7
# Trio's own task fails that waits for threads to wake it. A run that fails so tidies nothing up.
DEAF = f"""
import os, sys, threading, trio, trio.testing
from emperord.daemon.loop.failed_loop import guarded

async def wait_for_thread():
    await trio.to_thread.run_sync(threading.Event().wait)

async def end_by_itself():
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()

async def fail():
    raise OSError

async def deafen_later(wakes):
    with trio.CancelScope(shield=True):
        await trio.sleep(5)
    trio.lowlevel.notify_closing(wakes)

async def main():
    await trio.testing.wait_all_tasks_blocked()
    token = trio.lowlevel.current_trio_token()
    queue = token._reentry_queue
    if sys.argv[2] == "dumb":
        queue.wakeup.write_sock.close()
    if sys.argv[2] == "later":
        trio.lowlevel.spawn_system_task(fail)
        trio.lowlevel.spawn_system_task(deafen_later, queue.wakeup.wakeup_sock)
    else:
        trio.lowlevel.notify_closing(queue.wakeup.wakeup_sock)
    await guarded(globals()[sys.argv[1]], lambda: os._exit({LEFT}))

trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
"""


@pytest.mark.parametrize(
    ("work", "how", "code"),
    [
        pytest.param("wait_for_thread", "deaf", LEFT, id="a thread that cannot tell its end"),
        pytest.param("wait_for_thread", "dumb", LEFT, id="nothing can wake the loop"),
        pytest.param("wait_for_thread", "later", LEFT, id="another task of trio's failed before"),
        pytest.param("end_by_itself", "deaf", 1, id="tasks that end by themselves"),
    ],
)
def test_the_process_is_left_if_the_work_does_not_end(work: str, how: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", DEAF, work, how], capture_output=True, text=True)
    assert done.returncode == code
    assert ("TrioInternalError" in done.stderr) == (code == 1)


def run(work: Callable[[], Awaitable[None]], *, fails: bool = False) -> None:
    """Run the work. The process is not left."""
    left: list[float] = []

    def leave() -> NoReturn:
        left.append(trio.current_time())
        raise AssertionError("the process would have been left")

    async def fail() -> None:
        raise OSError("no memory")

    async def main() -> None:
        if fails:
            trio.lowlevel.spawn_system_task(fail)
        await guarded(work, leave)

    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        assert not left


def test_a_thread_that_can_tell_its_end_is_waited_for() -> None:
    """It may be about to write to the journal. Another task of trio's has failed."""
    end = threading.Event()

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, lambda: end.wait())
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(60)
                end.set()

    with pytest.raises(trio.TrioInternalError) as failed:
        run(work, fails=True)
    assert "no memory" in "".join(traceback.format_exception(failed.value))


def test_an_end_of_the_work_and_its_errors_are_as_ever() -> None:
    async def bad() -> None:
        raise ValueError

    run(trio.lowlevel.checkpoint)
    with pytest.RaisesGroup(ValueError):
        run(bad)
