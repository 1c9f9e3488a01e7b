"""How the daemon before has ended: from the journal, the boot id, and the keeper that saw it end.

The keeper knows the exit code or the signal, and when. It does not know a daemon that ran below
another keeper. Then the journal may say that it stopped as told; otherwise the end is not known.
"""

import time
from typing import Final

from ...journal.events import ARCHIVED, Before, Ending
from ...journal.store import Journal
from ..core.fleet import Fleet
from ..host import procfs
from ..keeper.link import Ended, KeeperLink
from ..keeper.protocol import RENEW

_LOOK_BACK: Final = 20  # events
_FIRST: Final = "0.1.0"  # the only version that decides by the first rules


def of(journal: Journal, fleet: Fleet, keeper: KeeperLink, now: int) -> Before | None:
    """How it ended; None where this is the journal's first daemon. ``now`` is the journal's time.

    Raises JournalError.
    """
    if fleet.seq == 0:
        return None
    events = list(journal.tail(max(fleet.seq - _LOOK_BACK, journal.begin)))
    while events and events[-1].kind in ("journal_adopted", ARCHIVED):
        events.pop()
    if not events or events[-1].kind == "journal_forked":
        return None  # a copy, which had no daemon
    silent = max(0, now - events[-1].at)
    stopped = events[-1].kind == "daemon_stopped"
    rebooted = fleet.boot != procfs.boot_id()
    ended = None if stopped or rebooted else keeper.ended
    how = _how(ended, stopped, rebooted, keeper.replaces)
    away = silent if stopped else None
    if ended is not None:
        away = max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ended.at)
    elif how == "replaced":
        away = 0
    return Before(
        how=how,
        version=fleet.version or (_FIRST if fleet.rules == 1 else ""),
        signal=ended.signal if ended is not None and how == "killed" else None,
        code=ended.code if ended is not None and how == "failed" else None,
        away=away,
        silent=silent,
    )


def _how(ended: Ended | None, stopped: bool, rebooted: bool, replaced: bool) -> Ending:
    if stopped:
        return "told"
    if rebooted:
        return "rebooted"
    if replaced or (ended is not None and ended.code == RENEW):
        return "replaced"
    if ended is None:
        return "unknown"
    return "failed" if ended.signal is None else "killed"
