"""Cancels work of pymongo's, over and over until it has ended.

pymongo sends by ``asyncio.wait_for``, which loses a cancellation at times before Python 3.12
(python/cpython#86296). The work would go on then, and wait for the answer of a silent server.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, TypeVarTuple

_AGAIN: Final = 0.05  # seconds until a cancellation is repeated

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def cancellable(function: Callable[[*Ts], Coroutine[Any, Any, T]], *arguments: *Ts) -> T:
    """Await ``function(*arguments)``. When cancelled, it ends.

    A result that comes nevertheless is passed on, because the work counts it as told.
    """
    task = asyncio.create_task(function(*arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end(task)
        if task.cancelled() or task.exception() is not None:
            raise
        return task.result()
    finally:
        del task  # an error's traceback would keep it, and it keeps the error and all that it read


async def within(work: Coroutine[Any, Any, object], seconds: float) -> bool:
    """Await work for so long, and end it then; whether it has ended by itself.

    Raises what the work raises in time.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError:
        await _end(task)
        raise
    if task.done():
        task.result()
        return True
    await _end(task)
    return False


async def _end(task: asyncio.Task[Any]) -> None:
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN)
    if not task.cancelled():
        task.exception()  # asyncio complains of one that nothing asks for
