"""Commands that check a vassal (``exec:``): run as its user, in its directory and environment.

A tenant names the command, so it runs with no more rights than the vassal: the same user, limits
and cgroup. It has the mark of the attempt, so it ends with the vassal at the latest.

Each check has a deadline. timeout(1) enforces it, so a check ends in time also if the daemon dies.
A check takes a thread until it ends, because the kernel hands the child of a thread that has ended
to another thread. So the number of checks at once is limited, and of those the number of one user.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from ...journal.policy import Policy
from . import cgroups, command, procfs, threads, world
from .process import Process
from .users import NoAccount, user_of

_AT_ONCE: Final = 16  # checks that run
_GRACE: Final = 1.0  # seconds more, to see that it was ended


class ExecChecks:
    """Runs checks. ``environ`` and ``nofile`` are as for the starts of vassals."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        identity: Callable[[], str | None],
        environ: Mapping[str, str],
        nofile: tuple[int, int] | None,
    ) -> None:
        self._policy = policy
        self._identity = identity
        self._environ = dict(environ)
        self._nofile = nofile
        self._limiter: trio.CapacityLimiter | None = None
        self._shares: dict[int, trio.Semaphore] = {}

    async def passes(self, process: Process, words: Sequence[str], seconds: float) -> bool:
        """Whether the command ends with code 0 within so many seconds of its start."""
        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(_AT_ONCE)
        async with contextlib.AsyncExitStack() as stack:
            if process.uid is not None:
                share = self._shares.setdefault(process.uid, trio.Semaphore(threads.SHARE))
                await stack.enter_async_context(share)
            return await threads.run_sync(
                self._run, process, words, seconds, limiter=self._limiter, abandon_on_cancel=True
            )

    def _run(self, process: Process, words: Sequence[str], seconds: float) -> bool:
        """Run it and wait for its end. Blocks, for a worker thread."""
        spec = process.spec
        try:
            user = user_of(spec, self._policy())
            argv = command.limited(
                list(words),
                self._nofile,
                spec.cwd,
                spec.settings,
                limit_tag=procfs.limit_tag(process.mark) if procfs.can_set_limit_tag() else None,
                user=user,
                enter=() if process.cgroup is None else cgroups.entering(process.cgroup),
            )
            environment = command.environment(
                self._environ, process.name, spec, process.mark, None, None, user, self._identity()
            )
            quiet = subprocess.DEVNULL
            run = subprocess.Popen(
                ["timeout", "--signal=KILL", f"{seconds:g}", *argv],
                env=environment | world.variable(spec.settings),
                cwd=spec.cwd,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                process_group=0,
            )
        except (OSError, NoAccount):
            return False
        with run:
            try:
                return run.wait(seconds + _GRACE) == 0
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(run.pid, signal.SIGKILL)
                return False
