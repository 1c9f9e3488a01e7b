"""Looks for the files of kept sockets (``listen``): jobs that tidy up directories remove them.

A process runs on with the socket that it was given, so clients of a new file would wait for ever.
Each start makes a file that is gone anew. Until then the log says what an operator can do.
"""

import logging
from collections.abc import Callable, Hashable
from typing import Final

import trio

from ...monitors.names import shown
from .kept_sockets import KeptSockets
from .opening import Listener, thread_key
from .user_threads import NoAnswer, UserThreads

log = logging.getLogger("emperor.host")

LOOK_AFTER: Final = 3.0  # seconds between looks, at least
SHARE: Final = 10  # times as long as a look took, we rest before the next one


class KeptFiles:
    """The looks. ``runs`` says whether a vassal has a process."""

    def __init__(
        self, kept: KeptSockets, threads: UserThreads, runs: Callable[[str], bool]
    ) -> None:
        self._kept = kept
        self._threads = threads
        self._runs = runs
        self._told: set[Listener] = set()

    async def run(self) -> None:
        """Warn once of each file that is gone while its vassal has a process."""
        rest = LOOK_AFTER
        while True:
            await trio.sleep(rest)
            began = trio.current_time()
            await self._look()
            rest = max(LOOK_AFTER, SHARE * (trio.current_time() - began))

    async def _look(self) -> None:
        by_key: dict[Hashable, list[Listener]] = {}
        there = self._kept.all()
        self._told.intersection_update(there)
        for each in there:
            if each.file is not None and each not in self._told and self._runs(each.vassal):
                by_key.setdefault(thread_key(each.file.path, each.how), []).append(each)
        for key, listeners in by_key.items():
            try:
                gone = await self._threads.run(key, _gone, listeners)
            except NoAnswer:
                continue
            for listener in gone:
                self._tell(listener)

    def _tell(self, listener: Listener) -> None:
        vassal = listener.vassal
        if listener not in self._kept.held(vassal) or not self._runs(vassal):
            return  # it was given back meanwhile
        self._told.add(listener)
        log.warning(
            "%s: the file of its socket %s was removed, so no client finds it; 'emperor-ctl restart"
            " %s' makes it anew",
            shown(vassal),
            shown(listener.address),
            shown(vassal),
        )


def _gone(listeners: list[Listener]) -> list[Listener]:
    return [each for each in listeners if not each.has_file()]
