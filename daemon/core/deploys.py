"""Deploys and their outcomes: one definition, for the view ``deploys`` and for ``history``.

A *deploy* is an event by which a source changes what is wanted: a vassal added, changed, removed or
destroyed. Its outcome follows from later events, up to the next deploy of the same name. The events
alone do not tell. A vassal that says that it accepts may mean the config before, if the new one
came while it was still starting. So the events are folded, and a success or a death counts only for
the attempt that runs the deployed config. That is the attempt of the first ``spawn`` or ``reload``
of that name that the deploy or a later event ordered. The orders are those that were recorded, not
those that today's fold would give.

==============  ================================================================================
``accepting``   that attempt said that it accepts
``running``     it is up, and no more can be known: a plain program, which never says so; one
                that outlived a daemon and cannot say so; one that did not say so in time after
                a reload, or that became loyal without it. A later ``accepting`` or ``died``
                takes its place; of a plain program only within ``start-patience``, for so long
                it counts as starting here.
``died``        it ended unasked before it accepted, its heartbeat was lost, or the machine
                could not start it. That a later try may go better does not change it. A death
                while no daemon was there counts against no config, and neither does an end by the
                reload (``deaths.py``): the next try tells.
``barred``      it may not run: the source says so, the policy, exit code 26, a failed exec
``stopped``     removed, and its process has gone (or there was none); or an operator stopped it
                before it accepted
``held``        it came while an operator held the vassal, and waits. It stays so if another one
                comes first: it never ran because of the hold. A start makes it pending. The
                same holds for one that is held back in a rollout, until an operator continues it.
``refused``     its preflight failed, or its new instance did (``reload = replace``). A later
                try of the same deploy may go better: then another outcome takes its place.
``rolled_back`` it failed so often that the last good config is back. It takes the place of
                ``died``, and of ``accepting``: it may accept, and die a moment later each time.
                After an operator's word another outcome may take its own.
``superseded``  another deploy of the name came first. A deploy that nothing was concluded from,
                as the name belongs to another source or is not known, is superseded by itself.
``pending``     none of that yet: queued, starting, listening for its first connection
==============  ================================================================================

``previous`` is the digest of the config that was wanted before.

The daemon stores what it concludes with the events that it concludes it from. ``history`` folds the
events again, and ``verify`` compares.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Any, Final, Literal

import msgspec

from ...journal.events import Event
from ...journal.rows import DEPLOYED, DEPLOYS
from ...journal.rows import Deploy as Row
from . import deaths
from .actions import Action
from .fleet import UP, Fleet, Phase, Vassal
from .fold import fold
from .rollout_moves import is_held_back
from .telling import awaits_ready
from .trial import is_on_trial

log = logging.getLogger("emperor")

Outcome = Literal[
    "accepting", "running", "died", "stopped", "barred", "refused", "rolled_back", "superseded",
    "held", "pending",
]  # fmt: skip
_WAITS: Final = ("held", "pending")
_KEPT: Final = ("accepting", "died")  # unless it is rolled back
_DEPLOYS: Final = frozenset(DEPLOYS)

_OF_ATTEMPT: Final = frozenset(
    (
        "deadline_passed",
        "vassal_accepting",
        "vassal_loyal",
        "adopted",
        "exited",
        "heartbeat_lost",
        "health_lost",
        "spawn_failed",
    )
)
_ABOUT_ALL: Final = frozenset(("daemon_started", "daemon_ready", "operator_requested"))


class Deploy(msgspec.Struct, gc=False):
    """One deploy and what is known of its outcome."""

    seq: int
    at: int
    vassal: str
    monitor: str | None
    kind: str
    config: str | None
    previous: str | None
    outcome: Outcome = "pending"
    outcome_seq: int | None = None
    outcome_at: int | None = None
    settled: bool = False
    attempt: int | None = None  # that runs its config
    order: int | None = None  # the event that ordered it to
    trial: int | None = None  # until then the death of a plain program counts

    def settle(self, outcome: Outcome, event: Event, for_good: bool = True) -> None:
        """This is what became of it; ``for_good`` unless a better answer may come."""
        if for_good or self.outcome in _WAITS:
            self.outcome, self.outcome_seq, self.outcome_at = outcome, event.seq, event.at
        self.settled = for_good

    def roll_back(self, event: Event) -> None:
        """The last good config is back in its place."""
        self.settle("rolled_back", event)
        self.settled, self.attempt, self.trial = False, None, None

    def release(self) -> None:
        """It waits no longer for an operator, or is to run after a refusal or a rollback."""
        self.outcome, self.outcome_seq, self.outcome_at = "pending", None, None

    def supersede(self, event: Event) -> None:
        """Another deploy of the name came."""
        if self.outcome == "pending":
            self.settle("superseded", event)
        self.settled = True

    @property
    def row(self) -> Row:
        """As it is stored."""
        return (
            self.seq, self.previous, self.outcome, self.outcome_seq,
            self.attempt, self.order, self.trial, self.settled,
        )  # fmt: skip


class Deploys:
    """Follows a fleet as events are folded. ``fits`` says which deploys are of interest."""

    def __init__(
        self, open_: Iterable[Deploy] = (), fits: Callable[[Event], bool] | None = None
    ) -> None:
        self.open = {deploy.vassal: deploy for deploy in open_}  # those without an outcome
        self.touched: dict[int, Deploy] = {}  # by number, those of which something new is known
        self.lost = False  # an outcome could not be told
        self._fits = fits
        self.second: int | None = None  # the candidate that the vassal had before the event
        self.result: deaths.Result | None = None  # of the end that the event tells
        # A heap: when trials end.
        self._trials: list[tuple[int, int, str]] = []
        for deploy in self.open.values():
            self._push_trial(deploy)

    @property
    def rows(self) -> list[Row]:
        """The rows to store."""
        return [deploy.row for deploy in self.touched.values()]

    def copied(self) -> "Deploys":
        """The same, to go on from should what follows be given up."""
        return Deploys([msgspec.structs.replace(each) for each in self.open.values()], self._fits)

    def take(
        self,
        fleet: Fleet,
        event: Event,
        recorded: Sequence[Action] | None = None,
        fold: Callable[[Fleet, Event], list[Action]] = fold,
    ) -> list[Action]:
        """Fold an event and see what it says; what the fold orders.

        ``recorded`` are the orders that count where they are another's than this fold's.
        """
        if self._trials:
            self.end_trials(event.at)
        if event.failed:
            return self._skip(fleet, event, fold)
        name, deploys = event.vassal, event.kind in _DEPLOYS
        is_open = name in self.open
        phase: Phase | None = None
        previous, owned = None, False
        self.second = self.result = None
        if deploys or is_open:
            before = fleet.vassals.get(name)  # type: ignore[arg-type]
            if before is not None:
                phase = before.phase
                if before.candidate is not None:
                    self.second = before.candidate.attempt
                if deploys:
                    previous = before.spec.config if before.wanted else None
                    owned = before.monitor == event.monitor
                elif event.kind == "exited" and _is_unordered(before, event):
                    self.result = deaths.result_of(fleet, before, event)
        actions = fold(fleet, event)
        orders = actions if recorded is None else recorded
        try:
            if name is None:
                if event.kind in _ABOUT_ALL:
                    for each in tuple(self.open):
                        self.look(fleet, event, None, each)
            elif deploys:
                self._deploy(fleet, event, phase, previous, owned)
            elif is_open:
                self.look(fleet, event, phase, name)
            if fleet.rollouts or fleet.turned:
                self._see_rollouts(fleet, event)
            if orders and self.open:
                self.order(fleet, event, orders)
        except Exception:  # a view for people; no vassal waits for what it would say
            log.exception("the outcome of a deploy is lost: event %d", event.seq)
            self.open.pop(event.vassal or "", None)
            self.lost = True
        return actions

    def _skip(
        self, fleet: Fleet, event: Event, fold: Callable[[Fleet, Event], list[Action]]
    ) -> list[Action]:
        """See an event on which the fold raised. A later event bars its vassal: the outcome."""
        before = fleet.vassals.get(event.vassal or "")
        actions = fold(fleet, event)
        if event.kind not in DEPLOYED or event.vassal is None:
            return actions
        self.supersede(event.vassal, event)
        if self._fits is None or self._fits(event):
            spec = getattr(event.body, "spec", None)
            deploy = Deploy(
                event.seq, event.at, event.vassal, event.monitor, event.kind,
                None if spec is None else spec.config,
                before.spec.config if before is not None and before.wanted else None,
            )  # fmt: skip
            self.touched[deploy.seq] = deploy
            self.open[event.vassal] = deploy
        return actions

    def _deploy(
        self, fleet: Fleet, event: Event, phase: Phase | None, previous: str | None, owned: bool
    ) -> None:
        assert event.vassal is not None
        taken = _taken(fleet, event, owned)
        if taken:
            self.supersede(event.vassal, event)
        if self._fits is not None and not self._fits(event):
            return
        spec = getattr(event.body, "spec", None)
        deploy = Deploy(
            event.seq, event.at, event.vassal, event.monitor, event.kind,
            None if spec is None else spec.config, previous,
        )  # fmt: skip
        self.touched[deploy.seq] = deploy
        if taken:
            self.open[event.vassal] = deploy
            self.look(fleet, event, phase, event.vassal)
        elif phase is None and event.kind not in DEPLOYED:
            deploy.settle("stopped", event)
        else:
            deploy.settle("superseded", event)

    def supersede(self, name: str, event: Event) -> None:
        """Another deploy of the name came."""
        if (last := self.open.pop(name, None)) is not None:
            last.supersede(event)
            self.touched[last.seq] = last

    def look(self, fleet: Fleet, event: Event, phase: Phase | None, name: str) -> None:
        """See what an event, just folded, says of an open deploy. It may be that deploy."""
        deploy = self.open[name]
        outcome, outcome_seq, trial = deploy.outcome, deploy.outcome_seq, deploy.trial
        vassal = fleet.vassals.get(name)
        if deploy.outcome in _KEPT:
            pass  # only a rollback changes that
        elif self.second is not None and deploy.attempt == self.second:
            _of_candidate(deploy, event, vassal)
        elif event.kind in _OF_ATTEMPT:
            _of_attempt(deploy, event, phase, vassal, self.result)
        elif event.kind == "spawned" and _plain_is_up(deploy, event, phase, vassal):
            self._try(fleet, deploy, event)
        if deploy.outcome in _KEPT:
            _of_failures(deploy, event, vassal)
        elif not deploy.settled:
            _of_phase(fleet, deploy, event, vassal)
        if deploy.settled:
            del self.open[name]
        elif (
            deploy.outcome == outcome
            and deploy.outcome_seq == outcome_seq
            and deploy.trial == trial
        ):
            return
        self.touched[deploy.seq] = deploy

    def _see_rollouts(self, fleet: Fleet, event: Event) -> None:
        """Some have had their turn by this event, or those that wait are held back from now on."""
        names = [name for name in fleet.turned if name != event.vassal]
        for rollout in fleet.rollouts.values():
            if event.seq in (rollout.held, rollout.aborted):
                names += rollout.names
        for name in names:
            if name in self.open:
                self.see_rollout(fleet, event, name)

    def see_rollout(self, fleet: Fleet, event: Event, name: str) -> None:
        """See what an event about a rollout says of an open deploy."""
        deploy = self.open[name]
        if deploy.outcome == "accepting":
            return
        was = deploy.outcome, deploy.outcome_seq
        _of_phase(fleet, deploy, event, fleet.vassals.get(name))
        if deploy.settled:
            del self.open[name]
        if deploy.settled or was != (deploy.outcome, deploy.outcome_seq):
            self.touched[deploy.seq] = deploy

    def order(self, fleet: Fleet, event: Event, actions: Sequence[Action]) -> None:
        """Note which attempt runs the config of an open deploy."""
        for action in actions:
            deploy = self.open.get(action.vassal)
            if deploy is None or action.do not in ("spawn", "reload"):
                continue
            if deploy.outcome in _KEPT:
                continue  # another try does not change that
            vassal = fleet.vassals.get(action.vassal)
            if vassal is not None and vassal.is_open and not _is_of_change(vassal, action):
                continue  # that is with the config from before
            self.touched[deploy.seq] = deploy
            deploy.attempt, deploy.order = action.attempt, event.seq
            if action.do == "reload" and vassal is not None and not vassal.speaks:
                self._try(fleet, deploy, event)

    def _try(self, fleet: Fleet, deploy: Deploy, event: Event) -> None:
        """A plain program has the config now: wait whether it dies of it."""
        deploy.settle("running", event, for_good=False)
        deploy.trial = event.at + int(fleet.policy.start_patience * 1e9)
        self._push_trial(deploy)

    def _push_trial(self, deploy: Deploy) -> None:
        if deploy.trial is not None:
            heappush(self._trials, (deploy.trial, deploy.seq, deploy.vassal))

    def end_trials(self, at: int) -> None:
        """It is this time: the programs that did not die within their trial run."""
        while self._trials and self._trials[0][0] < at:
            ended, seq, name = heappop(self._trials)
            deploy = self.open.get(name)
            if deploy is not None and (deploy.seq, deploy.trial) == (seq, ended):
                deploy.settled = True
                self.touched[deploy.seq] = deploy
                del self.open[name]


def _taken(fleet: Fleet, event: Event, owned: bool) -> bool:
    """Whether the fold concluded anything from a deploy."""
    if event.kind not in DEPLOYED:
        return owned
    body: Any = event.body
    vassal = fleet.vassals.get(event.vassal or "")
    return vassal is not None and vassal.spec is body.spec


def _is_of_change(vassal: Vassal, action: Action) -> bool:
    """Whether an order starts the candidate with which a change is tried."""
    candidate = vassal.candidate
    return candidate is not None and candidate.tries and candidate.attempt == action.attempt


def _of_candidate(deploy: Deploy, event: Event, vassal: Vassal | None) -> None:
    """Conclude that the candidate with the deployed config has taken the place of the old one."""
    if vassal is not None and vassal.attempt == deploy.attempt and vassal.phase != "stopping":
        deploy.settle("accepting" if vassal.phase == "accepting" else "running", event)


def _plain_is_up(deploy: Deploy, event: Event, phase: Phase | None, vassal: Vassal | None) -> bool:
    """Whether ``spawned`` says that a plain program was started with the deployed config."""
    if vassal is None or vassal.speaks or phase == "stopping":
        return False
    if awaits_ready(vassal):
        return False
    return deploy.attempt is not None and getattr(event.body, "attempt", None) == deploy.attempt


def _is_unordered(vassal: Vassal, event: Event) -> bool:
    """Whether an ``exited`` is of the vassal's process, and the fold has not ordered that end."""
    own = getattr(event.body, "attempt", None) == vassal.attempt
    return own and vassal.phase in UP and vassal.phase != "stopping"


