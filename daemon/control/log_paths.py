"""The request ``log``: where the log of a vassal is, also of one that its source no longer has.

A log stays when its vassal goes, because an operator looks for the reason then.
"""

import os
from collections.abc import Mapping
from typing import Any, Protocol

from ..core.fleet import Fleet
from ..host import threads
from .choosing import checked, not_one
from .server import Refused


class Daemon(Protocol):
    """The daemon as far as it knows of logs."""

    @property
    def fleet(self) -> Fleet: ...

    def log_of(self, vassal: str) -> str | None: ...


async def log(daemon: Daemon, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer: the path of the ``log``, and whether its vassal is ``there``. Raises Refused."""
    name = request.get("name")
    if not isinstance(name, str):
        raise Refused("name: the name of a vassal is needed")
    known = list(daemon.fleet.vassals)
    path = daemon.log_of(checked(name))
    if name in daemon.fleet.vassals:
        return {"log": path, "there": True}
    if path is None or not await threads.run_sync(_exists, path):
        raise Refused(await threads.run_sync(not_one, known, name))
    return {"log": path, "there": False}


def _exists(path: str) -> bool:
    """Whether there is a log, or an older part of one that was renamed."""
    return any(map(os.path.lexists, (path, path + ".1", path + ".1.gz")))
