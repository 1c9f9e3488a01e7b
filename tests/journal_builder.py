"""Journals for tests: real events, folded and appended as a daemon does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from emperord.daemon.core.actions import Action, recorded
from emperord.daemon.core.checkpoints import NEWEST, digest_of
from emperord.daemon.core.fleet import Fleet, from_json, to_json
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.daemon.loop.stored_deploys import followed
from emperord.journal import chain
from emperord.journal.events import KINDS, Before, Event, Spec
from emperord.journal.policy import Policy
from emperord.journal.store import Journal, Snapshot

START: Final = 1_795_500_000_000_000_000  # 2026-11-24T06:00:00Z
SECOND: Final = 1_000_000_000
MONITOR: Final = "dir:///etc/vassals"
OTHER: Final = "dir:///srv/other"
BOOT: Final = "5e0bd4e5-6d4b-4c43-b9a0-6f0f3f0b8d7e"


class Builder:
    """Appends events, one second apart unless told, and keeps the fleet they make.

    Events are written in groups of ``group``, and whenever ``flush`` is called; a snapshot is
    taken every ``snapshot_every`` events.
    """

    def __init__(self, journal: Journal, group: int = 1, snapshot_every: int = 10_000) -> None:
        self.journal = journal
        self.group = group
        self.snapshot_every = snapshot_every
        self.fleet = Fleet()
        self.deploys = followed(journal)
        self.seq = journal.seq
        self.at = journal.last_at or START
        self.actions: list[Action] = []  # of the last event
        self._rows: list[chain.Columns] = []
        self._configs: dict[str, bytes] = {}
        self._load()

    def _load(self) -> None:
        stored = self.journal.snapshot()
        if stored is not None:
            self.fleet = from_json(stored.fleet)
        for event in self.journal.tail(self.fleet.seq):
            fold(self.fleet, event)

    def event(
        self,
        kind: str,
        vassal: str | None = None,
        monitor: str | None = None,
        cause: int | None = None,
        after: float = 1,
        **fields: Any,
    ) -> int:
        """Append an event ``after`` seconds; its number."""
        self.seq += 1
        self.at += int(after * SECOND)
        body = KINDS[kind](**fields)
        event = Event(self.seq, self.at, kind, monitor, vassal, cause, body)
        self.actions = self.deploys.take(self.fleet, event, fold=fold)
        self._rows.append(
            (
                self.seq, self.at, kind, monitor, vassal, cause,
                chain.text(body), recorded(self.actions),
            )
        )  # fmt: skip
        if len(self._rows) >= self.group:
            self.flush()
        return self.seq

    def flush(self) -> None:
        """Write what waits."""
        if not self._rows:
            return
        snapshot = None
        if self._rows[0][0] <= self.seq // self.snapshot_every * self.snapshot_every <= self.seq:
            # Of the group's last event, as that is what the fleet is.
            snapshot = Snapshot(self.seq, to_json(self.fleet))
        self.journal.append(self._rows, self._configs, snapshot, self.deploys.rows)
        self._rows, self._configs = [], {}
        self.deploys.touched.clear()

    # Frequent events

    def start(
        self,
        monitors: tuple[str, ...] = (MONITOR,),
        before: Before | None = None,
        ready: bool = True,
        **policy: Any,
    ) -> int:
        """A daemon starts and is ``ready``; the number of ``daemon_started``."""
        chosen = Policy(**{"max_starting": 100, **policy})
        seq = self.event(
            "daemon_started",
            version="0.1.0",
            boot=BOOT,
            pid=100,
            policy=chosen,
            monitors=monitors,
            rules=RULES,
            before=before,
        )
        if ready:
            self.event("daemon_ready", cause=seq)
        return seq

    def checkpoint(self) -> int:
        """The digest of the fleet as it is."""
        return self.event("checkpoint", v=NEWEST, digest=digest_of(self.fleet))

    def announce(
        self, kind: str, name: str, text: bytes | None, monitor: str, cause: int | None, **spec: Any
    ) -> int:
        digest = None if text is None else chain.digest(text)
        if text is not None and digest is not None:
            self._configs[digest] = text
        spec.setdefault("path", f"/etc/vassals/{name}")
        return self.event(kind, name, monitor, cause, spec=Spec(ts=self.at, config=digest, **spec))

    def added(
        self, name: str, text: bytes | None = b"[uwsgi]\n", monitor: str = MONITOR, **spec: Any
    ) -> int:
        return self.announce("vassal_added", name, text, monitor, None, **spec)

    def changed(
        self, name: str, text: bytes | None = b"[uwsgi]\n", monitor: str = MONITOR, **spec: Any
    ) -> int:
        return self.announce("vassal_changed", name, text, monitor, None, **spec)

    def removed(self, name: str, monitor: str = MONITOR, reason: str = "") -> int:
        return self.event("vassal_removed", name, monitor, reason=reason)

    def attempt(self, name: str) -> int:
        """The number of the vassal's present attempt."""
        attempt = self.fleet.vassals[name].attempt
        assert attempt is not None, f"{name} has no attempt"
        return attempt

    def of_attempt(
        self, kind: str, name: str, after: float = 1, cause: int | None = None, **fields: Any
    ) -> int:
        """Something that the present attempt of a vassal says, or that is said of it."""
        attempt = self.attempt(name)
        return self.event(
            kind, name, cause=cause or attempt, after=after, **{"attempt": attempt, **fields}
        )

    def spawned(self, name: str, pid: int = 4000) -> int:
        return self.of_attempt("spawned", name, pid=pid, start_time=pid * 10)

    def accepting(self, name: str, after: float = 1) -> int:
        return self.of_attempt("vassal_accepting", name, after)

    def exited(self, name: str, after: float = 1, **how: Any) -> int:
        vassal = self.fleet.vassals[name]
        ordered = vassal.order if vassal.phase == "stopping" else None
        return self.of_attempt("exited", name, after, ordered, **how)

    def up(self, name: str, text: bytes = b"[uwsgi]\n", pid: int = 4000) -> int:
        """Added, spawned, accepting; the number of the deploy."""
        seq = self.added(name, text)
        self.spawned(name, pid)
        self.accepting(name)
        return seq

    def operator(self, request: str, name: str | None = None, uid: int = 1000) -> int:
        return self.event("operator_requested", name, request=request, uid=uid, via="emperor-ctl")


