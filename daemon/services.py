"""Things that a daemon does for scripts beside its fleet: pid files, and a server of statistics."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import trio

from .control import stats
from .keeper.link import KeeperLink
from .loop import daemon_log
from .loop.view import View
from .startup import pid_file


class Services:
    """The services of one daemon, which is in charge of its journal."""

    def __init__(self, chosen: Mapping[str, Any], keeper: KeeperLink) -> None:
        self._keeper = keeper
        self._pid_files = pid_file.PidFiles(chosen["pidfile"], keeper)
        self._addresses = chosen["stats"]

    def begin(self) -> None:
        """Tell which process takes signals. The log has its place."""
        self._pid_files.write()
        daemon_log.in_charge()

    async def run(self, view: View) -> None:
        """Serve until cancelled."""

        def fields() -> dict[str, Any]:
            pid = self._keeper.pid if self._keeper.alive else os.getpid()
            return stats.fields(view.fleet, view.now(), pid, view.heartbeat_age)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pid_files.follow)
            nursery.start_soon(stats.StatsServer(self._addresses, fields).run)

    def end(self) -> None:
        """The daemon leaves for good, or another one has taken over."""
        self._pid_files.remove()


def flaws(chosen: Mapping[str, Any]) -> Iterator[str]:
    """Why a service could not work, for ``--check``."""
    if (flaw := pid_file.flaw(chosen["pidfile"])) is not None:
        yield flaw
    if (flaw := daemon_log.flaw(chosen["log_file"] or chosen["daemonize"])) is not None:
        yield flaw
    if (flaw := stats.flaw(chosen["stats"])) is not None:
        yield flaw
