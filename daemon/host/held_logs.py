"""Logs whose owner has a lease on them (fcntl(2), F_SETLEASE) are cut by a thread that waits.

An open(2) that does not wait is refused while there is a lease. The owner hears of it by a signal,
and can give the lease up and take it again before the next try. So the daemon's looks could be
refused for ever. An open(2) that waits succeeds: the kernel grants no lease while it waits, and
breaks one that is kept after 45 s (``fs.lease-break-time``).

Each user has one such thread, because a user decides how long it waits (``user_threads.py``).
"""

import logging
import os
from collections.abc import Mapping
from typing import Final

from ...monitors.names import shown
from . import failures
from .older_parts import cut_text
from .user_threads import NoAnswer, UserThreads
from .vassal_log import LogDirectory
from .vassal_tasks import VassalTasks

log = logging.getLogger("emperor.host")

_PATIENCE: Final = 60.0  # seconds for one log, more than the kernel's 45 s


class HeldLogs:
    """Cuts logs on which their owners have leases, and says so once of each."""

    def __init__(self, tasks: VassalTasks) -> None:
        self._tasks = tasks
        self._threads = UserThreads(_PATIENCE)
        self._waiting: set[str] = set()
        self._told: set[str] = set()

    def cut(self, logs: LogDirectory, held: Mapping[str, int]) -> None:
        """Begin to cut these logs and older parts: paths, and the uids of their owners."""
        for path in held.keys() - self._waiting:
            self._waiting.add(path)
            if path not in self._told:
                self._told.add(path)
                log.warning(
                    "%s: uid %d has a lease on this log, so it is cut up to 45 s later",
                    shown(os.path.basename(path)),
                    held[path],
                )
            self._tasks.nursery.start_soon(self._cut, logs, path, held[path])

    async def _cut(self, logs: LogDirectory, path: str, owner: int) -> None:
        """Cut one; if that fails, the next look at the logs tries again."""
        try:
            await self._threads.run(owner, logs.bound_held, path)
        except (NoAnswer, FileNotFoundError):
            pass
        except OSError as error:
            log.warning("%s: it %s", shown(os.path.basename(path)), cut_text(error))
        except Exception as error:
            name = shown(os.path.basename(path))
            log.warning("%s: it cannot be cut: %s", name, failures.describe(error))
        finally:
            self._waiting.discard(path)
