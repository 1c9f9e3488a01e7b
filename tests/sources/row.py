"""The hooks that the suite needs of a source. Each source is a row of its tables."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from emperord.monitors.contract import Monitor
from emperord.monitors.options import MonitorOptions
from support.daemon import Daemon
from support.services import Service


class Guarded(NamedTuple):
    """Monitors that need a secret; the secret of the last one is wrong.

    ``provoke`` makes others fail too, and does what else might show a secret.
    """

    monitors: list[str]
    secrets: list[bytes]  # as they are, and as the URLs write them
    reason: str  # part of why the last one fails
    failing: int  # monitors that have failed in the end
    provoke: Callable[[Daemon], object] = lambda _: None


class Row(ABC):
    """A source on a server of its own, which a test may stop, freeze and flood.

    ``server`` is None for a source that has none. A server serves several tests, so each row makes
    a place of its own in it.
    """

    service: ClassVar[str | None] = None  # the name of its server, for tools/services
    checked: ClassVar[str] = "  a.ini: sleep 1000"  # the answer of --check when it has a.ini
    removal: ClassVar[str] = "vassal_removed"  # the event of one that is taken away
    tells_all: ClassVar[bool] = False  # each change is an event, however fast they come
    most_goes: ClassVar[int] = 100  # in which 1000 changes are told that came meanwhile
    padding: ClassVar[int] = 0  # bytes more in each config of a flood
    most_memory: ClassVar[int] = 60  # MiB that a flood may cost
    notices: ClassVar[bool] = True  # an outage, even if it is not asked just then
    # Parts of the reasons of a server that is silent.
    silent_at_connect: ClassVar[str] = "connecting to it took longer than 1 s"
    silent_at_read: ClassVar[str]

    def __init__(self, folder: Path, server: Service | None) -> None:
        self.folder = folder
        self.given = server

    @property
    def server(self) -> Service:
        """The server; asked for by tests of sources that have one."""
        assert self.given is not None
        return self.given

    @property
    @abstractmethod
    def url(self) -> str:
        """How a daemon is given it."""

    @abstractmethod
    def put(self, name: str, config: str) -> None:
        """Add a vassal, or change it."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Take it away."""

    def change(self, configs: Sequence[tuple[str, str]]) -> None:
        """Change many vassals, one after the other, as fast as can be."""
        for name, config in configs:
            self.put(name, config)

    def fill(self, configs: Iterable[tuple[str, str]]) -> None:
        """Add many vassals."""
        self.change(list(configs))

    def monitor(
        self, options: MonitorOptions, limit: float = 1, port: int | None = None
    ) -> Monitor:
        """A monitor of this place, at another port if one is given.

        It waits ``limit`` seconds for its server, not more.
        """
        raise NotImplementedError

    def stranger(self, options: MonitorOptions, port: int, host: str = "127.0.0.1") -> Monitor:
        """A monitor of what else may be at this port. It has the secret ``hidden``, if it can."""
        raise NotImplementedError

    def hang_up(self) -> None:  # noqa: B027  # most keep no connection that works by itself
        """Let go of the connection by which a test fills the place."""

    def again(self) -> None:  # noqa: B027  # most need nothing
        """Talk anew to what was started again: the server, or the daemon."""

    def make_durable(self) -> None:  # noqa: B027  # most need nothing
        """Have what was written so far survive that the server is killed."""

    def put_bad(self) -> dict[str, str]:
        """Add what is no vassal; the name of each, and part of the reason."""
        raise NotImplementedError

    def spoil(self, name: str) -> None:
        """Make a known vassal one that cannot be read."""
        self.put(name, "#" * 65536)

    def change_behind(self, name: str, config: str) -> None:
        """Give a vassal another config, and let its ts be what it was."""
        raise NotImplementedError

    def touch(self, name: str) -> None:
        """Give a vassal another ts."""
        raise NotImplementedError

    def guarded(self) -> Guarded:
        """Monitors that need a secret. It may have to be known to ``put``, too."""
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027  # most need nothing
        """Let go of the server."""
