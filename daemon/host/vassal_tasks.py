"""Steps and tasks about one vassal. An error in one of them bars that vassal only.

Such an error is a bug of the daemon. It becomes the event ``vassal_failed``; the fold has the
vassal stopped and bars it. An error of the machine that no vassal is to blame for (``Refused``)
passes through: the daemon cannot go on without what was refused.

A task that looks after all vassals (``lasting``) meets the files, sockets and processes of every
tenant. An error that one of those leads to must not end the daemon for all, so the task begins
again.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from ...monitors.backoff import Backoff
from ..core.draft import Draft
from ..keeper.refusals import Refused
from . import failures
from .news import Outbox
from .process import Process

log = logging.getLogger("emperor.host")

_FIRST: Final = 1.0  # seconds until a lasting task begins again
_LONGEST: Final = 60.0  # seconds, where it fails each time


class VassalTasks:
    """Runs steps and tasks, and reports their errors."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._nursery: trio.Nursery | None = None

    def begin(self, nursery: trio.Nursery) -> None:
        """From now on tasks can be started; the nursery owns them."""
        self._nursery = nursery

    @property
    def nursery(self) -> trio.Nursery:
        """The nursery of all tasks."""
        assert self._nursery is not None
        return self._nursery

    def fail(self, vassal: str, place: str, error: BaseException, gone: int | None = None) -> None:
        """Report an error about one vassal. ``gone`` is its attempt, where no process is left."""
        log.error("%s: error in %s: %s", vassal, place, failures.describe(error))
        body = failures.failed(place, error, gone=gone)
        self._outbox.report(Draft("vassal_failed", body, None, vassal))

    def confined(
        self, vassal: str, place: str, after: Callable[[], object] = lambda: None
    ) -> "_Confined":
        """An error within is this vassal's, and the others go on. ``after`` tidies up."""
        return _Confined(self, vassal, place, after)

    def start(
        self, place: str, process: Process, task: Callable[[Process], Awaitable[None]]
    ) -> None:
        """Start a task about one vassal."""

        async def confined() -> None:
            with self.confined(process.name, place):
                await task(process)

        self.nursery.start_soon(confined)


class _Confined:
    """The context of a step about one vassal. It is made for each byte that a vassal sends."""

    __slots__ = ("_after", "_place", "_tasks", "_vassal")

    def __init__(
        self, tasks: VassalTasks, vassal: str, place: str, after: Callable[[], object]
    ) -> None:
        self._tasks, self._vassal, self._place, self._after = tasks, vassal, place, after

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception) or isinstance(error, Refused):
            return False
        self._tasks.fail(self._vassal, self._place, error)
        with contextlib.suppress(Exception):
            self._after()
        return True


async def lasting(what: str, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Run a task until it returns or is cancelled. After an error, log that and begin again."""
    backoff = Backoff(_FIRST, _LONGEST)
    while True:
        began = trio.current_time()
        try:
            await task(*arguments)
            return
        except Refused:
            raise
        except Exception as error:
            backoff.ran(trio.current_time() - began)
            pause = backoff.pause()
            told = failures.describe(error)
            log.error("%s met an error: %s; beginning again in %g s", what, told, pause)
        await trio.sleep(pause)
