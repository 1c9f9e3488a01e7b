"""The event loop fails while a task waits for a thread."""

import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest
import trio
import trio.testing
from emperord.daemon.loop.failed_loop import guarded


class Left(Exception):
    """The process would have been left here."""


class Process:
    """A process with a thread that works until it is left."""

    def __init__(self) -> None:
        self.left = threading.Event()

    def leave(self) -> NoReturn:
        self.left.set()
        raise Left

    async def wait_for_thread(self) -> None:
        await trio.to_thread.run_sync(self.left.wait)


async def fail() -> None:
    """As trio's own task does that waits for threads to wake it."""
    raise OSError("no memory")


def run(process: Process, work: Callable[[], Awaitable[None]], *, fails: bool) -> None:
    async def main() -> None:
        if fails:
            trio.lowlevel.spawn_system_task(fail)
        await guarded(work, process.leave)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_it_is_left_if_the_thread_cannot_tell_its_end() -> None:
    process = Process()
    with pytest.raises(trio.TrioInternalError):
        run(process, process.wait_for_thread, fails=True)
    assert process.left.is_set()


def test_tasks_that_end_by_themselves_are_waited_for() -> None:
    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()

    process = Process()
    with pytest.raises(trio.TrioInternalError):
        run(process, work, fails=True)
    assert not process.left.is_set()


def test_an_end_of_the_work_and_its_errors_are_as_ever() -> None:
    async def bad() -> None:
        raise ValueError

    process = Process()
    run(process, trio.lowlevel.checkpoint, fails=False)
    with pytest.RaisesGroup(ValueError):
        run(process, bad, fails=False)
    assert not process.left.is_set()
