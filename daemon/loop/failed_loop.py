"""The event loop itself fails: no thread can report to it any more.

Threads wake trio's loop over a socket pair. If the machine refuses to look at that, trio cancels
all tasks, and raises TrioInternalError when they have ended. But a task that waits for a thread
does not end then, as nothing takes the thread's answer. So the process is left, as if it was
killed, and the next daemon goes on.

Where something else of trio's has failed, threads are still heard. An append to the journal may
take seconds, and is waited for.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import trio

_PATIENCE: Final = 1.0  # seconds in which threads are heard, or tasks end by themselves


async def guarded(work: Callable[[], Awaitable[None]], leave: Callable[[], NoReturn]) -> None:
    """Do the work. Leave the process if the event loop fails and the work does not end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, nursery.cancel_scope, leave)
        try:
            await work()
        finally:
            nursery.cancel_scope.cancel()


async def _watch(over: trio.CancelScope, leave: Callable[[], NoReturn]) -> None:
    try:
        await trio.sleep_forever()
    finally:
        # The work is not over, and all of this is cancelled: that is trio.
        with trio.CancelScope(shield=True):
            while not over.cancel_called and await _hears_threads():  # noqa: ASYNC110
                await trio.sleep(_PATIENCE)  # it may become deaf later
        if not over.cancel_called:
            leave()


async def _hears_threads() -> bool:
    """Whether threads can wake this loop."""
    heard = trio.Event()
    with contextlib.suppress(OSError):  # the machine refuses that, too
        trio.lowlevel.current_trio_token().run_sync_soon(heard.set)
    with trio.move_on_after(_PATIENCE):
        await heard.wait()
    return heard.is_set()
