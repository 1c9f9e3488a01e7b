"""The budget: how much one tenant may have recorded, so that none fills the disk of all.

Events are kept for good. Without a limit, the owner of one file could have megabytes a second
written to a disk that is not theirs. Therefore each account has a leaky bucket of the size
``--record-budget``, which empties in ``REFILL``. The account is the user in tyrant mode, else the
vassal. The level is part of the fleet, because the fold decides by it. Therefore it is integers
only.

    within it          all is recorded
    above it           events are recorded without config texts and last lines, and a vassal that
                       ends is not started more often than once in --max-throttle. News that a
                       program can repeat without an end are thinned (``thinning.py``)
    above twice of it  changes and new vassals wait at their source until there is room

An inline config is run from the journal, so above the budget its change waits. A first listing of
a source costs nothing: it comes once for each start of the daemon, and no tenant starts that.
Neither does what an operator or the daemon ordered.
"""

from typing import Any, Final

import msgspec

from ...journal.events import DeployRefused, Event, Exited, Spec
from ...journal.policy import Policy
from . import rules
from .draft import Draft
from .fleet import Fleet, Spent

REFILL: Final = 4 * 3600 * 10**9  # nanoseconds
# Bytes that a change or a death takes besides its texts: its event, and those that follow.
EVENT: Final = 4 << 10
# Why a change waits. It is said once for all changes of an account that wait.
SPENT: Final = (
    "more is recorded of it than --record-budget allows; its changes are taken when there is room"
)
_TIDY: Final = 1024  # events between two looks for accounts that can be forgotten
_COSTS: Final = dict.fromkeys(
    (
        "vassal_removed",
        "vassal_destroyed",
        "spawn_failed",
        "listen_failed",
        "listen_refused",
        "vassal_resigned",
        "vassal_deaf",
        "reload_failed",
        "heartbeat_lost",
        "vassal_reloading",
        "vassal_stopping",
        "timeout_extended",
        "health_lost",
        "vassal_failed",
        "deploy_refused",
        "exited",
    ),
    EVENT,
)


def account_of(policy: Policy, vassal: str, spec: Spec) -> str:
    """The account that pays for a vassal."""
    return f"uid {spec.uid}" if policy.tyrant and spec.uid is not None else vassal


def level(fleet: Fleet, account: str, now: int) -> int:
    """The bytes in an account's bucket."""
    spent = fleet.spent.get(account)
    return 0 if spent is None else _left(spent, fleet.policy.record_budget, now)


def _left(spent: Spent, budget: int, now: int) -> int:
    leaked = max(0, now - spent.at) * budget // REFILL
    return max(0, spent.level - leaked)


def is_over(fleet: Fleet, account: str, now: int, times: int = 1, more: int = 0) -> bool:
    """Whether an account is above its budget, or so many ``times`` of it.

    ``more`` are bytes that are about to be charged.
    """
    budget = fleet.policy.record_budget
    return budget > 0 and level(fleet, account, now) + more > times * budget


def is_vassal_over(fleet: Fleet, vassal: str, now: int) -> bool:
    """Whether the account that pays for this vassal is above its budget."""
    known = fleet.vassals.get(vassal)
    if known is None:
        return False
    return is_over(fleet, account_of(fleet.policy, vassal, known.spec), now)


def charge(fleet: Fleet, event: Event) -> None:
    """Count an event against its account."""
    budget = fleet.policy.record_budget
    if budget <= 0 or not rules.holds(fleet, rules.BUDGET):
        return
    if event.seq % _TIDY == 0:
        for account in [a for a, s in fleet.spent.items() if not _left(s, budget, event.at)]:
            del fleet.spent[account]
    if event.vassal is None:
        return
    cost = _cost(fleet, event)
    if not cost:
        return
    body: Any = event.body
    spec = getattr(body, "spec", None) or fleet.vassals[event.vassal].spec
    account = account_of(fleet.policy, event.vassal, spec)
    before = fleet.spent.get(account)
    had = 0 if before is None else _left(before, budget, event.at)
    # The account is told as above its budget until half of that is free: it is said once.
    over = before.over if before is not None and had > budget // 2 else None
    now = min(had + cost, 2 * budget + EVENT)
    if now > budget and over is None:
        over = event.at
    fleet.spent[account] = Spent(now, event.at, over)


def _cost(fleet: Fleet, event: Event) -> int:
    body: Any = event.body
    if event.kind in ("vassal_added", "vassal_changed"):
        return int(body.cost)
    cost = _COSTS.get(event.kind, 0)
    vassal = fleet.vassals.get(event.vassal or "") if cost else None
    if vassal is None:
        return 0
    if event.kind == "exited":
        asked = vassal.phase == "stopping" or body.away
        return 0 if asked else cost + len(body.log)
    if event.kind == "deploy_refused":
        return cost + len(body.reason) + len(body.log)
    if event.kind == "vassal_failed":
        return cost + len(body.reason) + len(body.trace)
    return cost


def trimmed(fleet: Fleet, draft: Draft, now: int) -> Draft:
    """A draft without its last lines, where the account of its vassal is above its budget."""
    body = draft.body
    if not isinstance(body, Exited | DeployRefused) or not body.log or draft.vassal is None:
        return draft
    if not is_vassal_over(fleet, draft.vassal, now):
        return draft
    body = msgspec.structs.replace(body, log="", over_budget=True)
    return msgspec.structs.replace(draft, body=body)


def newly_over(fleet: Fleet, event: Event) -> str | None:
    """The account that this event, which was just folded, has brought above its budget."""
    if not fleet.spent or event.vassal is None:
        return None
    vassal = fleet.vassals.get(event.vassal)
    spec: Spec | None = getattr(event.body, "spec", None)
    if spec is None and vassal is not None:
        spec = vassal.spec
    account = event.vassal if spec is None else account_of(fleet.policy, event.vassal, spec)
    spent = fleet.spent.get(account)
    return account if spent is not None and spent.over == event.at else None


def overspent(fleet: Fleet, now: int) -> list[tuple[str, int, int]]:
    """The accounts that are above their budget: name, since when, and bytes."""
    found = []
    for account, spent in fleet.spent.items():
        has = _left(spent, fleet.policy.record_budget, now)
        if spent.over is not None and has > fleet.policy.record_budget // 2:
            found.append((account, spent.over, has))
    return sorted(found)
