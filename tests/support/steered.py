"""A whole daemon inside the test: real journal, shell and host, and a source that a test steers."""

import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import trio
from emperord.daemon.core.fleet import Fleet, Phase, Vassal
from emperord.daemon.core.rules import RULES
from emperord.daemon.host import altered, procfs
from emperord.daemon.host.host import Host
from emperord.daemon.host.vassal_log import LogDirectory
from emperord.daemon.loop.clock import Clock
from emperord.daemon.loop.observer import Observer
from emperord.daemon.loop.shell import Shell
from emperord.daemon.loop.systemd import Notifier
from emperord.daemon.main import rebuild
from emperord.journal.chain import digest
from emperord.journal.events import DaemonStarted, Spec
from emperord.journal.policy import Policy
from emperord.journal.store import Journal
from emperord.monitors.contract import Listing, Observation, Seen, Tell

from .waiting import PATIENCE, NeverHappened, breathe


def inline(text: str, ts: int, **more: Any) -> Seen:
    """A vassal whose config is not in a file."""
    content = text.encode()
    return Seen(Spec(ts=ts, config=digest(content), **more), content)


class Source:
    """A monitor that says what it is told to say. ``failures`` are raised by its runs in turn."""

    def __init__(self, url: str = "test://source", *, trusts_content: bool = False) -> None:
        self.url = url
        self.trusts_content = trusts_content
        self.failures: list[Exception] = []
        self.runs = 0
        self.known: dict[str, Spec] = {}  # given to the last run, as the fleet has it
        self._tell: Tell | None = None
        self._begun = trio.Event()

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Say nothing until told to."""
        self.runs += 1
        self.known = dict(known)
        if self.failures:
            raise self.failures.pop(0)
        self._tell = tell
        self._begun.set()
        await trio.sleep_forever()

    async def says(self, *observations: Observation) -> None:
        """Return when it is durable."""
        await self._begun.wait()
        assert self._tell is not None
        await self._tell(*observations)

    async def lists(self, **vassals: Seen) -> None:
        """Names are given without their ``.ini``."""
        await self.says(Listing({f"{name}.ini": seen for name, seen in vassals.items()}))


class Steered:
    """The daemon, as the test sees it."""

    def __init__(self, folder: Path, journal: Journal, shell: Shell) -> None:
        self.folder = folder
        self.journal = journal
        self.shell = shell

    @property
    def fleet(self) -> Fleet:
        """As it is folded now."""
        return self.shell.fleet

    def vassal(self, name: str) -> Vassal | None:
        """One of the fleet."""
        return self.fleet.vassals.get(name)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for it; the test's own limit ends a vain wait."""
        with trio.move_on_after(PATIENCE):
            while not condition():
                await trio.to_thread.run_sync(breathe)
            return
        raise NeverHappened(f"{what}: not in {PATIENCE:g} s; the fleet is {self.fleet}")

    async def phase(self, name: str, phase: Phase) -> None:
        """Wait until the vassal is in this phase."""

        def reached() -> bool:
            vassal = self.vassal(name)
            return vassal is not None and vassal.phase == phase

        await self.until(reached, f"{name} is {phase}")

    def kinds(self, vassal: str | None = None) -> list[str]:
        """The kinds of all durable events, or of those about one vassal."""
        # By a connection of its own: the writer's may be in a transaction in another thread.
        uri = f"file:{self.journal.path}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as reading:
            rows = reading.execute("SELECT kind, vassal FROM event ORDER BY seq").fetchall()
        return [kind for kind, name in rows if vassal is None or name == vassal]


@asynccontextmanager
async def steered(
    folder: Path, *sources: Source, control: socket.socket | None = None, **policy: Any
) -> AsyncIterator[Steered]:
    """Run a daemon on the folder's journal; it is stopped at the end, with all its vassals.

    It answers clients of ``control``, a socket that listens.
    """
    decided = Policy(**policy)
    with Journal.open(str(folder / "journal.db")) as journal:
        procfs.become_subreaper()
        started = DaemonStarted(
            version="0",
            boot=procfs.boot_id(),
            pid=1,
            policy=decided,
            monitors=tuple(source.url for source in sources),
            rules=RULES,
        )
        logs = LogDirectory(str(folder / "logs"), 1 << 20)
        host = Host(lambda: decided, logs, journal.texts.content)
        fleet = rebuild(journal)
        clock, observer = Clock(journal.last_at), Observer(altered.find(fleet, journal))
        shell = Shell(
            journal, fleet, clock, host, started, Notifier({}), listener=control, observer=observer
        )
        async with trio.open_nursery() as nursery:
            ended = trio.Event()

            async def live() -> None:
                await shell.run(sources)
                ended.set()

            nursery.start_soon(live)
            try:
                yield Steered(folder, journal, shell)
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(20):
                    signal.raise_signal(signal.SIGTERM)
                    await ended.wait()
                nursery.cancel_scope.cancel()
        assert ended.is_set()
        assert not any(vassal.pid for vassal in shell.fleet.vassals.values())
