"""Writes a journal of a million events: million.py PATH [EVENTS [VASSALS]].

It is what a fleet of 200 files does in a month: deploys, deaths and retries, reloads, stops,
outages of the source, and new daemons. The events are folded and stored as a daemon
does it, with configs, deploys and snapshots. The same arguments make the same journal.
"""

import itertools
import random
import sys
from collections.abc import Iterator
from typing import Any

from emperord.daemon.core.actions import recorded
from emperord.daemon.core.checkpoints import States
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fleet import Fleet, to_json
from emperord.daemon.core.rules import RULES
from emperord.journal import chain
from emperord.journal.events import KINDS, Event, Spec
from emperord.journal.policy import Policy
from emperord.journal.store import SNAPSHOT_EVERY, Journal, Snapshot

SECOND = 10**9
BEGIN = 1_795_500_000 * SECOND  # 2026-11-24T06:00:00Z
MONITOR = "dir:///etc/vassals"
TRACE = 'Traceback (most recent call last):\n  File "app.py", line 7\nImportError: no module app\n'


class Million:
    """The events, and the fleet that they make."""

    def __init__(self, events: int, vassals: int) -> None:
        self.fleet = Fleet()
        self.follower = Deploys()
        self._states = States()
        self.configs: dict[str, bytes] = {}  # not stored yet
        self._names = [f"app{number:03}.ini" for number in range(vassals)]
        self._versions = itertools.count()
        self._random = random.Random(1)
        self._at = BEGIN
        self._pace = int(30 * 86_400 * SECOND / events)  # nanoseconds between two, on average

    def rows(self) -> Iterator[chain.Columns]:
        """Events without an end, with checkpoints."""
        for row in self._rows():
            yield row
            if self._states.is_due(self.fleet):
                body = self._states.checkpoint(self.fleet)
                yield self._row("checkpoint", v=body.v, digest=body.digest)

    def _rows(self) -> Iterator[chain.Columns]:
        yield self._started()
        yield self._row("daemon_ready")
        for name in self._names:
            yield self._deploy("vassal_added", name)
        for turn in itertools.count(1):
            if turn % 20_000 == 0:
                yield from self._crash()
            elif turn % 5_000 == 0:
                yield self._row("monitor_failed", monitor=MONITOR, reason="Stale file handle")
                yield self._row("monitor_recovered", monitor=MONITOR)
            else:
                yield from self._step(self._random.choice(self._names))

    def _row(self, kind: str, vassal: str | None = None, **fields: Any) -> chain.Columns:
        self._at += self._random.randrange(1, 2 * self._pace)
        monitor = fields.pop("monitor", None)
        known = self.fleet.vassals.get(vassal or "")
        cause = None if known is None else known.order
        body = KINDS[kind](**fields)
        event = Event(self.fleet.seq + 1, self._at, kind, monitor, vassal, cause, body)
        actions = self.follower.take(self.fleet, event)
        self._states.note(self.fleet, event, actions)
        text = chain.text(body)
        return (event.seq, event.at, kind, monitor, vassal, cause, text, recorded(actions))

    def _deploy(self, kind: str, name: str) -> chain.Columns:
        text = f"[uwsgi]\nmodule = {name[:6]}\nversion = {next(self._versions)}\n".encode()
        digest = chain.digest(text)
        self.configs[digest] = text
        spec = Spec(ts=self._at, config=digest, path=f"/etc/vassals/{name}", cwd="/etc/vassals")
        change = "ts, config" if kind == "vassal_changed" else ""
        return self._row(kind, name, monitor=MONITOR, spec=spec, change=change)

    def _started(self) -> chain.Columns:
        return self._row(
            "daemon_started",
            version="0.2.0",
            boot="5e0bd4e5-6d4b-4c43-b9a0-6f0f3f0b8d7e",
            pid=100,
            policy=Policy(max_starting=16),
            monitors=(MONITOR,),
            rules=RULES,
        )

    def _crash(self) -> Iterator[chain.Columns]:
        """The daemon is killed; the next one finds most processes, and one that died meanwhile."""
        yield self._started()
        up = [each for each in self.fleet.vassals.values() if each.pid is not None]
        for vassal in up[1:]:
            yield self._row(
                "adopted", vassal.name, attempt=vassal.attempt, pid=vassal.pid, start_time=1,
                control=True,
            )  # fmt: skip
        for vassal in up[:1]:
            yield self._row("exited", vassal.name, attempt=vassal.attempt, away=True)
        yield self._row("daemon_ready")

    def _step(self, name: str) -> Iterator[chain.Columns]:
        """One vassal goes one step on."""
        vassal = self.fleet.vassals[name]
        attempt = vassal.attempt
        match vassal.phase:
            case "starting" if vassal.pid is None:
                yield self._row("spawned", name, attempt=attempt, pid=4000, start_time=1)
            case "starting" | "ready":
                yield self._row("vassal_accepting", name, attempt=attempt)
                if self._random.random() < 0.5:
                    yield self._row("vassal_loyal", name, attempt=attempt)
            case "reloading" if self._random.random() < 0.9:
                yield self._row("vassal_accepting", name, attempt=attempt)
            case "accepting" | "reloading":
                yield from self._trouble(name, attempt)
            case "throttled":
                assert vassal.deadline is not None
                self._at = max(self._at, vassal.deadline)
                yield self._row("deadline_passed", name, deadline=vassal.deadline)
            case "stopping":
                yield self._row("exited", name, attempt=attempt, code=0)
            case "held":
                yield self._row("operator_requested", name, request="start", uid=0)

    def _trouble(self, name: str, attempt: int | None) -> Iterator[chain.Columns]:
        chance = self._random.random()
        if chance < 0.75:
            yield self._deploy("vassal_changed", name)
        elif chance < 0.95:
            yield self._row("exited", name, attempt=attempt, code=1, log=TRACE)
        elif chance < 0.98:
            yield self._row("exited", name, attempt=attempt, signal=9)
        else:
            yield self._row("operator_requested", name, request="stop", uid=1000, via="emperor-ctl")


def write(path: str, events: int = 1_000_000, vassals: int = 200) -> Iterator[chain.Columns]:
    """The journal at ``path``, which must not be there; the rows that would follow."""
    told = Million(events, vassals)
    rows = told.rows()
    with Journal.open(path) as journal:
        while journal.seq < events:
            room = min(SNAPSHOT_EVERY, events - journal.seq)
            some = list(itertools.islice(rows, room))
            journal.append(
                some, told.configs, Snapshot(told.fleet.seq, to_json(told.fleet)),
                told.follower.rows,
            )  # fmt: skip
            told.configs.clear()
            told.follower.touched.clear()
    return rows


if __name__ == "__main__":
    write(sys.argv[1], *map(int, sys.argv[2:]))
