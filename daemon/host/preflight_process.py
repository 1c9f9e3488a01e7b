"""The process of a preflight: how it is started, and what is kept of its output.

It is started as a vassal is (``spawn.py``): the same user, directory, variables and limits, in a
session and a cgroup of its own. Its mark has a prefix before the vassal's name, so that the next
daemon finds it, and takes it for no attempt. It gets no socket of the emperor protocol.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio

from ...journal.events import Spec
from ...monitors import preflight, shell_words
from ...monitors.children import Child
from ..core.fleet import Vassal
from . import command, procfs
from .context import HostContext
from .process import Process
from .spawn import attach, execute
from .users import User

CONFIG: Final = "EMPERORD_CONFIG"  # the variable with the path of the config
LAST_LINES: Final = 10
LONGEST: Final = 4096  # bytes of the last lines
_CHUNK: Final = 1 << 16  # bytes that are read at once
_PAUSE: Final = 0.05  # seconds from one chunk to the next: a flood waits in its pipe
_UWSGI_CHECK: Final = Path(__file__).with_name("uwsgi_check.py").read_text()


class PreflightProcess:
    """A preflight that runs. ``output`` is the end of its pipe that the daemon reads."""

    def __init__(self, process: Process, output: int) -> None:
        self.process = process
        self._output = output
        self._last = b""

    async def read(self) -> None:
        """Read its output, at a bounded rate, until all ends of the pipe are closed."""
        while True:
            await trio.lowlevel.wait_readable(self._output)
            if not self._take():
                return
            await trio.sleep(_PAUSE)

    def _take(self) -> bool:
        """Take a chunk; False where there is none."""
        try:
            chunk = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        self._last = (self._last + chunk)[-LONGEST:]
        return bool(chunk)

    def last_lines(self) -> str:
        """The last lines that it wrote."""
        self._take()
        lines = self._last.decode(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])

    def close(self) -> None:
        """Close what the daemon has open of it."""
        os.close(self._output)
        os.close(self.process.pidfd)


class PreflightStarter:
    """Starts preflights. ``environ`` and ``nofile`` are as for the starts of vassals."""

    def __init__(
        self,
        context: HostContext,
        environ: Mapping[str, str],
        nofile: tuple[int, int] | None,
    ) -> None:
        self._policy = context.policy
        self._identity = context.identity
        self._cgroups = context.cgroups
        self._copies = context.copies
        self._starts = context.starts
        self._inherited = command.Inherited(environ)
        self._nofile = nofile

    def start(self, vassal: Vassal, check: int, at: int, user: User | None) -> PreflightProcess:
        """Start the preflight that event ``check`` ordered ``at`` that time. Blocks.

        ``user`` is whom it runs as, None for the daemon's own. Raises CannotRun for what cannot be,
        OSError for what failed.
        """
        spec, policy = vassal.spec, self._policy()
        mark = procfs.mark(check, at, procfs.PREFLIGHT + vassal.name)
        stand_in = msgspec.structs.replace(
            vassal, attempt=check, running=spec, speaks=False, deaf=None,
            own_user=policy.tyrant, user=policy.user,
        )  # fmt: skip
        path = self._copies.make((vassal.name, check), spec.config, user)
        cgroup = self._cgroups.make(self._identity(), mark)
        try:
            self._cgroups.limit(cgroup, spec.settings)
            started = self._start(stand_in, mark, user, cgroup, path)
        except BaseException:
            if cgroup is not None:
                self._cgroups.discard(cgroup)
            raise
        return started

    def _start(
        self,
        vassal: Vassal,
        mark: str,
        user: User | None,
        cgroup: str | None,
        path: str,
    ) -> PreflightProcess:
        spec = vassal.spec
        argv = command.of_attempt(argv_of(spec), spec, self._nofile, user, cgroup)
        its = command.environment(
            self._inherited, vassal.name, spec, mark, None, None, user, self._identity()
        )
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(theirs, True)
            with self._starts.start() as start:
                output = start.copy(theirs)
                child = start.begin(
                    partial(
                        execute,
                        Child,
                        argv,
                        tag=procfs.settable_tag(mark),
                        env=its | {CONFIG: path},
                        cwd=spec.cwd,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        close_fds=False,  # all of ours close on exec; see spawn.py
                        start_new_session=True,
                    )
                )
            process = attach(vassal, child)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        process.mark, process.cgroup = mark, cgroup
        return PreflightProcess(process, ours)


def argv_of(spec: Spec) -> list[str]:
    """The command line of a preflight."""
    text = spec.settings["preflight"]
    if text == preflight.BUILT_IN:
        return [sys.executable, "-I", "-c", _UWSGI_CHECK]
    return shell_words.split(text)
