"""The time that each vassal was up, down, off, or of an unknown state; and its outages.

    up       its process is ready, accepts requests, or reloads in place
    down     its source wants it and no operator holds it, yet it is not up
    off      an operator holds it, its source no longer has it, its work is done, or no client has
             come yet (on demand)
    paused   the daemon was told to stop, and no other has started: counted as off
    unknown  it was up when the record broke off, and was dead when the next daemon looked

An *outage* is a time down with a failure in it. That is a failed start, a lost heartbeat, a bar, or
a death that no order asked for and that is no success. A death that no daemon saw is no failure. A
restart that was ordered is no outage, nor is a first start, unless such a failure is part of it. A
failure holds until the vassal is up, off, or absent. A pause suspends an outage: it goes on when a
daemon is back, and the pause is not counted. Where the vassal was up for less than ``SETTLED``
between two outages, both are one, so a crash loop is one outage. All times are cut to the window.
"""

from array import array
from typing import Any, Final, Literal

import msgspec

from ..daemon.core import deaths
from ..daemon.core.fleet import Fleet, Vassal
from ..journal.events import Event, Exited, Spec

State = Literal["up", "down", "off", "paused", "absent"]

SETTLED: Final = 10_000_000_000  # nanoseconds of time up after which an outage is over
SUCCEEDED: Final = ("accepting", "running")
FAILED: Final = ("died", "rolled_back", "barred")


class Spell:
    """The times and counts of one vassal within the window. Times are nanoseconds."""

    __slots__ = (
        "deaths", "down", "down_since", "failing", "last", "leads", "longest", "longest_at",
        "monitor", "off", "open", "outages", "outcomes", "paused", "restored", "since", "state",
        "suspended", "unknown", "up",
    )  # fmt: skip

    def __init__(self, at: int) -> None:
        self.monitor: str | None = None
        self.state: State = "absent"
        self.since = at  # when the state began, or the window
        self.failing = False  # a failure is in the present time down
        self.suspended = False  # its outage goes on behind the present pause
        self.down_since = at
        self.reset(at)

    def reset(self, at: int) -> None:
        """The window begins."""
        self.since = max(self.since, at)
        self.down_since = max(self.down_since, at)
        self.up = self.down = self.off = self.unknown = 0
        self.deaths = 0
        self.outages = 0
        self.paused = 0  # nanoseconds of pauses in the present time down
        # The last outage that ended by coming up: its begin, its end, and its pauses.
        self.last: tuple[int, int, int] | None = None
        self.restored = array("q")  # how long each outage took that ended by coming up
        self.longest, self.longest_at = 0, 0
        self.open = False  # an outage goes on where the window ends
        self.outcomes: dict[str, int] = {}  # of its deploys
        self.leads = array("q")  # from each deploy that went well to its success

    def enter(self, state: State, at: int, failed: bool = False) -> None:
        """It is in this state from now on. ``failed``: a failure led to it, or came in it."""
        if state != self.state:
            self._leave(at)
            is_out = self.state == "down" or self.suspended
            goes_on = is_out and self.failing and state in ("down", "paused")
            if is_out and not goes_on:
                self._end_outage(at, came_up=state == "up")
            self.suspended = goes_on and state == "paused"
            if state == "down" and not goes_on:
                self.down_since, self.paused = at, 0
            elif state not in ("down", "paused"):
                self.failing = False
            self.state, self.since = state, at
        if failed and state in ("down", "paused"):
            self.failing = True

    def lose(self, gap: int, at: int) -> None:
        """It is found dead. Its state is unknown from ``gap`` on, when the record broke off."""
        if self.state == "up" and gap < at:
            begin = max(gap, self.since)
            self._leave(begin)
            self.unknown += at - begin
            self.since = at

    def finish(self, at: int) -> None:
        """The window ends."""
        self._leave(at)
        self.since = at
        if self.failing and (self.state == "down" or self.suspended):
            self.open = not self.suspended
            self._count(at)

    def _leave(self, at: int) -> None:
        spent = max(0, at - self.since)
        if self.state == "up":
            self.up += spent
        elif self.state == "down":
            self.down += spent
        elif self.state in ("off", "paused"):
            self.off += spent
            self.paused += spent if self.suspended else 0

    def _end_outage(self, at: int, came_up: bool) -> None:
        if not self.failing:
            return
        begin, paused = self._count(at)
        if came_up:
            self.restored.append(at - begin - paused)
        self.last = (begin, at, paused) if came_up else None

    def _count(self, at: int) -> tuple[int, int]:
        """Count an outage that goes on until ``at``; when it began, and its pauses."""
        begin, paused = self.down_since, self.paused
        if self.last is not None and begin - self.last[1] < SETTLED:
            begin, paused = self.last[0], self.last[2] + paused
            self.restored.pop()
        else:
            self.outages += 1
        lasted = at - begin - paused
        if lasted >= self.longest:
            self.longest, self.longest_at = lasted, begin
        return begin, paused

    def deployed(self, outcome: str, lead: int | None) -> None:
        """A deploy of it, and how long it took to succeed."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if lead is not None and outcome in SUCCEEDED:
            self.leads.append(lead)


class Report(msgspec.Struct):
    """The findings about a journal."""

    since: int
    until: int
    events: int
    spells: dict[str, Spell]
    starts: int = 0  # of daemons
    breaks: int = 0  # starts of daemons whose daemon before ended though nothing told it to
    # Nanoseconds from such an end to the start. Of an end that is not known, the last event counts.
    gaps: int = 0
    unseen: int = 0  # ends that are not known, among those breaks


def was_failing(vassal: Vassal) -> bool:
    """Whether a failure is behind the state of a vassal of a snapshot."""
    return vassal.phase == "barred" or vassal.deaths > 0


def is_failure(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether an end that no stop had asked for is a failure. The fleet is that before the event.

    One that no daemon saw is none: the journal knows neither when the process died, nor of what.
    """
    body: Any = event.body
    if body.away:
        return False
    return deaths.result_of(fleet, vassal, event) == "failed"


def finished(spec: Spec, body: Exited) -> bool:
    """Whether it ended well, and its settings want no other start."""
    restart = spec.settings.get("restart", "always")
    return restart != "always" and not spec.socket and deaths.is_success(spec.settings, body.code)
