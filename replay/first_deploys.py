"""The deploys of a vassal with which a file begins whose older events are in an archive.

Such a file begins with a snapshot. That has the configs of the vassal, but no outcomes of deploys.
The outcome of a config is read from the vassal's state. Where a better one may follow, the events
of this file are folded until it is known, as ``deploys.py`` does it.

A vassal in a crash loop may be up for a moment where the file begins. So a config counts as good
behind a death only if the vassal stays up with it.
"""

from collections.abc import Iterator
from typing import Final

from ..daemon.core.deploys import Deploy, Deploys, Outcome
from ..daemon.core.fleet import UP, Fleet, Vassal
from ..daemon.core.rollout_moves import is_held_back
from ..daemon.core.trial import is_on_trial, trial_time
from ..journal.reading import Reader
from ..journal.selection import Filter
from . import intact_events
from .event_text import decode_actions
from .marks import is_up
from .names import first_fleet
from .rebuild import base, fold_one
from .rollbacks import Rollbacks

_SECOND: Final = 1_000_000_000
# Events of a vassal that is up, and goes on as before.
_GOES_ON: Final = frozenset(("vassal_ready", "heartbeat_started", "spawned", "adopted"))


class FirstDeploy(Deploy):
    """A deploy with which a file begins.

    ``accepted``: the vassal was up with it, and died. It is not known which came first, so ``died``
    may not be its outcome.
    """

    accepted: bool = False

    @property
    def is_unsure(self) -> bool:
        """Whether it may be a good one."""
        return self.accepted and self.outcome == "died"


def first_deploys(reader: Reader, name: str) -> Iterator[Deploy]:
    """The configs that a vassal has where the file begins: the last good one, the wanted one.

    Raises Damaged, NewerFormat, FoldFailed.
    """
    fleet = first_fleet(reader)
    vassal = fleet.vassals.get(name)
    if vassal is None or not vassal.wanted:
        return
    good = vassal.good
    if good is not None and good.spec is not None and not good.untried:
        yield _deploy(reader, vassal, good.spec.config, "accepting")
    deploy = _deploy(reader, vassal, vassal.spec.config, _outcome(reader, fleet, vassal))
    deploy.accepted = _has_accepted(vassal)
    if _may_change(deploy, vassal):
        deploy.attempt = _attempt(vassal)
        if deploy.outcome == "running":
            deploy.trial = vassal.since + int(fleet.policy.start_patience * _SECOND)
        _follow(reader, deploy)
    yield Rollbacks(reader).told(deploy)


def _deploy(reader: Reader, vassal: Vassal, config: str | None, outcome: Outcome) -> FirstDeploy:
    seq, at = reader.anchor.seq, vassal.since
    return FirstDeploy(seq, at, vassal.name, vassal.monitor, "", config, None, outcome=outcome)


def _has_accepted(vassal: Vassal) -> bool:
    """Whether it is up with its wanted config, or was."""
    return is_up(vassal) or (vassal.good is not None and vassal.good.spec is None)


def _stays_up(reader: Reader, fleet: Fleet, vassal: Vassal) -> bool:
    """Whether it is up for as long as a change is on trial, as far as this file tells."""
    if not is_up(vassal):
        return False
    end = vassal.since + trial_time(fleet, vassal)
    for event, _ in intact_events.readable(reader, reader.rows(Filter(vassal=vassal.name))):
        if event.at >= end or event.kind == "vassal_loyal":
            return True
        if event.kind not in _GOES_ON:
            return False
    return _ends_at(reader) >= end


def _ends_at(reader: Reader) -> int:
    """When the file ends; 0 if its last event cannot be read."""
    row = reader.row(reader.head.seq)
    rows = [] if row is None else [row]
    return next((event.at for event, _ in intact_events.readable(reader, rows)), 0)


def _outcome(reader: Reader, fleet: Fleet, vassal: Vassal) -> Outcome:
    """The outcome of the wanted config, as far as the snapshot tells it."""
    if _has_accepted(vassal) and (not vassal.deaths or _stays_up(reader, fleet, vassal)):
        return "running" if vassal.phase == "ready" else "accepting"
    if vassal.refused is not None:
        return "rolled_back" if vassal.refused.rolled_back else "refused"
    if vassal.phase == "barred" and not vassal.done:
        return "barred"
    if vassal.held or (vassal.waits_in is not None and is_held_back(fleet, vassal)):
        return "held"
    return "died" if vassal.deaths else "pending"


def _may_change(deploy: Deploy, vassal: Vassal) -> bool:
    """Whether a later event may give the deploy another outcome."""
    match deploy.outcome:
        case "accepting":
            return is_on_trial(vassal)
        case "died":
            return vassal.good is not None and vassal.good.failures > 0
        case "running":
            return not vassal.speaks
        case "barred":
            return False
    return True


def _attempt(vassal: Vassal) -> int | None:
    """The attempt that has the wanted config, or is to have it."""
    second = vassal.candidate
    if second is not None and second.tries:
        return second.attempt
    if vassal.is_open or vassal.phase not in UP or vassal.phase == "stopping":
        return None
    return vassal.attempt if vassal.running == vassal.spec else None


def _follow(reader: Reader, deploy: Deploy) -> None:
    """Fold the events of this file until no other outcome of the deploy can follow."""
    fleet, _ = base(reader, reader.anchor.seq)
    follower = Deploys([deploy], fits=lambda _: False)
    for event, row in intact_events.events(reader, fleet.seq, reader.head.seq, chained=False):
        follower.take(fleet, event, decode_actions(row[7]), fold_one)
        if not follower.open:
            return
