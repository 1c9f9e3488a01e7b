"""The inbox: inputs as their senders hand them over, from any task.

Operators' requests leave it by themselves, because a turn of requests can be given up. All other
inputs go on to the input queue.
"""

from typing import Final

import trio

from .input_queue import InputQueue
from .turn import Asked, Input

_MOST_AT_ONCE: Final = 5000  # inputs that are received for one turn
_PLACES: Final = 256  # inputs that wait; a sender of more waits itself
Request = tuple[Asked, trio.Event]  # and the event of its sender


class Inbox:
    """Takes inputs from senders, each of which waits until its inputs are durable."""

    def __init__(self, input_queue: InputQueue) -> None:
        self._input_queue = input_queue
        self._put, self._came = trio.open_memory_channel[tuple[Input, trio.Event]](_PLACES)

    async def tell(self, *inputs: Input) -> None:
        """Hand over inputs; return when their events are durable."""
        done = trio.Event()
        for given in inputs:
            done = trio.Event()
            await self._put.send((given, done))
        await done.wait()

    async def wait(self) -> list[Request]:
        """Wait for an input. It is returned if it is a request, else it is in the input queue."""
        return self._sorted(await self._came.receive())

    def received(self) -> list[Request]:
        """Put all inputs that came into the input queue; return the requests among them."""
        asked: list[Request] = []
        for _ in range(_MOST_AT_ONCE):
            try:
                asked += self._sorted(self._came.receive_nowait())
            except trio.WouldBlock:
                break
        return asked

    def _sorted(self, came: tuple[Input, trio.Event]) -> list[Request]:
        given, done = came
        if isinstance(given, Asked):
            return [(given, done)]
        self._input_queue.put(given, done)
        return []
