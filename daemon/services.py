"""Things that a daemon does for scripts beside its fleet: its pid files."""

from collections.abc import Iterator, Mapping
from typing import Any

import trio

from .keeper.link import KeeperLink
from .loop.view import View
from .startup import pid_file


class Services:
    """The services of one daemon, which is in charge of its journal."""

    def __init__(self, chosen: Mapping[str, Any], keeper: KeeperLink) -> None:
        self._pid_files = pid_file.PidFiles(chosen["pidfile"], keeper)

    def begin(self) -> None:
        """Tell which process takes signals."""
        self._pid_files.write()

    async def run(self, view: View) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pid_files.follow)

    def end(self) -> None:
        """The daemon leaves for good, or another one has taken over."""
        self._pid_files.remove()


def flaws(chosen: Mapping[str, Any]) -> Iterator[str]:
    """Why a service could not work, for ``--check``."""
    if (flaw := pid_file.flaw(chosen["pidfile"])) is not None:
        yield flaw
