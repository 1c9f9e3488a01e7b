"""Commands that an operator has run around each start and end of a vassal, as uWSGI has them.

| option | when | as | |
|---|---|---|---|
| ``--start-hook`` | before the program | the vassal's user | its failure is told, no more |
| ``--exec-as-vassal`` | after that | the vassal's user | its failure ends the start |
| ``--exec-as-emperor`` | the process runs | the daemon's user | its failure is told |
| ``--stop-hook`` | the process has ended | the daemon's user | its failure is told |

Hooks get the vassal's name as their last argument. The ``exec`` ones are lines for a shell. Those
of the vassal's user run in its process, by ``enter.py``. The daemon waits for no hook: the others
run in threads, and each has a time limit.
"""

import contextlib
import logging
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

import trio

from ...journal.policy import Policy
from ...monitors.names import shown
from . import command, option_files
from .process import Process

log = logging.getLogger("emperor.host")

LIMIT: Final = 30.0  # seconds that a hook may run; enter.py has the same
_AT_ONCE: Final = 8  # hooks of the daemon's user that run at the same time
_LAST: Final = 60.0  # seconds for the hooks that are left when the daemon leaves
_SHELL: Final = ("/bin/sh", "-c")
_SEPARATOR: Final = "\x1f"


class Hooks(NamedTuple):
    """The commands, as the options give them."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    as_vassal: tuple[str, ...] = ()
    as_emperor: tuple[str, ...] = ()


class HookRunner:
    """Runs hooks. ``environ`` is the daemon's environment."""

    def __init__(self, hooks: Hooks, environ: Mapping[str, str]) -> None:
        self._hooks = hooks
        self._environ = command.for_others(environ)
        self._places = trio.CapacityLimiter(_AT_ONCE)

    @property
    def any_before(self) -> bool:
        """Whether hooks run before programs."""
        return bool(self._hooks.start or self._hooks.as_vassal)

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
        for each in self._hooks.as_emperor:
            await self._run("--exec-as-emperor", (*_SHELL, each), process, more)

    async def ended(self, process: Process) -> None:
        """Run the hooks of a process that has ended. The daemon's own end waits for them."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST):
            for each in self._hooks.stop:
                await self._run("--stop-hook", _words(each, process.name), process, {})

    async def _run(
        self, option: str, argv: tuple[str, ...], process: Process, more: Mapping[str, str]
    ) -> None:
        environment = {**self._environ, **more}
        if process.spec.cwd is not None:
            environment["UWSGI_VASSALS_DIR"] = process.spec.cwd
        try:
            how = partial(_ended_badly, argv, environment)
            flaw = await trio.to_thread.run_sync(how, limiter=self._places)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no thread
            flaw = getattr(error, "strerror", None) or str(error)
        if flaw is not None:
            log.warning("%s: %s: %s", process.name, option, flaw)


def flaw(hooks: Hooks, policy: Policy) -> str | None:
    """Why a hook may not be run with tenants, None if all may. Blocks.

    Others than root must not be able to write to a program that root, or each tenant, runs.
    """
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


def _ended_badly(argv: tuple[str, ...], environment: Mapping[str, str]) -> str | None:
    """Run a hook; what is wrong with its end, None for a good one. Raises OSError. Blocks."""
    # All descriptors of the daemon are closed there. It has a process group of its own, which is
    # killed as a whole. It stays in the daemon's session, so it is taken for no remnant of a vassal
    # (``stray_processes.py``), nor is a process that it leaves behind.
    with subprocess.Popen(
        argv, env=environment, stdin=subprocess.DEVNULL, stdout=2, process_group=0
    ) as hook:
        try:
            code = hook.wait(LIMIT)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(hook.pid, signal.SIGKILL)
            return f"it took longer than {LIMIT:g} s, so it was killed"
    return None if code == 0 else f"it ended with {_how(code)}"


def _how(code: int) -> str:
    return f"status {code}" if code >= 0 else f"signal {-code}"
