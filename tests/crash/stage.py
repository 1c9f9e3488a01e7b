"""A script of the simulation, acted by real processes: ``tools/chaos --scripts``.

The steps are those of ``simulation/script.py``, in real seconds. Sources are directories and a
pattern, vassals are real programs (``speaker.py`` is one that speaks the protocol). Full disks,
missing descriptors, kills at a given call and a wall clock that is off are made by ``faults``.
Left out are steps that need another machine, or another command line: a reboot, a stranger's pid,
pressure, other sources, another ``max-starting``.
"""

import contextlib
import errno
import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.replay.verify import verify
from faults.cases import TROUBLES
from faults.plan import FOR_EVER, HANG, KILL, ONCE, Plan, compiled
from simulation.script import Script, Step
from support import processes
from support.kept import Emperor
from support.vassals import speaker_path
from support.waiting import breathe

from . import record, world

PATIENCE: Final = 60.0  # seconds in which all has to be well when the faults are over
_LOOKS: Final = 0.1  # seconds between looks whether a vassal runs twice
_SPEAKS: Final = "say 1 5 17"
# Each behaviour as a program, or as orders to a speaker.
_PROGRAMS: Final = {
    "program": "sleep 1000",
    "slow": "sleep 1000",
    "demand": "sleep 1000",
    "strays": "sh -c 'sleep 1000 & sleep 1000 & wait'",
    "worker": "sh -c 'trap \"exit 0\" HUP; sleep 1000 & wait'",
    "crashes": "sh -c 'exit 3'",
    "late": "sh -c 'sleep 0.4; exit 1'",
    "exile": "sh -c 'exit 26'",
    "noexec": "/nonexistent/program",
    "once": "sh -c 'sleep 0.3'",
}
_SETTINGS: Final = {"once": "restart = on-failure\n", "restarts": "reload = restart\n"}
_SPEAKERS: Final = {
    "beats": f"{_SPEAKS}\nbeat 1000000 0.3",
    "deaf": f"{_SPEAKS}\ndeaf",
    "silent": f"{_SPEAKS}\nbeat 3 0.2",
    "mutes": "",
    "resigns": "say 1 5\nsay 22",
}
# These come to no rest; the others have to be up at the end.
_RESTLESS: Final = (
    "crashes", "late", "exile", "noexec", "once", "silent", "resigns", "fickle", "mutes",
)  # fmt: skip
# Objects that a daemon without descriptors cannot have: all but what its interpreter starts with.
_OBJECTS: Final = (
    "state*", "run*", "/proc*", "/dev*", "files*", "rows*", "messages*", "new", "child", "unix",
    "channel", "socketpair", "listener",
)  # fmt: skip
# Where a daemon is killed, by the name of the moment in the simulation.
_MOMENTS: Final = {
    "append": "daemon fsync state/journal.db-wal",
    "appended": "daemon send channel",
    "act": "daemon send socketpair",
    "fork": "daemon fork child",
    "forked": "daemon pidfd_open child",
    "told": "daemon write run/N.lock",
    "bury": "daemon wait child",
    "recover": "daemon open /proc/N/stat",
    "hand": "daemon socketpair socketpair",
    "handed": "daemon recv channel",
}


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
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._edits = 0
        self._left_alone = False  # its keeper was killed, and none follows yet
        self._askers: list[threading.Thread] = []

    # A run

    def run(self) -> str:
        """Act it, and check; what was seen, in words. Raises AssertionError."""
        steps = list(self.script.steps)
        self.emperor.launch()
        begun, looked, done = time.monotonic(), 0.0, 0
        while (now := time.monotonic() - begun) < self.script.length:
            while steps and steps[0].at <= now:
                self._happen(steps.pop(0))
                done += 1
            for due, do in [each for each in self._later if each[0] <= time.monotonic()]:
                self._later.remove((due, do))
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
        if process is not None and process.poll() is not None and not self._left_alone:
            self.emperor.launch()  # it was told to stop

    def _end_faults(self) -> None:
        self.plan.clear()
        for _, do in self._later:
            do()
        for thread in self._askers:
            thread.join()
        if self._left_alone:
            self._newcomer()

    def _settle(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while reason := self._unsettled():
            self._look()
            assert time.monotonic() < deadline, f"not in {PATIENCE:g} s: {reason}"
            breathe()

    def _unsettled(self) -> str:
        try:
            status = self._ask(do="status")["status"]
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

    # Steps

    def _happen(self, step: Step) -> None:
        do = getattr(self, "_do_" + step.do.replace(" ", "_").replace("-", "_"), None)
        if do is not None:
            do(step)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, do))

    def _for(self, seconds: float, on: Callable[[], None], off: Callable[[], None]) -> None:
        on()
        self._after(seconds, off)

    def _texts(self) -> dict[str, str]:
        return {
            self._name(kind, path.name): path.read_text()
            for kind, directory in self.sources.items()
            for path in directory.glob("*.ini")
        }

    def _name(self, kind: str, file: str) -> str:
        """The name of a vassal: a pattern's by its path."""
        return str(self.sources[kind] / file) if kind == "messages" else file

    def _path(self, step: Step) -> Path:
        """The names of each source are its own."""
        return self.sources[step.whom] / f"{step.whom}-{step.what.split()[0]}"

    def _do_put(self, step: Step) -> None:
        path, behaviour = self._path(step), step.what.split()[1]
        self._edits += 1
        text = f"; {behaviour} {self._edits}\n"
        if behaviour in _PROGRAMS or behaviour in _SETTINGS:
            command = _PROGRAMS.get(behaviour, "sleep 1000")
            text += f"[emperor]\ncommand = {command}\n{_SETTINGS.get(behaviour, '')}"
        else:
            text += f"[uwsgi]\n{_SPEAKERS.get(behaviour, _SPEAKS)}\n"
        listens = path.with_name(path.name + ".socket")
        if behaviour == "demand":
            listens.write_text(f"{self.emperor.folder}/{path.name}.sock\n")
        else:
            listens.unlink(missing_ok=True)
        beside = path.with_suffix(".new")
        beside.write_text(text)
        with contextlib.suppress(FileNotFoundError):  # its source is away
            beside.rename(path)

    def _do_touch(self, step: Step) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._path(step))

    def _do_drop(self, step: Step) -> None:
        self._path(step).unlink(missing_ok=True)

    def _do_fail(self, step: Step) -> None:
        """The source is away: its directory has another name for a while."""
        directory = self.sources[step.whom]
        away = directory.with_name(f"{directory.name}.away")
        if away.exists() or not directory.exists():
            return
        directory.rename(away)
        self._after(step.much, lambda: self._come_back(away, directory))

    def _come_back(self, away: Path, directory: Path) -> None:
        if directory.exists():
            for path in directory.iterdir():
                path.rename(away / path.name)
            directory.rmdir()
        away.rename(directory)

    def _do_kill(self, step: Step) -> None:
        self._signal_vassal(step, signal.SIGSEGV)

    def _do_exit(self, step: Step) -> None:
        self._signal_vassal(step, signal.SIGTERM)

    def _do_exile(self, step: Step) -> None:
        self._signal_vassal(step, signal.SIGKILL)

    _do_resign = _do_mute = _do_exile

    def _signal_vassal(self, step: Step, number: int) -> None:
        for found in world.processes(self.tag):
            if found.leads and found.vassal.endswith(f"-{step.whom}"):
                processes.kill(found.pid, number)

    def _do_connect(self, step: Step) -> None:
        for path in self.emperor.folder.glob(f"*-{step.whom}.sock"):
            with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
                client.settimeout(1)
                client.connect(str(path))

    def _do_stop(self, step: Step) -> None:
        """An operator asks, and need not get an answer."""
        for kind in self.sources:
            request = {"do": step.do, "name": self._name(kind, f"{kind}-{step.whom}")}
            thread = threading.Thread(target=self._ask_in_vain, kwargs=request)
            self._askers.append(thread)
            thread.start()

    _do_start = _do_reload = _do_retry = _do_stop

    def _ask_in_vain(self, **request: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._ask(**request)

    def _ask(self, **request: str) -> dict[str, dict[str, object]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.emperor.control))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer: dict[str, dict[str, object]] = json.loads(stream.readline())
        return answer

    # Steps that break something

    def _strike(self, step: Step, targets: tuple[str, ...], error: int, mode: int) -> None:
        self._for(step.much, lambda: self.plan.strike(targets, error, mode), self.plan.clear)

    def _do_starve(self, step: Step) -> None:
        functions, _ = TROUBLES["EMFILE"]
        targets = tuple(f"daemon {name} {what}" for name in functions for what in _OBJECTS)
        self._strike(step, targets, errno.EMFILE, FOR_EVER)

    def _do_busy(self, step: Step) -> None:
        self._strike(step, ("daemon bind *",), errno.EADDRINUSE, FOR_EVER)

    def _do_full(self, step: Step) -> None:
        functions, objects = TROUBLES["ENOSPC"]
        targets = tuple(f"daemon {name} {what}" for name in functions for what in objects)
        self._strike(step, targets, errno.ENOSPC, FOR_EVER)

    def _do_slow(self, step: Step) -> None:
        self._strike(step, (_MOMENTS["append"],), 0, HANG)

    def _do_hiccup(self, step: Step) -> None:
        self.plan.strike((_MOMENTS["append"],), errno.EIO, ONCE)

    def _do_crash(self, step: Step) -> None:
        for pid in self.emperor.daemons():
            processes.kill(pid)

    def _do_crash_at(self, step: Step) -> None:
        self.plan.strike((_MOMENTS[step.what],), 0, KILL, int(step.much))

    def _do_away(self, step: Step) -> None:
        """It is killed, and the next one starts later."""
        if self._left_alone:
            return
        pid = self.emperor.pid
        processes.kill(pid, signal.SIGSTOP)
        self._do_crash(step)
        self._after(step.much, lambda: processes.kill(pid, signal.SIGCONT))

    def _do_keeper(self, step: Step) -> None:
        """It dies; a newcomer takes over from the daemon that is left, at the end at the latest."""
        process = self.emperor.process
        if self._left_alone or process is None or process.poll() is not None:
            return
        process.kill()
        process.wait()
        self._left_alone = True
        if step.much:
            self._after(step.much, self._newcomer)

    def _newcomer(self) -> None:
        if self._left_alone:
            self._left_alone = False
            self.emperor.launch()

    def _do_term(self, step: Step) -> None:
        self._signal(signal.SIGTERM)

    def _do_term_twice(self, step: Step) -> None:
        self._signal(signal.SIGTERM)
        self._after(1.3, lambda: self._signal(signal.SIGTERM))

    def _do_hup(self, step: Step) -> None:
        self._signal(signal.SIGHUP)

    def _do_urg(self, step: Step) -> None:
        self._signal(signal.SIGURG)

    def _do_usr2(self, step: Step) -> None:
        self._signal(signal.SIGUSR2)

    def _signal(self, number: int) -> None:
        process = self.emperor.process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def _do_wall(self, step: Step) -> None:
        self.plan.shift_clock(step.much)


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