@contextmanager
def building(path: str, group: int = 1, snapshot_every: int = 10_000) -> Iterator[Builder]:
    """A builder of the journal at ``path``, which is closed (and its log folded in) at the end."""
    with Journal.open(path) as journal:
        builder = Builder(journal, group, snapshot_every)
        yield builder
        builder.flush()


@contextmanager
def of_two_sources(path: str) -> Iterator[Builder]:
    """A builder of a daemon's whole life, with the sources MONITOR and OTHER."""
    with building(path) as builder:
        builder.start(monitors=(MONITOR, OTHER))
        yield builder
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")


def busy_fleet(builder: Builder, events: int, vassals: int = 50) -> None:
    """A long history of ``events`` or a few more: deploys, accepts, changes, deaths, retries."""
    names = [f"app{number:03}.ini" for number in range(vassals)]
    builder.start()
    for name in names:
        builder.up(name, f"[uwsgi]\nname = {name}\n".encode())
    turn = 0
    while builder.seq < events:
        name = names[turn % vassals]
        turn += 1
        if turn % 7 == 0:
            builder.exited(name, code=1, log="Traceback\nImportError: no module named app")
            deadline = builder.fleet.vassals[name].deadline
            if deadline is not None:
                builder.at = max(builder.at, deadline)
                builder.event("deadline_passed", name, deadline=deadline)
            builder.spawned(name, 5000 + turn)
            builder.accepting(name)
        elif turn % 3 == 0:
            builder.of_attempt("vassal_loyal", name)
        else:
            builder.changed(name, f"[uwsgi]\nname = {name}\nturn = {turn % 500}\n".encode())
            builder.accepting(name)
