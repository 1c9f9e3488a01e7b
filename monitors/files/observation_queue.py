"""Tells observations in their order, while the watcher looks on.

A listing of thousands takes seconds until it is durable, and a change of one file is not to wait
for that. So news of single files are told while an earlier listing is on its way. Otherwise one
call waits for the other, because that is how the journal holds a source back.
"""

import trio

from ..contract import Failed, Listing, Observation, Tell


class ObservationQueue:
    """Hands observations to ``tell`` in the order in which they are put."""

    def __init__(self, tell: Tell, nursery: trio.Nursery) -> None:
        self._tell = tell
        self._nursery = nursery
        self._news = _over()
        self._listing = _over()
        self._error: Exception | None = None

    @property
    def is_listing(self) -> bool:
        """Whether a listing is on its way."""
        return not self._listing.is_set()

    async def put(self, *observations: Observation) -> None:
        """Return when they are handed over, which is before they are durable."""
        done = trio.Event()
        await self._news.wait()
        if any(isinstance(each, Listing | Failed) for each in observations):
            await self._listing.wait()
            self._listing = done
        else:
            self._news = done
        await self._nursery.start(self._run, observations, done)

    async def _run(
        self,
        observations: tuple[Observation, ...],
        done: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        # No other task runs until tell() has handed them over. So observations keep their order.
        task_status.started()
        try:
            await self._tell(*observations)
        except Exception as error:
            self.fail(error)
        done.set()

    def fail(self, error: Exception) -> None:
        """End all tasks of the nursery because of this error. The nursery would raise a group."""
        self._error = self._error or error
        self._nursery.cancel_scope.cancel()

    def check(self) -> None:
        """Raise the error that ended the nursery."""
        if self._error is not None:
            raise self._error


def _over() -> trio.Event:
    event = trio.Event()
    event.set()
    return event
