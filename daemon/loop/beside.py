"""Tasks beside the fleet: an error of one ends neither the loop nor another task.

Such an error is a bug, or a machine that lacks something. It is logged with its place, ``status``
tells it, and the task is run again after a while.
"""

import logging
from collections.abc import Awaitable, Callable

import trio

from ...monitors.backoff import Backoff
from ..host import failures

log = logging.getLogger("emperor")

AGAIN = 1.0  # seconds until a task is run again, twice as many after each further error
_LONGEST = 60.0  # a task that ran for longer before its error is run again soon
Troubles = dict[str, tuple[int | None, str]]
"""By name of a task: since when it fails, in UTC nanoseconds, and why."""


async def run(
    name: str, task: Callable[[], Awaitable[None]], troubles: Troubles, now: Callable[[], int]
) -> None:
    """Run a task to its end, again after each error."""
    backoff = Backoff(AGAIN, _LONGEST)
    while True:
        began = trio.current_time()
        try:
            await task()
        except Exception as error:
            backoff.ran(trio.current_time() - began)
            alone = failures.alone(error)
            log.error("%s: error, so it is run again: %s", name, failures.describe(alone))
            troubles[name] = now(), failures.reason_of(alone)
        else:
            troubles.pop(name, None)
            return
        await trio.sleep(backoff.pause())
        troubles.pop(name, None)
