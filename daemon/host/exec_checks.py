"""Commands that check a vassal (``exec:``): run as its user, in its directory and environment.

A tenant names the command, so it runs with no more rights than the vassal: the same user, limits
and cgroup. It is killed when the vassal is to end, or has ended.

Each check has a deadline. timeout(1) enforces it, so a check ends in time also if the daemon dies.
The processes that it has left in its group end with it. Those in other sessions end with the
vassal.

The user is looked up first, because the user database may not answer (``accounts.py``).

A check takes a thread until it ends, because the kernel hands the child of a thread that has ended
to another thread. So the number of checks at once is limited, and users share it fairly
(``fair_places.py``).
"""

import contextlib
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import trio

from ...journal.policy import Policy
from ...monitors.children import Child
from ...monitors.defaults import lowered
from . import command, procfs, threads
from .accounts import Accounts
from .fair_places import FairPlaces
from .process import Process
from .users import NoAccount, User

_AT_ONCE: Final = 32  # checks that run
_SHARE: Final = 4  # of those, of one user
_LONGEST: Final = 30.0  # seconds of a check in tyrant mode: it keeps others from their places
_LOOK: Final = 0.2  # seconds between looks whether its vassal ends
_GRACE: Final = 1.0  # seconds more, to see that it was ended


class ExecChecks:
    """Runs checks. ``environ``, ``nofile`` and ``most`` are as for the starts of vassals.

    ``is_over`` says whether a process has ended or is to end; ``accounts`` looks up its user.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        identity: Callable[[], str | None],
        environ: Mapping[str, str],
        nofile: tuple[int, int] | None,
        most: Mapping[str, str],
        is_over: Callable[[Process], bool],
        accounts: Accounts,
    ) -> None:
        self._accounts = accounts
        self._policy = policy
        self._identity = identity
        self._inherited = command.Inherited(environ)
        self._nofile = nofile
        self._most = most
        self._is_over = is_over
        self._limiter: trio.CapacityLimiter | None = None
        self._places = FairPlaces(_AT_ONCE, _SHARE)

    async def passes(self, process: Process, words: Sequence[str], seconds: float) -> bool:
        """Whether the command ends with code 0 within so many seconds of its start.

        Raises NotAnswered; no place or thread that all share waits for the user database.
        """
        try:
            user = await self._accounts.user_of(process.spec, self._policy())
        except NoAccount:
            return False
        if self._policy().tyrant:
            seconds = min(seconds, _LONGEST)
        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(_AT_ONCE)
        async with contextlib.AsyncExitStack() as stack:
            if process.uid is not None:
                await stack.enter_async_context(self._places.place(process.uid))
            run = _Run()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, process, run)
                try:
                    job = partial(self._run, process, words, seconds, run, user)
                    passed = await threads.run_sync(
                        job, limiter=self._limiter, abandon_on_cancel=True
                    )
                finally:
                    run.end()
                nursery.cancel_scope.cancel()
            return passed

    async def _watch(self, process: Process, run: "_Run") -> None:
        """End the check when its vassal ends."""
        while True:
            if self._is_over(process):
                run.end()
                return
            await trio.sleep(_LOOK)

    def _run(
        self,
        process: Process,
        words: Sequence[str],
        seconds: float,
        run: "_Run",
        user: User | None,
    ) -> bool:
        """Run it and wait for its end. Blocks, for a worker thread."""
        spec = process.spec
        try:
            argv = command.of_attempt(
                list(words), lowered(spec, self._most), self._nofile, user, process.cgroup
            )
            name, mark = process.name, process.mark
            environment = command.environment(
                self._inherited, name, spec, mark, None, None, user, self._identity()
            )
            quiet = subprocess.DEVNULL
            child = run.begin(
                ["timeout", "--signal=KILL", f"{seconds:g}", *argv],
                tag=procfs.settable_tag(process.mark),
                env=environment,
                cwd=spec.cwd,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                process_group=0,
            )
        except OSError:
            return False
        if child is None:
            return False
        with child:
            # Before it is reaped, so that its process group is still its own.
            passed = _passes_within(child.pid, seconds + _GRACE)
            run.end()
        return passed


def _passes_within(pid: int, seconds: float) -> bool:
    """Whether a child ends with code 0. It is left unreaped.

    Popen.wait() has code 0, too, where the child was reaped elsewhere.
    """
    try:
        process = os.pidfd_open(pid)
    except OSError:  # no descriptor is left
        return False
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return False
        end = os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    finally:
        os.close(process)
    return end is not None and (end.si_code, end.si_status) == (os.CLD_EXITED, 0)


class _Run:
    """The process of one check, which one thread starts and another one may end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()

    def begin(self, argv: list[str], **how: Any) -> "subprocess.Popen[bytes] | None":
        """Start it; None if it is to end already. Raises OSError."""
        if self._over.is_set():
            return None
        # Without the lock: this blocks where the working directory does not answer.
        child = Child(argv, **how)
        with self._lock:
            self._child = child
            is_over = self._over.is_set()
        if is_over:
            self.end()
        return child

    def end(self) -> None:
        """Kill it and all of its process group, unless it has ended."""
        with self._lock:
            self._over.set()
            if self._child is not None and self._child.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._child.pid, signal.SIGKILL)