def _of_attempt(
    deploy: Deploy,
    event: Event,
    phase: Phase | None,
    vassal: Vassal | None,
    result: deaths.Result | None,
) -> None:
    """Conclude from an event about the attempt that runs the deployed config.

    ``phase`` is what the vassal was in before the event, ``vassal`` what it is after it. ``result``
    is the fold's of an end. One of a reload tells nothing: the next start does.
    """
    body: Any = event.body
    kind = event.kind
    if kind == "deadline_passed":
        waits_no_longer = phase == "reloading" and vassal is not None and vassal.phase == "ready"
        if deploy.attempt is not None and waits_no_longer:
            deploy.settle("running", event, for_good=False)
        elif deploy.attempt is not None and vassal is not None and vassal.late is not None:
            deploy.settle("died", event)
        return
    if deploy.attempt is None or getattr(body, "attempt", None) != deploy.attempt:
        return
    if phase not in UP or phase == "stopping":
        return
    if kind == "vassal_accepting":
        deploy.settle("accepting", event)
    elif kind == "vassal_loyal" or (kind == "adopted" and not body.control):
        deploy.settle("running", event, for_good=False)
    elif kind == "exited" and result == "well" and phase != "reloading":
        deploy.settle("running", event)
    elif (
        kind == "heartbeat_lost"
        or (kind == "health_lost" and vassal is not None and vassal.phase == "stopping")
        or (kind == "exited" and result == "failed" and not body.away)
        or (kind == "spawn_failed" and body.fault != "interrupted")
    ):
        deploy.settle(_barred_or_died(vassal), event)


