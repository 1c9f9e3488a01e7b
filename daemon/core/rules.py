"""The rules: which of the fold's decisions changed, in which version, and why.

A start folds old events anew, and a replay folds all of them. If today's decisions were applied to
yesterday's events, attempts would get other numbers. A daemon would not find the processes that it
started, and each old journal would diverge. So ``daemon_started`` carries the version of the rules
by which its daemon decides, and the fleet keeps it. A decision that ever changed asks here which of
its branches holds. An old branch stays for ever.

A release has one version, not a commit. Version 1 is what 0.1.0 decides; its events do not carry a
version. To change a decision, add a ``Change`` here and branch on ``holds(fleet, change)`` in the
move. Keep the old branch. The golden scripts of the old version pass unchanged.

Options need no rule. A new field of the policy has a default that means the old behaviour, and a
journal without the field means that default (see ``journal/policy.py``).
"""

from typing import Final

import msgspec

from ...journal.errors import NewerFormat
from .fleet import Fleet

RULES: Final = 2  # the version by which a daemon of this release decides


class Change(msgspec.Struct, frozen=True, gc=False):
    """One changed decision: since which version of the rules, what it is, and its reason."""

    since: int
    decision: str
    reason: str


RELOAD_ENDS: Final = Change(
    2,
    "A program that ends of the reload that was ordered is started again at once.",
    "It was punished as a death: sleep(1) dies of HUP, uWSGI with exit-on-reload exits with 0.",
)
SUCCESS: Final = Change(
    2,
    "An end with a success exit code, after a throttle's time, is no death.",
    "A worker that ends well after its work was throttled ever longer.",
)
LOADED: Final = Change(
    2,
    "The fleet keeps which config a process has loaded for certain.",
    "A vassal that does not read its orders is known to be deaf only with that config.",
)
ORDER_OF_SOURCES: Final = Change(
    since=2,
    decision="A source that is given before the owner of a name takes the name over.",
    reason="On a fresh journal the source that was heard first owned the name, which was chance.",
)
SHARES: Final = Change(
    since=2,
    decision="Slots are shared by user or source, and its three lines take turns.",
    reason="The starts of one tenant that hang kept every slot, and what had died came last.",
)
BUDGET: Final = Change(
    since=2,
    decision="A vassal above its budget of records is started once in max-throttle at most.",
    reason="What ends in a loop had its events and last lines written to the disk without end.",
)
ENDS: Final = Change(
    since=2,
    decision="The fleet keeps how each vassal ended last, its deaths of an hour, and its hold.",
    reason="A loyal vassal that died every 20 s was accepting at each look, and had no deaths.",
)
RELEASE: Final = Change(
    since=2,
    decision="A vassal that was barred for an address starts when its holder asks for another.",
    reason="It stayed barred where the holder listened no longer, as another program had it.",
)
RESTART: Final = Change(
    since=2,
    decision="An operator's restart stops a vassal and starts it anew, in the turn of a slot.",
    reason="There was no such request: a stop and a start held the vassal between them.",
)
PREFLIGHT: Final = Change(
    since=2,
    decision="A change with a preflight is carried out when that has passed, else refused.",
    reason="A config that cannot run ended the instance that ran with the one before.",
)
ROLLOUT: Final = Change(
    since=2,
    decision="Changes of a source that has a rollout size are carried out a few at a time.",
    reason="A bad change of a hundred vassals at once ended all of them.",
)
REPLACE: Final = Change(
    since=2,
    decision="The fleet keeps whether the text that a process runs can be run from a copy.",
    reason="A replacement that failed leaves a vassal with the config from before (replace).",
)


ROLLBACK: Final = Change(
    since=2,
    decision="A change after which a vassal fails again and again is rolled back, if it says so.",
    reason="A bad config was started for ever, until a person put the former one back.",
)
ANNOUNCED: Final = Change(
    since=2,
    decision="A reload that the program announced itself is not ordered again at an adoption.",
    reason="No order had been given: a program without a handler for its reload signal ended.",
)
IN_TURN: Final = Change(
    since=2,
    decision="An adoption orders the reload that is under way again, and a later change waits on.",
    reason="The later one took a slot above max-starting. With reload = none, no order was given.",
)
WITHDRAWN: Final = Change(
    since=2,
    decision="A vassal whose change waits for its next start leaves the line for a slot.",
    reason="Its next reload had the place of the one before, and a turn was spent on nothing.",
)


def check(version: int) -> None:
    """Raise NewerFormat for the rules of a later version, which this one cannot decide by."""
    if version > RULES:
        raise NewerFormat(
            f"a daemon decided by version {version} of the rules, and this version knows"
            f" {RULES}: use the version of emperord that wrote it"
        )


def holds(fleet: Fleet, change: Change) -> bool:
    """Whether the fleet is decided by the changed decision, not by the one before."""
    return fleet.rules >= change.since
