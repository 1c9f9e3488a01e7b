"""Daemons with a planted bug. A checker that lets one of them pass checks nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from emperord.daemon.core import replacement, slots, target
from emperord.daemon.core.actions import Action
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet, Good, Phase, Pressure
from emperord.daemon.core.fold import fold
from emperord.daemon.loop import pending, shell
from emperord.daemon.loop.shell import Shell
from emperord.daemon.loop.turn import Input, Turn
from emperord.journal.events import Adopted, Event, PreflightPassed, SpawnFailed
from emperord.journal.service_events import ListenOpened

from . import disk
from .approvals import COMES_BACK, REFUSED
from .conditions import LATE, SICK
from .replacements import BEFORE
from .rollbacks import TAKEN_BACK, TO_GOOD
from .rollout_canaries import ROLLOUTS
from .services import MORE_TIME, OPENS


def _not_in(fleet: Fleet, names: set[str], phase: Phase) -> set[str]:
    """Those of the vassals that are not in this phase."""
    return {
        name
        for name in names
        if (vassal := fleet.vassals.get(name)) is None or vassal.phase != phase
    }


class Misplans(Shell):
    """It overlooks the deadlines of vassals in one phase."""

    overlooked: Phase

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deadlines: Any = self._deadlines
        plan = deadlines.plan

        def misplan(fleet: Fleet, names: set[str]) -> None:
            plan(fleet, _not_in(fleet, names, self.overlooked))

        deadlines.plan = misplan


class ForgetsToRespawn(Misplans):
    """A vassal that is throttled is never tried again."""

    overlooked = "throttled"


class ForgetsMercy(Misplans):
    """A vassal that is deaf to its stop is never killed."""

    overlooked = "stopping"


class SpawnsTwice(Shell):
    """It takes those that it finds running for dead, and starts them beside themselves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pending: Any = self._pending
        take = pending.take

        def mistake(draft: Draft, turn: Turn) -> None:
            body = draft.body
            if isinstance(body, Adopted):
                lost = SpawnFailed(attempt=body.attempt, reason="not found", fault="interrupted")
                draft = Draft("spawn_failed", lost, None, draft.vassal, draft.cause)
            take(draft, turn)

        pending.take = mistake


class ActsBeforeItCommits(Shell):
    """It carries out what it has not written down yet."""

    async def _commit(self, turn: Turn) -> None:
        for action, at in turn.ordered:
            super()._act(action, at)
        await super()._commit(turn)

    def _act(self, action: Action, at: int) -> None:
        """Done already."""


class ActsOnHalf(Shell):
    """Of several orders of one turn it forgets the last."""

    _left = 0

    async def _commit(self, turn: Turn) -> None:
        await super()._commit(turn)
        orders = len(turn.ordered)
        self._left = orders + (orders == 1)  # a single one is carried out

    def _act(self, action: Action, at: int) -> None:
        if self._left > 1:
            self._left -= 1
            super()._act(action, at)


class OpensTooEarly(Shell):
    """It gives out slots, and only then removes the vassals that left with their source."""

    async def tell(self, *inputs: Input) -> None:
        await super().tell(*reversed(inputs))


class TakesNothingBack(Shell):
    """It stores the outcomes of a turn that was given up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pending: Any = self._pending
        give_up = pending.give_up

        def keep_deploys(turn: Turn) -> None:
            kept = pending.deploys
            give_up(turn)
            pending.deploys = kept

        pending.give_up = keep_deploys


class ForgetsOpenDeploys(Shell):
    """It follows only those deploys that it saw itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pending.deploys = Deploys()


# And the rules by which each is to be caught.
CANARIES: Final[dict[type[Shell], tuple[str, ...]]] = {
    ForgetsToRespawn: ("settles", "punished no longer"),
    ForgetsMercy: ("mercy ends", "stops", "settles"),
    SpawnsTwice: ("gone means gone", "never two"),
    ActsBeforeItCommits: ("durable first",),
    ActsOnHalf: ("every order is carried out",),
    OpensTooEarly: ("starts what is configured",),
    TakesNothingBack: ("deploys",),
    ForgetsOpenDeploys: ("deploys",),
}


