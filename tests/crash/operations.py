"""The operations of a script, carried out on real processes."""

import contextlib
import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from faults.cases import TROUBLES
from faults.plan import FOR_EVER, HANG, KILL, ONCE
from simulation.acting import Acting
from simulation.script import Step
from support import processes

from . import world

if TYPE_CHECKING:
    from .stage import Stage

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


class Operations(Acting):
    """Has the steps of a script happen on one stage."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage
        self._edits = 0

    def happen(self, step: Step) -> None:
        """Carry out a step, unless the operation is one of the simulation alone."""
        if hasattr(self, self.method_for(step)):
            super().happen(step)

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self._stage.timers.append((time.monotonic() + seconds, do))

    def _path(self, step: Step) -> Path:
        """The names of each source are its own."""
        return self._stage.sources[step.whom] / f"{step.whom}-{step.what.split()[0]}"

    def do_put(self, step: Step) -> None:
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
            listens.write_text(f"{self._stage.emperor.folder}/{path.name}.sock\n")
        else:
            listens.unlink(missing_ok=True)
        beside = path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):  # its source is away, or goes meanwhile
            beside.write_text(text)
            beside.rename(path)

    def do_touch(self, step: Step) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._path(step))

    def do_drop(self, step: Step) -> None:
        self._path(step).unlink(missing_ok=True)

    def do_fail(self, step: Step) -> None:
        """The source is away: its directory has another name for a while."""
        directory = self._stage.sources[step.whom]
        away = directory.with_name(f"{directory.name}.away")
        if away.exists() or not directory.exists():
            return
        directory.rename(away)
        self.later(step.much, lambda: self._come_back(away, directory))

    def _come_back(self, away: Path, directory: Path) -> None:
        if directory.exists():
            for path in directory.iterdir():
                path.rename(away / path.name)
            directory.rmdir()
        away.rename(directory)

    def do_kill(self, step: Step) -> None:
        self._signal_vassal(step, signal.SIGSEGV)

    def do_exit(self, step: Step) -> None:
        self._signal_vassal(step, signal.SIGTERM)

    def do_exile(self, step: Step) -> None:
        self._signal_vassal(step, signal.SIGKILL)

    do_resign = do_mute = do_exile

    def _signal_vassal(self, step: Step, number: int) -> None:
        for found in world.processes(self._stage.tag):
            if found.leads and found.vassal.endswith(f"-{step.whom}"):
                processes.kill(found.pid, number)

    def do_connect(self, step: Step) -> None:
        for path in self._stage.emperor.folder.glob(f"*-{step.whom}.sock"):
            with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
                client.settimeout(1)
                client.connect(str(path))

    def ask(self, step: Step) -> None:
        """An operator asks, and need not get an answer."""
        for kind in self._stage.sources:
            request = {"do": step.do, "name": self._stage.name_of(kind, f"{kind}-{step.whom}")}
            thread = threading.Thread(target=self._ask_in_vain, kwargs=request)
            self._stage.askers.append(thread)
            thread.start()

    def _ask_in_vain(self, **request: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stage.ask(**request)

    def _strike(self, step: Step, targets: tuple[str, ...], error: int, mode: int) -> None:
        self.during(
            step, lambda: self._stage.plan.strike(targets, error, mode), self._stage.plan.clear
        )

    def do_starve(self, step: Step) -> None:
        functions, _ = TROUBLES["EMFILE"]
        targets = tuple(f"daemon {name} {what}" for name in functions for what in _OBJECTS)
        self._strike(step, targets, errno.EMFILE, FOR_EVER)

    def do_busy(self, step: Step) -> None:
        self._strike(step, ("daemon bind *",), errno.EADDRINUSE, FOR_EVER)

    def do_full(self, step: Step) -> None:
        functions, objects = TROUBLES["ENOSPC"]
        targets = tuple(f"daemon {name} {what}" for name in functions for what in objects)
        self._strike(step, targets, errno.ENOSPC, FOR_EVER)

    def do_slow(self, step: Step) -> None:
        self._strike(step, (_MOMENTS["append"],), 0, HANG)

    def do_hiccup(self, step: Step) -> None:
        self._stage.plan.strike((_MOMENTS["append"],), errno.EIO, ONCE)

    def do_crash(self, step: Step) -> None:
        for pid in self._stage.emperor.daemons():
            processes.kill(pid)

    def do_crash_at(self, step: Step) -> None:
        self._stage.plan.strike((_MOMENTS[step.what],), 0, KILL, int(step.much))

    def do_away(self, step: Step) -> None:
        """It is killed, and the next one starts later."""
        if self._stage.left_alone:
            return
        pid = self._stage.emperor.pid
        processes.kill(pid, signal.SIGSTOP)
        self.do_crash(step)
        self.later(step.much, lambda: processes.kill(pid, signal.SIGCONT))

    def do_keeper(self, step: Step) -> None:
        """It dies. A successor takes over from the daemon that is left, at the end at latest."""
        process = self._stage.emperor.process
        if self._stage.left_alone or process is None or process.poll() is not None:
            return
        process.kill()
        process.wait()
        self._stage.left_alone = True
        if step.much:
            self.later(step.much, self._stage.successor)

    def signal(self, number: int) -> None:
        process = self._stage.emperor.process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def do_wall(self, step: Step) -> None:
        self._stage.plan.shift_clock(step.much)
