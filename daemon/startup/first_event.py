"""The first event of each daemon: its version, options and sources, and how the last one ended."""

import os

from ...journal.events import Before, DaemonStarted
from ...journal.policy import Policy
from ...monitors.contract import Monitor
from ...version import VERSION
from ..core.rules import RULES
from ..host import procfs
from ..loop.clock import Clock


def body(
    decided: Policy,
    monitors: list[Monitor],
    names: dict[str, str],
    clock: Clock,
    former: Before | None,
) -> DaemonStarted:
    """The body of this daemon's ``daemon_started``; ``names`` are the short ones of sources."""
    return DaemonStarted(
        version=VERSION,
        boot=procfs.boot_id(),
        pid=os.getpid(),
        policy=decided,
        monitors=tuple(monitor.url for monitor in monitors),
        names=names,
        rules=RULES,
        booted=clock.booted,
        before=former,
    )
