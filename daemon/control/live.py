"""Vassals with the facts that only a running daemon knows: the answers to ``list`` and ``show``."""

import os
import time
from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

import msgspec
import trio

from ...journal.times import rfc3339
from ...monitors.short_names import short_names
from ..cli import escapes
from ..core.fleet import Fleet, Vassal
from ..core.records import moment_record, vassal_record
from ..core.running import in_line, waits_in_line
from ..core.target import unkept_text
from .server import accepted

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SHARE: Final = 100  # vassals in one step of the event loop, about a millisecond


class Daemon(Protocol):
    """The daemon as far as its vassals are told."""

    @property
    def fleet(self) -> Fleet: ...

    def now(self) -> int: ...

    def heartbeat_age(self, vassal: str) -> float | None: ...

    def cgroup_of(self, vassal: str) -> str | None: ...

    def log_of(self, vassal: str) -> str | None: ...

    def status_of(self, vassal: str) -> str | None: ...

    def rejected(self) -> Mapping[str, tuple[int, str]]: ...


async def listed(
    daemon: Daemon, names: Collection[str] | None = None, fields: Collection[str] = ()
) -> tuple[int, bytes]:
    """The line of an answer with these vassals, or all, and the event as of which it is.

    Of ``fields`` it has those that are not null, and no others; without, it has all.

    Other tasks have their turns while it is made. The vassals are copied first, so the line shows
    one moment.
    """
    fleet = daemon.fleet
    chosen = sorted(fleet.vassals if names is None else names)
    vassals = [msgspec.structs.replace(fleet.vassals[name]) for name in chosen]
    seq, line, rejected = fleet.seq, in_line(fleet), daemon.rejected()
    sources = escapes.encode(short_names(fleet.monitors, fleet.names))
    parts = [accepted(moment_record(fleet)).removesuffix(b"}\n"), b',"vassals":[']
    for first in range(0, len(vassals), _SHARE):
        some = vassals[first : first + _SHARE]
        share = [live_record(daemon, each, rejected, line) for each in some]
        if fields:
            share = [{k: v for k in fields if (v := each.get(k)) is not None} for each in share]
        parts += [b"," if first else b"", escapes.encode(share)[1:-1]]
        await trio.lowlevel.checkpoint()
    return seq, b"".join([*parts, b'],"sources":', sources, b"}\n"])


def live_record(
    daemon: Daemon,
    vassal: Vassal,
    rejected: Mapping[str, tuple[int, str]],
    line: int | None = None,
) -> dict[str, Any]:
    """A vassal's record and what only a running daemon knows; ``line`` reloads wait.

    ``rejected`` are all vassals that are, as the daemon tells them.
    """
    age = daemon.heartbeat_age(vassal.name)
    uptime, its_line = None, None
    if vassal.start_time is not None:
        uptime = round(time.clock_gettime(time.CLOCK_BOOTTIME) - vassal.start_time / _TICKS, 3)
    if waits_in_line(vassal):
        its_line = in_line(daemon.fleet) if line is None else line
    now = daemon.now()
    return {
        **vassal_record(vassal, now, daemon.fleet.rollouts),
        "in_line": its_line,
        "since": rfc3339(vassal.since),
        "held": vassal.held,
        "control": vassal.control,
        "uptime_s": uptime,
        "last_exit_s": None if vassal.last is None else round((now - vassal.last.at) / 1e9, 3),
        "last_heartbeat": None if age is None else rfc3339(time.time_ns() - int(age * 1e9)),
        "deadline": None if vassal.deadline is None else rfc3339(vassal.deadline),
        "cgroup": daemon.cgroup_of(vassal.name),
        "log": daemon.log_of(vassal.name),
        "status": daemon.status_of(vassal.name),
        "unkept": unkept_text(vassal, daemon.fleet.policy),
        "rejected": _rejection_record(rejected.get(vassal.name)),
    }


def _rejection_record(rejection: tuple[int, str] | None) -> dict[str, Any] | None:
    """Why the present state of a vassal at its source is rejected; None where it is not."""
    if rejection is None:
        return None
    since, reason = rejection
    return {"since": rfc3339(since), "reason": reason}