def _barred_or_died(vassal: Vassal | None) -> Outcome:
    return "barred" if vassal is not None and vassal.phase == "barred" else "died"


def _of_failures(deploy: Deploy, event: Event, vassal: Vassal | None) -> None:
    """It accepted or died, which stays so unless failures are counted for a rollback, which comes.

    An operator's rollback of a deploy that was accepting is told from the request.
    """
    died = deploy.outcome == "died"
    if _is_rolled_back(event, vassal) and (died or event.kind != "operator_requested"):
        deploy.roll_back(event)
        return
    good = None if vassal is None else vassal.good
    if vassal is None or good is None or not is_on_trial(vassal):
        deploy.settled = True
    else:
        deploy.settled = not good.failures if died else vassal.is_open
    deploy.trial = None


def _is_rolled_back(event: Event, vassal: Vassal | None) -> bool:
    """Whether this event has rolled the change back."""
    refused = None if vassal is None else vassal.refused
    return refused is not None and refused.rolled_back and refused.seq == event.seq


def _of_phase(fleet: Fleet, deploy: Deploy, event: Event, vassal: Vassal | None) -> None:
    """Conclude from the vassal's phase after the event."""
    body: Any = event.body
    if vassal is None:
        deploy.settle("stopped", event)
        return
    held = vassal.held or (vassal.waits_in is not None and is_held_back(fleet, vassal))
    # Of most events neither is true, so no more is asked.
    waits = deploy.outcome != "pending" or event.kind == "preflight_passed"
    if waits and _goes_on(deploy, event, vassal, held):
        deploy.release()
    refused = vassal.refused
    if refused is not None and refused.seq == event.seq:
        if refused.rolled_back:
            deploy.roll_back(event)
        else:
            deploy.settle("refused", event, for_good=False)
    elif vassal.phase == "barred" and not vassal.is_open:
        deploy.settle("barred", event)
    elif (
        event.kind == "operator_requested"
        and body.request == "stop"
        and vassal.held
        and deploy.kind in DEPLOYED
    ):
        if deploy.outcome == "pending":
            deploy.settle("stopped", event)
        deploy.settled = deploy.outcome != "held"
    elif held and deploy.outcome == "pending" and deploy.kind in DEPLOYED:
        deploy.settle("held", event, for_good=False)


def _goes_on(deploy: Deploy, event: Event, vassal: Vassal, held: bool) -> bool:
    """Whether it was kept from running, and is no longer."""
    if deploy.outcome == "rolled_back":
        return vassal.refused is None or not vassal.refused.rolled_back
    if deploy.outcome == "held":
        return not held
    return event.kind == "preflight_passed" and not vassal.is_open
