"""The trial of a changed vassal: how long its new spec has to run well until it is *good*.

A spec with which a vassal accepts is on trial as long as there is another one to go back to. It is
good when the vassal becomes loyal with it. It is also good when the vassal has been accepting with
it for ``--forgive``. By then its deaths are forgotten as well, and a later one is none of the
change. With ``--forgive 0`` no death is forgotten, and that time is ``--start-patience``. So it is
for a program that cannot tell that it accepts.

No deadline ends a trial. The time counts from the begin of the phase (``Vassal.since``). So it is
enough to look when the phase is about to end: at a change, a failure, a reload or a stop.
"""

from typing import Final

from ...journal.events import Event, Spec
from ...journal.policy import Policy
from . import rules
from .fleet import Fleet, Good, Vassal
from .telling import awaits_ready, tells

_WANTED: Final = Good()  # the wanted spec is good
_SECOND: Final = 1_000_000_000


def rollback_limit(policy: Policy, spec: Spec) -> int:
    """The failures in a row after which a change to this spec is rolled back; 0 for never."""
    own = spec.settings.get("rollback")
    return policy.rollback if own is None else int(own)


def is_on_trial(vassal: Vassal) -> bool:
    """Whether another spec than the wanted one is the last good one."""
    good = vassal.good
    return good is not None and good.spec is not None and not good.untried


def note_good(fleet: Fleet, vassal: Vassal) -> None:
    """Its process runs well with its target."""
    ran, aim = vassal.running, vassal.target
    if ran is None or not rules.holds(fleet, rules.ROLLBACK):
        return
    if ran is aim or ran == aim:  # mostly it is the same object, and no field is compared
        vassal.good = Good(ran) if vassal.is_open else _WANTED


def note_time(fleet: Fleet, vassal: Vassal, event: Event) -> None:
    """Note that what runs is good, if it has run well for long enough. Its phase may end now."""
    good = vassal.good
    if good is not None and good.spec is None:
        return
    if vassal.phase == "ready" and (tells(vassal) or awaits_ready(vassal)):
        return  # it has not said that it accepts
    if vassal.phase in ("ready", "accepting") and event.at - vassal.since >= trial_time(
        fleet, vassal
    ):
        note_good(fleet, vassal)


def trial_time(fleet: Fleet, vassal: Vassal) -> int:
    """For how long it has to run well, in nanoseconds."""
    policy = fleet.policy
    forgiven = policy.forgive if vassal.phase == "accepting" else 0
    return int((forgiven or policy.start_patience) * _SECOND)