# Folds with a planted bug: they decide wrongly, and a replay decides the same again.

Fold = Callable[[Fleet, Event], list[Action]]


def overlooks(kind: str, request: str | None = None) -> Fold:
    """It takes no notice of such events."""

    def decide(fleet: Fleet, event: Event) -> list[Action]:
        body: Any = event.body
        if event.kind != kind or (request is not None and body.request != request):
            return fold(fleet, event)
        fleet.seq, fleet.at = event.seq, event.at
        return []

    return decide


def _never_waits(fleet: Fleet, event: Event) -> list[Action]:
    """A vassal that crashes is started again at once."""
    actions = fold(fleet, event)
    for vassal in fleet.vassals.values():
        if vassal.phase == "throttled" and vassal.deadline is not None:
            vassal.deadline = min(vassal.deadline, event.at + 1)
    return actions


def _never_waits_longer(fleet: Fleet, event: Event) -> list[Action]:
    """A vassal that crashes in a loop waits no longer than one that crashed once."""
    actions = fold(fleet, event)
    for vassal in fleet.vassals.values():
        vassal.deaths = min(vassal.deaths, 1)
    return actions


def _first_come(fleet: Fleet, event: Event) -> list[Action]:
    """A name stays with the source that was heard first, whatever their order."""
    vassal = fleet.vassals.get(event.vassal or "")
    if event.kind != "vassal_changed" or vassal is None or vassal.monitor == event.monitor:
        return fold(fleet, event)
    fleet.seq, fleet.at = event.seq, event.at
    return []


def _takes_refused(fleet: Fleet, event: Event) -> list[Action]:
    """A preflight that failed counts as one that has passed."""
    body: Any = event.body
    if event.kind == "deploy_refused":
        event = msgspec.structs.replace(
            event, kind="preflight_passed", body=PreflightPassed(check=body.check)
        )
    return fold(fleet, event)


def _starts_unchecked(fleet: Fleet, event: Event) -> list[Action]:
    """It carries out a change at once, and does not wait for the verdict of its preflight."""
    actions = fold(fleet, event)
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is None or vassal.check is None:
        return actions
    passed = msgspec.structs.replace(
        event, kind="preflight_passed", body=PreflightPassed(check=vassal.check)
    )
    return actions + fold(fleet, passed)


def _awaits_for_ever(fleet: Fleet, event: Event) -> list[Action]:
    """A program that is not ready in its time is waited for."""
    vassal = fleet.vassals.get(event.vassal or "")
    if event.kind != "deadline_passed" or vassal is None or vassal.phase != "starting":
        return fold(fleet, event)
    if vassal.running is None or "ready" not in vassal.running.settings:
        return fold(fleet, event)
    fleet.seq, fleet.at = event.seq, event.at
    vassal.deadline = None
    return []


def _hears_no_watchdog(fleet: Fleet, event: Event) -> list[Action]:
    """A lost heartbeat of a program that notifies ends nothing."""
    vassal = fleet.vassals.get(event.vassal or "")
    spec = None if vassal is None else vassal.running
    if event.kind != "heartbeat_lost" or spec is None or spec.settings.get("ready") != "notify":
        return fold(fleet, event)
    fleet.seq, fleet.at = event.seq, event.at
    return []


def _opens_nothing_first(fleet: Fleet, event: Event) -> list[Action]:
    """It stops a vassal for its new addresses before they are open."""
    actions = fold(fleet, event)
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is None or vassal.opening is None or event.kind == "listen_opened":
        return actions
    opened = msgspec.structs.replace(
        event, kind="listen_opened", body=ListenOpened(change=vassal.opening)
    )
    return actions + fold(fleet, opened)


def _punishes_no_lateness(fleet: Fleet, event: Event) -> list[Action]:
    """A program that was not ready in its time is started again at once."""
    actions = fold(fleet, event)
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is not None and event.kind == "deadline_passed" and vassal.phase == "stopping":
        vassal.earliest = None
    return actions


def punishes_reloads(fleet: Fleet, event: Event) -> list[Action]:
    """A program that died of its reload is punished for it."""
    body: Any = event.body
    if event.kind == "exited" and body.reload:
        event = msgspec.structs.replace(event, body=msgspec.structs.replace(body, reload=False))
    return fold(fleet, event)


