"""The regular look at the logs of all vassals: their sizes, their names, other daemons.

All logs are looked at in one run of one thread: a thousand hops to a thread cost more than the
looks themselves.
"""

import logging
from typing import Final

import trio

from . import threads
from .process import Process
from .process_table import ProcessTable
from .vassal_log import LOGROTATE, LogDirectory
from .vassal_tasks import VassalTasks

log = logging.getLogger("emperor.host")

_INTERVAL: Final = 2.0  # seconds between looks


async def watch_logs(logs: LogDirectory, processes: ProcessTable, tasks: VassalTasks) -> None:
    """Cut logs that are too long, and report those that were renamed, until cancelled."""
    while True:
        await trio.sleep(_INTERVAL)
        if await threads.run_sync(logs.look_for_others):
            log.warning("%s", logs.sharing)
        try:
            await threads.run_sync(logs.bound_others)
        except OSError as problem:
            log.warning("logs of other users cannot be cut: %s", problem)
        failed = await threads.run_sync(_look_at, logs, list(processes))
        for process, error in failed:
            tasks.fail(process.name, "look after its log", error)


def _look_at(logs: LogDirectory, processes: list[Process]) -> list[tuple[Process, Exception]]:
    """Look at the logs of these processes; the errors of the daemon's own."""
    failed: list[tuple[Process, Exception]] = []
    for process in processes:
        try:
            logs.bound(process.name)
            if process.log_file is None:
                continue
            before = process.log_renamed
            process.log_renamed = logs.renamed_to(process.name, process.log_file, process.pid)
        except OSError as error:
            log.warning("%s: its log cannot be cut: %s", process.name, error)
            continue
        except Exception as error:
            failed.append((process, error))
            continue
        if before is None and process.log_renamed is not None:
            log.warning(
                "%s: its log was renamed, and it writes to %s until it is started again; that file"
                " is not cut at --log-size; logrotate needs copytruncate, as in %s",
                process.name,
                process.log_renamed,
                LOGROTATE,
            )
    return failed
