"""The answer of an estranged daemon to ``status``, in the shape of any other's."""

import os
from typing import Any

from ...journal import lost_log
from ...journal.times import rfc3339
from ...version import VERSION
from ..control import attention
from ..control.server import PROTOCOL


def status(
    path: str, seq: int, reason: str, since: int, keeper: bool, keeper_died: int | None
) -> dict[str, Any]:
    """The answer of a daemon that waits since then, for that reason. Blocks."""
    died = [] if keeper_died is None else [("keeper died", attention.KEEPER_DIED, keeper_died)]
    logs = lost_log.beside(path)
    return {
        "version": VERSION,
        "protocol": PROTOCOL,
        "pid": os.getpid(),
        "journal": path,
        "seq": seq,
        "at": None,
        "monitors": [],
        "outages": {},
        "vassals": {},
        "due": {},
        "stopping": False,
        "recovers": False,
        "keeper": keeper,
        "paused": None,
        "estranged": reason,
        "unrecorded": 0,
        "renamed_logs": {},
        "held": [],
        "listens": [],
        "attention": [
            _entry("estranged", reason, rfc3339(since)),
            *(_entry(what, text, rfc3339(at)) for what, text, at in died),
            *([_entry("lost log", lost_log.advice(logs))] if logs else []),
        ],
    }


def _entry(what: str, reason: str, since: str | None = None) -> dict[str, Any]:
    return {"what": what, "vassal": None, "monitor": None, "since": since, "reason": reason}