def _only_reloads(fleet: Fleet, event: Event) -> list[Action]:
    """A request to restart is carried out as one to reload."""
    body: Any = event.body
    if event.kind == "operator_requested" and body.request == "restart":
        event = msgspec.structs.replace(event, body=msgspec.structs.replace(body, request="reload"))
    return fold(fleet, event)


def _forgives_nothing(fleet: Fleet, event: Event) -> list[Action]:
    """However quietly a vassal runs, its deaths are remembered."""
    body: Any = event.body
    if event.kind == "daemon_started":
        policy = msgspec.structs.replace(body.policy, forgive=0.0)
        event = msgspec.structs.replace(event, body=msgspec.structs.replace(body, policy=policy))
    return fold(fleet, event)


def _knows_no_pressure(fleet: Fleet, event: Event) -> list[Action]:
    """As many start as the ceiling says, whatever the pressure."""
    if fleet.pressure is not None:
        fleet.pressure = Pressure()
    return fold(fleet, event)


def _shares_nothing(fleet: Fleet, event: Event) -> list[Action]:
    """All sources are one, so that the first to come has all slots."""
    real: Any = slots
    user_of = real.user_of
    real.user_of = lambda _fleet, _vassal: "everybody"
    try:
        return fold(fleet, event)
    finally:
        real.user_of = user_of


def _gives_no_turns(fleet: Fleet, event: Event) -> list[Action]:
    """A source that has started one vassal goes on with the next."""
    before = list(fleet.users)
    actions = fold(fleet, event)
    users = {user: fleet.users[user] for user in before if user in fleet.users}
    fleet.users = users | fleet.users
    return actions


def _replaces_at_once(fleet: Fleet, event: Event) -> list[Action]:
    """A new instance takes the place of the old one when it was started."""
    actions = fold(fleet, event)
    vassal = fleet.vassals.get(event.vassal or "")
    second = None if vassal is None else vassal.candidate
    starts = second is not None and second.phase == "starting"
    if vassal is not None and starts and event.kind == "spawned":
        replacement.take_place(fleet, vassal, event, actions)
    return actions


def forgets_failed_replacements(fleet: Fleet, event: Event) -> list[Action]:
    """The config of a new instance that failed is started with the next start."""
    actions = fold(fleet, event)
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is None or "preflight" in vassal.spec.settings:
        return actions
    refused = vassal.refused
    if refused is not None and not refused.rolled_back and vassal.check is None:
        target.settle(vassal)
    return actions


def _tries_rolled_back_again(fleet: Fleet, event: Event) -> list[Action]:
    """When the good config has ended, the one that was rolled back is tried again."""
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is None or vassal.refused is None or vassal.phase == "stopping":
        return fold(fleet, event)
    if vassal.refused.rolled_back and event.kind == "exited":
        target.settle(vassal)
    return fold(fleet, event)


def _counts_failures(fleet: Fleet, event: Event, failures: int) -> list[Action]:
    """So many failures of each change are known, whatever has happened."""
    vassal = fleet.vassals.get(event.vassal or "")
    good = None if vassal is None else vassal.good
    if vassal is not None and good is not None and good.spec is not None:
        vassal.good = msgspec.structs.replace(good, failures=failures)
    return fold(fleet, event)


def _rolls_nothing_back(fleet: Fleet, event: Event) -> list[Action]:
    """However often a change fails, it is not taken back."""
    return _counts_failures(fleet, event, 0)


def _rolls_back_at_once(fleet: Fleet, event: Event) -> list[Action]:
    """One failure is enough."""
    return _counts_failures(fleet, event, 1)


def _takes_acceptance_for_good(fleet: Fleet, event: Event) -> list[Action]:
    """A config is good at the moment when its vassal accepts."""
    actions = fold(fleet, event)
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is not None and event.kind == "vassal_accepting" and not vassal.is_open:
        vassal.good = Good()
    return actions


