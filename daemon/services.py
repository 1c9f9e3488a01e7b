"""Things that a daemon does for scripts beside its fleet: pid files, and a server of statistics."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import trio

from .control import stats
from .keeper.link import KeeperLink
from .loop import beside, daemon_log
from .loop.view import View
from .startup import pid_file


class Services:
    """The services of one daemon, which is in charge of its journal."""

    def __init__(self, chosen: Mapping[str, Any], keeper: KeeperLink) -> None:
        self._keeper = keeper
        self._pid_files = pid_file.PidFiles(chosen["pidfile"], keeper)
        self._addresses = dict.fromkeys(chosen["stats"])
        self._failed: beside.Troubles = {}

    def begin(self) -> None:
        """Tell which process takes signals. The log has its place."""
        self._pid_files.write()
        daemon_log.in_charge()

    async def run(self, view: View) -> None:
        """Serve until cancelled."""

        def fields() -> dict[str, Any]:
            pid = self._keeper.pid if self._keeper.alive else os.getpid()
            return stats.fields(view.fleet, view.now(), pid, view.heartbeat_age)

        servers = {
            f"--stats {address}": stats.StatsServer(address, fields) for address in self._addresses
        }
        view.services = lambda: {
            **{name: each.trouble for name, each in servers.items() if each.trouble is not None},
            **self._pid_files.troubles,
            **self._failed,
        }
        runs = {name: each.run for name, each in servers.items()}
        async with trio.open_nursery() as nursery:
            for name, each in {"--pidfile": self._pid_files.follow, **runs}.items():
                nursery.start_soon(beside.run, name, each, self._failed, view.now)

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
