"""Preflights: the command that checks a changed config before anything is done about the change.

The fold orders a check, and gets its verdict: ``preflight_passed`` or ``deploy_refused``. Another
check of the same vassal, or its removal, ends one that is under way, and then there is no verdict.
So does the end of the daemon. A daemon that was killed leaves its preflights running: the next one
ends them (``recovery.py``) and the fold orders the checks again.

A tenant writes the command. So its time has a limit, and so has the output that is read of it. The
numbers of checks at once, of one user and of all, are limited (``fair_places.py``). Its whole tree
is ended with it.

A user database that does not answer is no fault of the change. So a check waits until its account
was looked up, and holds no place meanwhile.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Final

import msgspec
import trio

from ...journal import quantities
from ...journal.events import DeployRefused, PreflightPassed
from ...monitors import preflight
from ...monitors.backoff import Backoff
from ..core.actions import Action
from ..core.draft import Draft
from ..core.fleet import Vassal
from ..keeper.refusals import Refused
from . import command, failures, threads
from .accounts import NotAnswered
from .context import HostContext
from .fair_places import FairPlaces
from .preflight_process import PreflightProcess, PreflightStarter
from .process import Process
from .reap import ProcessTrees, kill_group
from .spawn import error_text
from .users import NoAccount, User

log = logging.getLogger("emperor.host")

_OF_ONE: Final = 4  # checks of one user at once
_OF_ALL: Final = 16
_LAST: Final = 10.0  # seconds for the end of a tree; the daemon may be leaving
_FIRST_PAUSE: Final = 1.0  # seconds from a late lookup of its account to the next
_LONGEST_PAUSE: Final = 60.0  # seconds, where each lookup is late


class Preflights:
    """Runs the checks that the fold orders. ``one_spawn`` is the limit of starts at once."""

    def __init__(
        self,
        context: HostContext,
        starter: PreflightStarter,
        trees: ProcessTrees,
        one_spawn: trio.CapacityLimiter,
    ) -> None:
        self._policy = context.policy
        self._outbox = context.outbox
        self._tasks = context.tasks
        self._accounts = context.accounts
        self._starter = starter
        self._copies = context.copies
        self._trees = trees
        self._one_spawn = one_spawn
        self._scopes: dict[str, trio.CancelScope] = {}
        self._running: dict[int, Process] = {}  # by pid
        self._places = FairPlaces(_OF_ALL, _OF_ONE)

    def __iter__(self) -> Iterator[Process]:
        """The processes of preflights. A worker thread may iterate over them."""
        return iter(list(self._running.values()))

    @property
    def pids(self) -> set[int]:
        """The pids of the processes of preflights."""
        return set(self._running)

    def check(self, vassal: Vassal, action: Action, at: int) -> None:
        """Have a check run that was ordered ``at`` that time. Returns at once."""
        check = action.attempt
        self.cancel(vassal.name)
        if check is None or vassal.check != check:
            return  # another one was ordered since
        scope = self._scopes[vassal.name] = trio.CancelScope()
        # A copy: the fleet goes on meanwhile.
        its = msgspec.structs.replace(vassal)
        self._tasks.nursery.start_soon(self._check, its, check, at, scope)

    def cancel(self, vassal: str) -> None:
        """End the check of a vassal, if one is under way. There is no verdict."""
        scope = self._scopes.pop(vassal, None)
        if scope is not None:
            scope.cancel()

    async def _check(self, vassal: Vassal, check: int, at: int, scope: trio.CancelScope) -> None:
        verdict: DeployRefused | None = None
        with scope:
            try:
                user = await self._user_of(vassal)
                async with self._places.place(vassal.spec.uid):
                    verdict = await self._verdict(vassal, check, at, user)
            except Refused:
                raise
            except (command.CannotRun, NoAccount) as error:
                verdict = DeployRefused(check=check, reason=f"its preflight cannot run: {error}")
            except OSError as error:
                told, _ = error_text(error, vassal.spec.cwd)
                verdict = DeployRefused(check=check, reason=f"its preflight {told}")
            except Exception as error:
                told = failures.describe(error)
                verdict = DeployRefused(check=check, reason=f"an error of the daemon: {told}")
        if scope.cancelled_caught:
            return
        if self._scopes.get(vassal.name) is scope:
            del self._scopes[vassal.name]
        kind = "preflight_passed" if verdict is None else "deploy_refused"
        body = PreflightPassed(check=check) if verdict is None else verdict
        self._outbox.report(Draft(kind, body, None, vassal.name, check))

    async def _user_of(self, vassal: Vassal) -> User | None:
        """The user that it runs as. Waits until the user database answers. Raises NoAccount."""
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                return await self._accounts.user_of(vassal.spec, self._policy())
            except NotAnswered as error:
                pause = backoff.pause()
                told = "%s: cannot start its preflight now: %s; trying again in %g s"
                log.warning(told, vassal.name, error, pause)
            await trio.sleep(pause)

    async def _verdict(
        self, vassal: Vassal, check: int, at: int, user: User | None
    ) -> DeployRefused | None:
        """Run the command; None where it has passed. Raises CannotRun, OSError."""
        holder = (vassal.name, check)
        try:
            start = self._starter.start
            found = await threads.run_sync(start, vassal, check, at, user, limiter=self._one_spawn)
            return await self._run(found, check, self._seconds(vassal))
        finally:
            with trio.CancelScope(shield=True):
                await threads.run_sync(self._copies.release, holder)

    def _seconds(self, vassal: Vassal) -> float:
        """The time that it may take. A tenant can only shorten it."""
        own = preflight.timeout(vassal.spec.settings)
        return min(own, preflight.TIMEOUT) if self._policy().tyrant else own

    async def _run(
        self, found: PreflightProcess, check: int, seconds: float
    ) -> DeployRefused | None:
        process = found.process
        self._running[process.pid] = process
        self._trees.expect_orphans()
        try:
            with trio.move_on_after(seconds) as limit:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(found.read)
                    await trio.lowlevel.wait_readable(process.pidfd)
                    nursery.cancel_scope.cancel()
            code, signal = _ended(process)
            return _judged(found, check, code, signal, seconds if limit.cancelled_caught else None)
        finally:
            with trio.move_on_after(_LAST, shield=True):
                await self._end(process)
            self._running.pop(process.pid, None)
            found.close()

    async def _end(self, process: Process) -> None:
        """End its whole tree."""
        kill_group(process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, 9)
        await trio.lowlevel.wait_readable(process.pidfd)
        self._trees.reap_leader(process)
        await self._trees.end(process)


def _ended(process: Process) -> tuple[int | None, int | None]:
    """The exit code and the signal of its leader; None of both while it runs."""
    with contextlib.suppress(ChildProcessError):
        status = os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if status is not None:
            done = status.si_code == os.CLD_EXITED
            return (status.si_status, None) if done else (None, status.si_status)
    return None, None


def _judged(
    found: PreflightProcess, check: int, code: int | None, signal: int | None, late: float | None
) -> DeployRefused | None:
    if late is None and code == 0:
        return None
    if late is not None:
        reason = f"its preflight took longer than {quantities.duration_text(late)}, and was killed"
        code = signal = None
    elif signal is not None:
        reason = f"its preflight was killed by signal {signal}"
    else:
        reason = f"its preflight ended with exit code {code}"
    return DeployRefused(
        check=check, reason=reason, code=code, signal=signal, log=found.last_lines()
    )
