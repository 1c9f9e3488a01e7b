"""Bodies of the events about the daemon, its keeper, and the machine that they run on."""

from typing import Annotated, Literal

import msgspec

from .body import Body
from .policy import Policy

Step = Annotated[int, msgspec.Meta(ge=0)]


class PressureObserved(Body, frozen=True):
    """How much work waits for the machine, in steps: 0 is idle, 4 saturated.

    It is recorded when it has changed and a vassal waits for a slot.
    """

    cpu: Step = 0
    memory: Step = 0
    io: Step = 0


class KernelClock(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The state of the kernel's clock, by adjtimex(2).

    ``synchronized``: NTP or PTP disciplines it. ``status`` has its STA_ bits, ``max_error`` is in
    microseconds.
    """

    synchronized: bool
    status: int = 0
    max_error: int = 0


class ClockJumped(Body, frozen=True):
    """The wall clock has jumped ``by`` nanoseconds, compared with the journal's clock.

    ``taken``: times are by the new wall clock from here on. Then ``booted`` is the time from which
    CLOCK_BOOTTIME counts now. ``on_from``: the journal's time, where it is ahead of the wall clock.
    Times go on from there, as they never go back.
    """

    by: int
    taken: bool = False
    booted: int = 0
    on_from: int = 0
    clock: KernelClock | None = None


Ending = Literal["told", "replaced", "killed", "failed", "rebooted", "unknown"]


class Before(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How the daemon before ended, and its ``version``, empty where that was not recorded.

    ``told``: it stopped as it was told to. ``replaced``: another one took over from it. ``killed``:
    by ``signal``. ``failed``: it ended with ``code``. ``rebooted``: the machine's boot id is
    another one since then. ``unknown``: no keeper has seen it end. ``away`` are the nanoseconds
    from its end to this start, None where its end is not known. ``silent`` are those from its last
    event.
    """

    how: Ending
    version: str = ""
    signal: int | None = None
    code: int | None = None
    away: int | None = None
    silent: int = 0


class DaemonStarted(Body, frozen=True):
    """A daemon took over the journal. ``boot`` is the kernel's boot id.

    ``names`` are the short names of monitors that an operator gave.

    ``rules`` is the version of the decisions that it made from here on (``daemon/core/rules.py``).
    ``booted`` is the time from which CLOCK_BOOTTIME counts, 0 where it was not recorded.
    ``before`` tells of the daemon before, where there was one.
    """

    version: str
    boot: str
    pid: int
    policy: Policy
    monitors: tuple[str, ...] = ()
    names: dict[str, str] = {}
    rules: int = 1
    booted: int = 0
    before: Before | None = None


class OfKeeper(Body, frozen=True):
    """The keeper with this ``pid`` has died, or is one that the daemon has again.

    Without a keeper no vassal outlives the daemon, and no process starts the next one.
    """

    pid: int


class DaemonStopping(Body, frozen=True):
    """The daemon was told to stop all vassals and leave."""

    reason: str
