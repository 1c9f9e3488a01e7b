"""Commands that an operator has run around each start and end of a vassal, as uWSGI has them.

| option | when | as | |
|---|---|---|---|
| ``--start-hook`` | before the program | the vassal's user | its failure is told, no more |
| ``--exec-as-vassal`` | after that | the vassal's user | its failure ends the start |
| ``--exec-as-emperor`` | the process runs | the daemon's user | its failure is told |
| ``--stop-hook`` | the process has ended | the daemon's user | its failure is told |

Hooks get the vassal's name as their last argument. The ``exec`` ones are lines for a shell. Those
of the vassal's user run in its process, by ``enter.py``. The others run in threads, and each has a
time limit. The daemon waits for no hook before it is replaced, and not long before it stops for
good. A process of its own then goes on with those that are left (``hook_process.py``).
"""

import logging
import os
import shlex
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import trio

from ...journal.policy import Policy
from ...monitors.names import shown
from . import command, failures, hook_process, option_files
from .confinement import NONE, Confinement
from .fair_places import FairPlaces
from .process import Process

log = logging.getLogger("emperor.host")

LIMIT: Final = 30.0  # seconds that a hook may run; enter.py has the same
_AT_ONCE: Final = 8  # hooks of one user's vassals that run at the same time
_ALL: Final = 16  # hooks of all users; the last places are for users that have none
LAST: Final = 20.0  # seconds for the hooks that are left when the daemon stops for good
_PATIENCE: Final = 0.1  # seconds for a start of a hook that is under way when the daemon leaves
_SHELL: Final = ("/bin/sh", "-c")
_SEPARATOR: Final = "\x1f"


class Hooks(NamedTuple):
    """The commands, as the options give them, and what confines the programs that they precede."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    as_vassal: tuple[str, ...] = ()
    as_emperor: tuple[str, ...] = ()
    confinement: Confinement = NONE


class HookRunner:
    """Runs hooks. ``environ`` is the daemon's environment, ``limit`` the seconds for each."""

    def __init__(self, hooks: Hooks, environ: Mapping[str, str], limit: float = LIMIT) -> None:
        self._hooks = hooks
        self._environ = command.for_others(environ)
        self._limit = limit
        self._places = FairPlaces(_ALL, _AT_ONCE)
        self._threads = trio.CapacityLimiter(_ALL)
        self._jobs = 0  # processes whose hooks are not over
        self._idle = trio.Event()
        self._left: list[dict[str, Any]] = []  # for hook_process.py

    @property
    def confinement(self) -> Confinement:
        """The namespaces and capabilities of programs and of the hooks before them."""
        return self._hooks.confinement

    @property
    def any_before(self) -> bool:
        """Whether hooks run before programs."""
        return bool(self._hooks.start or self._hooks.as_vassal)

    @property
    def any_started(self) -> bool:
        """Whether hooks run when a process does."""
        return bool(self._hooks.as_emperor)

    @property
    def any_ended(self) -> bool:
        """Whether hooks run when a process has ended."""
        return bool(self._hooks.stop)

    def before(self, vassal: str) -> list[str]:
        """The lines of EMPERORD_WORLD that have ``enter.py`` run hooks before the program."""
        plain = (_words(each, vassal) for each in self._hooks.start)
        needed = ((*_SHELL, each) for each in self._hooks.as_vassal)
        return [
            *("s" + _SEPARATOR.join(words) for words in plain),
            *("x" + _SEPARATOR.join(words) for words in needed),
        ]

    async def started(self, process: Process) -> None:
        """Run the hooks of a process that runs."""
        uid, gid = (os.getuid() if process.uid is None else process.uid), os.getgid()
        if process.spec.gid is not None:
            gid = process.spec.gid
        more = {
            "UWSGI_VASSAL_CONFIG": process.name,
            "UWSGI_VASSAL_PID": str(process.pid),
            "UWSGI_VASSAL_UID": str(uid),
            "UWSGI_VASSAL_GID": str(gid),
        }
        commands = [(*_SHELL, each) for each in self._hooks.as_emperor]
        await self._run("--exec-as-emperor", commands, process, more)

    async def ended(self, process: Process) -> None:
        """Run the hooks of a process that has ended."""
        commands = [_words(each, process.name) for each in self._hooks.stop]
        await self._run("--stop-hook", commands, process, {})

    async def finish(self) -> None:
        """Wait for the hooks that are not over: the daemon stops for good."""
        with trio.move_on_after(LAST):
            while self._jobs:
                await self._idle.wait()

    def leave(self) -> None:
        """Give the hooks that are not over to a process that goes on with them.

        Called when their tasks are cancelled. It delays the next daemon by no hook.
        """
        left, self._left = self._left, []
        if not left:
            return
        names = shown(", ".join(sorted({job["vassal"] for job in left})))
        open_ones = [job["pidfd"] for job in left if job["pidfd"] is not None]
        try:
            pid = hook_process.leave(left, self._limit, open_ones)
        except OSError as error:
            log.error("hooks of %s are lost or not watched: %s", names, failures.reason_of(error))
        else:
            log.info("process %d goes on with hooks of %s", pid, names)
        for each in open_ones:
            os.close(each)

    async def _run(
        self,
        option: str,
        commands: Sequence[tuple[str, ...]],
        process: Process,
        more: Mapping[str, str],
    ) -> None:
        """Run commands one after the other. A task that is cancelled leaves the others."""
        if not commands:
            return
        environ = {**self._environ, **more}
        if process.spec.cwd is not None:
            environ["UWSGI_VASSALS_DIR"] = process.spec.cwd
        waiting = deque(_Run(argv, environ, self._limit) for argv in commands)
        if not self._jobs:
            self._idle = trio.Event()
        self._jobs += 1
        try:
            while waiting:
                async with self._places.place(process.uid):
                    bad = await self._one(waiting[0])
                waiting.popleft()
                if bad is not None:
                    log.warning("%s: %s: %s", process.name, option, bad)
        except trio.Cancelled:
            running = waiting[0].leave()
            if waiting[0].has_begun:
                waiting.popleft()
            if running is not None or waiting:
                argvs = [list(each.argv) for each in waiting]
                pid, pidfd, until = running or (None, None, 0.0)
                self._left.append(
                    {
                        "vassal": process.name, "option": option, "environ": environ,
                        "commands": argvs, "pid": pid, "pidfd": pidfd, "until": until,
                    }
                )  # fmt: skip
            raise
        finally:
            self._jobs -= 1
            if not self._jobs:
                self._idle.set()

    async def _one(self, run: "_Run") -> str | None:
        try:
            return await trio.to_thread.run_sync(run, limiter=self._threads, abandon_on_cancel=True)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no thread
            return getattr(error, "strerror", None) or str(error)


