"""The regular look at the logs of all vassals: their sizes, their names, other daemons.

All logs are looked at in one run of one thread: a thousand hops to a thread cost more than the
looks themselves. While no file in their directory is written to, made, renamed or given away, there
is nothing to look at. The daemon then sleeps until there is (``directory_changes.py``). A log that
another machine or a memory mapping writes to makes no such event: ``_SELDOM`` is for these.
"""

import contextlib
import logging
import os
from functools import partial
from typing import Final, NamedTuple

import trio

from . import threads
from .directory_changes import DirectoryChanges
from .held_logs import HeldLogs
from .older_parts import cut_text
from .process import Process
from .process_table import ProcessTable
from .vassal_log import LOGROTATE, REMOVED, LogDirectory
from .vassal_tasks import VassalTasks

log = logging.getLogger("emperor.host")

_INTERVAL: Final = 2.0  # seconds between looks
_SELDOM: Final = 60.0  # seconds between looks while nothing seems to change


class LogWatch:
    """Cuts logs that are too long, and reports those that were renamed."""

    def __init__(
        self, logs: LogDirectory | None, processes: ProcessTable, tasks: VassalTasks
    ) -> None:
        self._logs = logs
        self._processes = processes
        self._tasks = tasks
        self._held = HeldLogs(tasks)
        self._watched = trio.CancelScope()

    def leave(self) -> None:
        """Watch the directory no more, because that takes a while to end. It is still looked at."""
        self._watched.cancel()

    async def run(self) -> None:
        """Look until cancelled. May be called again; returns at once if there is no directory."""
        if self._logs is None:
            return
        watched = trio.CancelScope()  # one can be used once
        if self._watched.cancel_called:
            watched.cancel()
        self._watched = watched
        await DirectoryChanges(self._logs.directory).serve(
            partial(self._watch, self._logs), watched
        )

    async def _watch(self, logs: LogDirectory, changes: DirectoryChanges) -> None:
        while True:
            await trio.sleep(_INTERVAL)
            # Before the look, so that no change falls in between.
            armed = await threads.run_sync(changes.arm)
            if await self._look(logs) and armed:
                with trio.move_on_after(_SELDOM):
                    await changes.wait()

    async def _look(self, logs: LogDirectory) -> bool:
        """Look at all logs; whether all is well, as far as a change of the directory tells.

        It is not where another daemon may leave the directory, a log could not be cut, or there may
        be room again.
        """
        held: dict[str, int] = {}
        problem: OSError | None
        if await threads.run_sync(logs.look_for_others):
            log.warning("%s", logs.sharing)
        try:
            held, problem = await threads.run_sync(logs.bound_others)
        except OSError as unreadable:
            problem = unreadable
        if await threads.run_sync(logs.room.look):
            log.warning("%s", logs.room.text)
        if problem is not None:
            log.warning("a log of another user %s", cut_text(problem))
        seen = await threads.run_sync(_look_at, logs, list(self._processes))
        held = {**seen.held, **held}
        self._held.cut(logs, held)
        for process, error in seen.failed:
            self._tasks.fail(process.name, "look after its log", error)
        return seen.cut and not (problem or held or seen.failed or logs.others or logs.room.full)


class _Seen(NamedTuple):
    """The result of a look at the logs of processes.

    ``cut``: all that had to be cut were. ``held``: paths on which an owner, a uid, has a lease.
    ``failed``: the daemon's own errors.
    """

    cut: bool
    held: dict[str, int]
    failed: list[tuple[Process, Exception]]


def _look_at(logs: LogDirectory, processes: list[Process]) -> _Seen:
    cut = True
    held: dict[str, int] = {}
    failed: list[tuple[Process, Exception]] = []
    for process in processes:
        try:
            if logs.is_in_order(process.name, process.log_file):
                process.log_renamed = None
                continue
            logs.bound(process.name)
            if process.log_file is None:
                continue
            before = process.log_renamed
            process.log_renamed = logs.renamed_to(process.name, process.log_file, process.pid)
        except BlockingIOError:
            with contextlib.suppress(FileNotFoundError):
                path = logs.path(process.name)
                held[path] = os.lstat(path).st_uid
            continue
        except OSError as error:
            cut = False
            log.warning("%s: its log %s", process.name, cut_text(error))
            continue
        except Exception as error:
            failed.append((process, error))
            continue
        if before is None and process.log_renamed is not None:
            _tell(process.name, process.log_renamed)
    return _Seen(cut, held, failed)


def _tell(vassal: str, to: str) -> None:
    """Log that a vassal does not write to its log, but to this path or a removed file."""
    if to == REMOVED:
        log.warning(
            "%s: its log was removed, so its lines are lost; 'emperor-ctl restart %s' begins a new"
            " log",
            vassal,
            vassal,
        )
        return
    log.warning(
        "%s: its log was renamed, and it writes to %s until it is started again; that file"
        " is not cut at --log-size; logrotate needs copytruncate, as in %s",
        vassal,
        to,
        LOGROTATE,
    )
