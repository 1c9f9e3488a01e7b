"""The ports: the parts of the world that the shell needs, as protocols.

The adapters are ``daemon/host/host.py``, ``journal/store.py`` and ``daemon/keeper/link.py``. This
file imports none of them. ``tests/simulation`` has adapters of a simulated world, so that the shell
can be tested under any order of crashes and faults.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

import trio

from ...journal import chain
from ...journal.rows import Deploy, Snapshot
from ..core.actions import Action
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..core.inputs import TellNews, VassalByte


class Host(Protocol):
    """Runs the vassals."""

    async def recover(
        self, fleet: Fleet, boot: str, time_of: Callable[[int], int]
    ) -> list[Draft]: ...

    async def run(
        self, tell: TellNews, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None: ...

    def carry_out(self, action: Action, vassal: Vassal | None, at: int) -> None: ...

    def leave(self) -> None: ...

    async def unlisten_all(self) -> None: ...

    def tell_unasked(self, fleet: Fleet) -> None: ...

    def is_stale(self, said: VassalByte) -> bool: ...

    def silent_for(self, vassal: str, attempt: int | None) -> float: ...

    def renamed_logs(self) -> dict[str, str]: ...

    def log_troubles(self) -> dict[str, str]: ...

    def floods(self) -> dict[str, str]: ...

    def unjournaled(self) -> list[tuple[str, int]]: ...

    def strays(self) -> list[str]: ...

    def cgroup_troubles(self) -> dict[str, str]: ...

    def cgroup_of(self, vassal: str) -> str | None: ...

    def status_of(self, vassal: str) -> str | None: ...

    def last_lines(self, vassal: str) -> str: ...

    def log_of(self, vassal: str) -> str | None: ...

    def no_spawns(self) -> AbstractAsyncContextManager[object]: ...


class Log(Protocol):
    """The write-ahead log, which SQLite folds into the journal from time to time."""

    @property
    def is_worthwhile(self) -> bool: ...

    def fold(self, snapshot: Snapshot | None) -> None: ...


class Journal(Protocol):
    """Keeps the record. Its methods may be called in a worker thread."""

    @property
    def path(self) -> str: ...

    def append(
        self,
        rows: Sequence[chain.Columns],
        configs: Mapping[str, bytes] | None = None,
        snapshot: Snapshot | None = None,
        known: Sequence[Deploy] = (),
    ) -> None: ...

    @property
    def log(self) -> "Log": ...

    @property
    def texts(self) -> "Texts": ...

    def is_whole(self) -> bool: ...

    def troubles(self) -> Mapping[str, str]: ...

    def time_of(self, seq: int) -> int: ...


class Texts(Protocol):
    """The config texts of a journal."""

    def content(self, digest: str) -> bytes | None: ...


class Kept(Protocol):
    """Descriptors that were entrusted to the keeper."""

    @property
    def about(self) -> dict[str, Any]: ...

    @property
    def descriptors(self) -> list[int]: ...


class Keeper(Protocol):
    """Keeps descriptors that must outlive the daemon."""

    died: bool  # there was one, and it is no more
    pid: int  # its process, as long as it lived

    @property
    def alive(self) -> bool: ...

    @property
    def entrusted(self) -> Mapping[str, Kept]: ...

    def receive_all(self) -> None: ...

    def deliver(self) -> bool: ...

    def acknowledge_all(self) -> None: ...

    def hear(self) -> None: ...

    async def run(self) -> None: ...


class Witness(Protocol):
    """Writes the journal's head elsewhere, and delays nothing."""

    trouble: str | None  # why it cannot
    since: int | None

    async def run(self) -> None: ...

    async def end(self) -> None: ...


# Takes signal numbers; within the context, those signals come as they arrive.
Signals = Callable[..., AbstractContextManager[AsyncIterator[int]]]
