"""A script of the simulation, acted by real processes: ``tools/chaos --scripts``.

The steps are those of ``simulation/script.py``, in real seconds. Sources are directories and a
pattern, vassals are real programs (``speaker.py`` is one that speaks the protocol). Full disks,
missing descriptors, kills at a given call and a wall clock that is off are made by ``faults``.
Left out are steps that need another machine, or another command line: a reboot, a stranger's pid,
pressure, other sources, another ``max-starting``.
"""

import contextlib
import hashlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.replay.verify import verify
from faults.plan import Plan, compiled
from simulation.script import Script
from support.kept import Emperor
from support.vassals import speaker_path
from support.waiting import breathe

from . import record, world
from .operations import Operations

PATIENCE: Final = 60.0  # seconds in which all has to be well when the faults are over
_LOOKS: Final = 0.1  # seconds between looks whether a vassal runs twice
# These come to no rest; the others have to be up at the end.
_RESTLESS: Final = (
    "crashes", "late", "exile", "noexec", "once", "silent", "resigns", "fickle", "mutes",
)  # fmt: skip


class Stage:
    """One run of a script."""

    def __init__(self, folder: Path, script: Script, tag: str) -> None:
        self.script = script
        self.tag = tag
        self.plan = Plan(compiled(folder), folder / "plan", folder)
        self.sources = {kind: folder / kind for kind in ("files", "rows", "messages")}
        for directory in self.sources.values():
            directory.mkdir()
        options = [
            *("--freq", "0.3", "--throttle", "200", "--max-throttle", "1600", "--mercy", "1.5"),
            *("--start-patience", "2", "--required-heartbeat", "2"),
            *("--max-starting", str(script.max_starting), "--uwsgi", speaker_path(folder)),
            *("--on-demand-extension", ".socket"),
            *(["--graceful-shutdown"] if script.graceful else []),
        ]
        self.emperor = Emperor(
            folder,
            *options,
            monitors=[
                self.sources["files"], self.sources["rows"], self.sources["messages"] / "*.ini",
            ],
            environ={**self.plan.environ, world.TAG: tag, "SPEAKER_NOTES": str(folder)},
        )  # fmt: skip
        self.emperor.warnings = "ignore::ResourceWarning"
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.left_alone = False  # its keeper was killed, and none follows yet
        self.askers: list[threading.Thread] = []

    # A run

    def run(self) -> str:
        """Act it, and check; what was seen, in words. Raises AssertionError."""
        steps = list(self.script.steps)
        operations = Operations(self)
        self.emperor.launch()
        begun, looked, done = time.monotonic(), 0.0, 0
        while (now := time.monotonic() - begun) < self.script.length:
            while steps and steps[0].at <= now:
                operations.happen(steps.pop(0))
                done += 1
            for due, do in [each for each in self.timers if each[0] <= time.monotonic()]:
                self.timers.remove((due, do))
                do()
            if now - looked > _LOOKS:
                looked = now
                self._look()
            breathe()
        self._end_faults()
        self._settle()
        return f"{done} steps, {self._check()} events"

    def _look(self) -> None:
        wrong = world.twice(self.tag)
        assert not wrong, wrong
        process = self.emperor.process
        if process is not None and process.poll() is not None and not self.left_alone:
            self.emperor.launch()  # it was told to stop

    def _end_faults(self) -> None:
        self.plan.clear()
        for _, do in self.timers:
            do()
        for thread in self.askers:
            thread.join()
        if self.left_alone:
            self.successor()

    def _settle(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while reason := self._unsettled():
            self._look()
            assert time.monotonic() < deadline, f"not in {PATIENCE:g} s: {reason}"
            breathe()

    def _unsettled(self) -> str:
        try:
            status = self.ask(do="status")["status"]
        except (OSError, ValueError, KeyError) as error:
            return f"status: {error}"
        if status["paused"] or status["stopping"] or status["outages"] or not status["keeper"]:
            return f"status: {status}"
        fleet = self.emperor.fleet()
        if fleet.vassals.keys() != self._texts().keys():
            return f"known: {sorted(fleet.vassals)}"
        wrong = (self._unequal(vassal) for vassal in fleet.vassals.values())
        return next(filter(None, wrong), "") or self._astray(fleet)

    def _unequal(self, vassal: Vassal) -> str:
        text = self._texts()[vassal.name]
        if vassal.spec.config != hashlib.sha256(text.encode()).hexdigest():
            return f"{vassal.name}: another text is known"
        behaviour = text.partition("\n")[0].split()[1]
        if behaviour in _RESTLESS or vassal.held:
            return ""
        wanted = ("ready", "accepting", *(["listening"] if behaviour == "demand" else []))
        if vassal.phase not in wanted:
            return f"{vassal.name}: {vassal.phase} ({vassal.reason})"
        if vassal.running is None or vassal.running.config != vassal.spec.config:
            return f"{vassal.name}: runs what is no longer wanted"
        return ""

    def _astray(self, fleet: Fleet) -> str:
        """Leaders that the record does not know."""
        recorded = {vassal.pid for vassal in fleet.vassals.values()}
        leaders = [found for found in world.processes(self.tag) if found.leads]
        strange = [found for found in leaders if found.pid not in recorded]
        return str(strange) if strange else ""

    def _check(self) -> int:
        self.emperor.send(signal.SIGTERM)
        code = self.emperor.wait(PATIENCE)
        assert code == 0, self.emperor.account()
        left = world.processes(self.tag)
        assert not left, left
        said = self.emperor.log()
        assert "Traceback" not in said, said[said.index("Traceback") :][:5000]
        found, _ = record.check(self.emperor.journal)
        verdict = verify(str(self.emperor.journal))
        assert verdict.exit_code == 0, (verdict.audit.findings, verdict.first)
        return len(found)

    def _texts(self) -> dict[str, str]:
        return {
            self.name_of(kind, path.name): path.read_text()
            for kind, directory in self.sources.items()
            for path in directory.glob("*.ini")
        }

    def name_of(self, kind: str, file: str) -> str:
        """The name of a vassal: a pattern's by its path."""
        return str(self.sources[kind] / file) if kind == "messages" else file

    def ask(self, **request: str) -> dict[str, dict[str, object]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.emperor.control))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer: dict[str, dict[str, object]] = json.loads(stream.readline())
        return answer

    def successor(self) -> None:
        if self.left_alone:
            self.left_alone = False
            self.emperor.launch()


@contextlib.contextmanager
def staged(folder: Path, script: Script, tag: str) -> Iterator[Stage]:
    """A stage that leaves nothing behind."""
    stage = Stage(folder, script, tag)
    try:
        yield stage
    finally:
        stage.plan.clear()
        stage.emperor.clean_up()
        world.kill_all(tag)