class _Run:
    """A hook that is run by a thread, which may be left behind."""

    def __init__(self, argv: tuple[str, ...], environ: Mapping[str, str], limit: float) -> None:
        self.argv = argv
        self.has_begun = False
        self._environ = environ
        self._limit = limit
        self._lock = threading.Lock()
        self._is_left = False
        self._hook: subprocess.Popen[bytes] | None = None
        self._until = 0.0  # of the monotonic clock

    def __call__(self) -> str | None:
        """Run it; its flaw. Raises OSError and ValueError. Blocks."""
        with self._lock:
            if self._is_left:
                return None
            self.has_begun = True
            self._hook = hook_process.begin(self.argv, self._environ)
            self._until = time.monotonic() + self._limit
        return hook_process.flaw(self._hook, self._limit)

    def leave(self) -> tuple[int, int, float] | None:
        """From now on it does not begin. If it runs: its pid, a pidfd, and until when it may."""
        if not self._lock.acquire(timeout=_PATIENCE):
            log.warning("%s: is being started, and its time has no limit", shown(self.argv[0]))
            return None  # its program is on a file system that does not answer
        try:
            self._is_left = True
            if self._hook is None or self._hook.returncode is not None:
                return None
            return self._hook.pid, os.pidfd_open(self._hook.pid), self._until
        except OSError:  # it has ended
            return None
        finally:
            self._lock.release()


def flaw(hooks: Hooks, policy: Policy) -> str | None:
    """Why hooks, or what confines programs, cannot be as the options say; None if they can. Blocks.

    Others than root must not be able to write to a program that root, or each tenant, runs.
    """
    if (reason := hooks.confinement.flaw()) is not None:
        return reason
    if not policy.tyrant and policy.user is None:
        return None
    for option, commands in (("start", hooks.start), ("stop", hooks.stop)):
        for each in commands:
            program = shlex.split(each)[0]
            reason = option_files.reason(program)
            if reason is not None:
                return f"--{option}-hook {shown(program)} is run for every vassal, but {reason}"
    return None


def _words(hook: str, vassal: str) -> tuple[str, ...]:
    """The words of a hook, and the name of a vassal. A tenant chooses it, so it is no option."""
    return (*shlex.split(hook), f"./{vassal}" if vassal.startswith("-") else vassal)