def _takes_nothing_for_good(fleet: Fleet, event: Event) -> list[Action]:
    """However long a change runs well, its deaths count."""
    vassal = fleet.vassals.get(event.vassal or "")
    good = None if vassal is None else vassal.good
    actions = fold(fleet, event)
    ends = event.kind in ("deadline_passed", "vassal_loyal")
    if vassal is not None and ends and good is not None and good.spec is not None:
        vassal.good = good
    return actions


def _takes_all_for_good(fleet: Fleet, event: Event) -> list[Action]:
    """Each config from before is good, whether it was accepting or not."""
    vassal = fleet.vassals.get(event.vassal or "")
    if vassal is not None and event.kind == "vassal_changed" and not vassal.is_open:
        vassal.good = Good()
    return fold(fleet, event)


FOLDS: Final[dict[str, tuple[Fold, tuple[str, ...]]]] = {
    "start is overlooked": (
        overlooks("operator_requested", "start"),
        ("started at once", "settles", "turns"),
    ),
    "restart is overlooked": (
        overlooks("operator_requested", "restart"),
        ("started at once", "settles", "restarts anew"),
    ),
    "restarts are only reloads": (_only_reloads, ("restarts anew",)),
    "stop is overlooked": (overlooks("operator_requested", "stop"), ("settles", "held stays down")),
    "reload is overlooked": (overlooks("operator_requested", "reload"), ("settles",)),
    "resigning is overlooked": (overlooks("vassal_resigned"), ("who resigns is stopped",)),
    "loyalty is overlooked": (
        overlooks("vassal_loyal"),
        ("started at once", "punished no longer"),
    ),
    "silence is overlooked": (overlooks("heartbeat_lost"), ("settles", "who hangs is ended")),
    "deafness is overlooked": (overlooks("vassal_deaf"), ("settles",)),
    "refused configs are taken": (_takes_refused, (REFUSED, "stopped for a reason")),
    "changes are not checked first": (_starts_unchecked, (REFUSED,)),
    "verdicts are overlooked": (overlooks("preflight_passed"), ("settles",)),
    "what is never ready is awaited": (_awaits_for_ever, (LATE,)),
    "more time is overlooked": (overlooks("timeout_extended"), (MORE_TIME, "settles")),
    "addresses are opened after the stop": (_opens_nothing_first, (OPENS,)),
    "a watchdog is overlooked": (_hears_no_watchdog, ("who hangs is ended",)),
    "lateness is not punished": (_punishes_no_lateness, ("throttled",)),
    "health is overlooked": (overlooks("health_lost"), (SICK,)),
    "new instances are not awaited": (_replaces_at_once, (BEFORE,)),
    "rolled back configs are tried again": (_tries_rolled_back_again, (COMES_BACK,)),
    "nothing is rolled back": (_rolls_nothing_back, (TAKEN_BACK,)),
    "one failure is rolled back": (_rolls_back_at_once, (TAKEN_BACK,)),
    "acceptance alone is good": (_takes_acceptance_for_good, (TAKEN_BACK,)),
    "nothing becomes good": (_takes_nothing_for_good, (TAKEN_BACK,)),
    "all is good to go back to": (_takes_all_for_good, (TO_GOOD,)),
    "nothing is forgiven": (_forgives_nothing, ("punished no longer",)),
    "nobody waits": (_never_waits, ("throttled",)),
    "the order of sources is overlooked": (
        _first_come,
        ("settles", "starts what is wanted", REFUSED),
    ),
    "pressure is overlooked": (
        overlooks("pressure_observed"),
        ("pressure is told in need", "started at once"),
    ),
    "pressure has no effect": (_knows_no_pressure, ("max-starting", "pressure is told in need")),
    "slots are shared by nobody": (_shares_nothing, ("turns",)),
    "sources take no turns": (_gives_no_turns, ("turns",)),
    "nobody waits longer": (_never_waits_longer, ("throttled",)),
    **ROLLOUTS,
}


@contextmanager
def planted(decide: Fold) -> Iterator[None]:
    """The daemon and its replay decide so."""
    modules: tuple[Any, ...] = (shell, pending, disk)
    for module in modules:
        module.fold = decide
    try:
        yield
    finally:
        for module in modules:
            module.fold = fold
