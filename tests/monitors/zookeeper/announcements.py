"""Announcements as other clients see them."""

import contextlib
import json
import os
import socket
from collections.abc import Callable

import trio
from kazoo.exceptions import NoNodeError  # type: ignore[import-untyped]
from support.waiting import until
from support.zookeeper import ZooSource, talk

OURS = f"{socket.gethostname()}:{os.getpid()}"


async def soon(condition: Callable[[], object]) -> None:
    """Wait for what happens elsewhere, while the monitor runs."""
    await trio.to_thread.run_sync(until, condition, "what happens elsewhere")


async def announced(path: str, source: ZooSource, vassals: int, but_by: int | None = None) -> int:
    """Wait until that is announced, not by the session ``but_by``; the session that does."""
    expected = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "path": source.path,
        "vassals": vassals,
    }
    owner = 0

    def is_there() -> bool:
        nonlocal owner
        stat = talk().exists(path)
        owner = 0 if stat is None else stat.ephemeralOwner
        if owner in (0, but_by):
            return False
        with contextlib.suppress(NoNodeError):
            return bool(json.loads(talk().get(path)[0]) == expected)
        return False

    await soon(is_there)
    return owner
