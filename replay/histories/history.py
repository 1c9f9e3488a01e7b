"""A history: a fleet, and events with what was decided because of each."""

from typing import Any, Final

import msgspec

from ...daemon.core.actions import Action
from ...daemon.core.fleet import Fleet, from_json, to_json
from ...journal.events import DaemonStarted, Event
from ...journal.policy import Policy

NOTHING: Final = to_json(Fleet())  # the fleet before the first event of a journal
GONE: Final = "gone"  # instead of a phase, of a vassal that the fleet has no longer


class Expectation(msgspec.Struct, frozen=True):
    """The state of a vassal after an event: its phase, or ``gone``, and a few of its fields.

    ``facts`` are those fields of ``folding.facts`` that are not the default.
    """

    vassal: str
    phase: str
    facts: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True):
    """An event, the actions that were recorded with it, and the states of vassals it changed.

    ``comments`` are lines of people above it. Actions and expectations of an event that failed to
    fold (``Event.failed``) are empty.
    """

    event: Event
    actions: tuple[Action, ...] = ()
    expectations: tuple[Expectation, ...] = ()  # by name
    comments: tuple[str, ...] = ()


class Header(msgspec.Struct, frozen=True):
    """Facts of a history as a whole. ``sources`` are the short names of sources, by URL.

    ``version`` is of the daemon that decided first. ``rewritten`` and ``notes`` are lines of
    people, which stay.
    """

    version: str = ""
    made_from: str = ""
    redacted: bool = False
    left_out: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sources: dict[str, str] = {}


class History(msgspec.Struct, frozen=True):
    """A history. ``start`` is the JSON of a fleet, as a snapshot has it. ``texts`` by digest."""

    header: Header = Header()
    start: bytes = NOTHING
    steps: tuple[Step, ...] = ()
    texts: dict[str, bytes] = {}

    def fleet(self) -> Fleet:
        """The fleet with which it begins, a new one at each call."""
        return from_json(self.start)

    @property
    def base(self) -> int:
        """The time from which others are counted: that of the first event."""
        return self.steps[0].event.at if self.steps else self.fleet().at

    @property
    def decider(self) -> tuple[int, Policy]:
        """The rules and the policy that decide first."""
        fleet = self.fleet()
        if fleet.seq == 0:
            for step in self.steps:
                if isinstance(step.event.body, DaemonStarted):
                    return step.event.body.rules, step.event.body.policy
        return fleet.rules, fleet.policy

    def replaced(self, **changes: Any) -> "History":
        """A history that differs in these fields."""
        return msgspec.structs.replace(self, **changes)


def changes(policy: Policy) -> dict[str, Any]:
    """The options that are not the default. The encoder also leaves in some that are equal."""
    return {
        field: value
        for field in policy.__struct_fields__
        if (value := getattr(policy, field)) != getattr(_DEFAULT, field)
    }


_DEFAULT: Final = Policy()


def start_of(fleet: Fleet) -> bytes:
    """The JSON of a fleet with which a history begins: the same for the same fleet."""
    if fleet.seq == 0:
        return NOTHING
    fleet.policy = Policy(**changes(fleet.policy))
    return to_json(fleet)
