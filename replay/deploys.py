"""``history``: what was deployed, and what became of it.

A *deploy* is an event by which a source changes what is wanted: a vassal added, changed, removed
or destroyed. What became of it is looked for in what follows, up to the next deploy of the same
name. The events alone do not tell: a vassal that says that it accepts may say so of the config
before, when the new one came while it was still starting. So the events are folded, and a
success or a death counts only if it is of the attempt that runs the deployed config: the one of
the first ``spawn`` or ``reload`` of that name that was ordered by the deploy or after it. The
orders are those that were recorded, not those that today's fold would give.

==============  ================================================================================
``accepting``   that attempt said that it accepts
``running``     it is up, and no more can be known: a plain program, which never says so; one
                that outlived a daemon and cannot say so; one that did not say so in time after
                a reload, or that became loyal without it. A later ``accepting`` or ``died``
                takes its place; of a plain program only within ``start-patience``, for so long
                it counts as starting here.
``died``        it ended unasked before it accepted, its heartbeat was lost, or the machine
                could not start it. That a later try may go better does not change it. A death
                while no daemon was there is held against nobody: the next try tells.
``barred``      it may not run: the source says so, the policy, exit code 26, a failed exec
``stopped``     removed, and its process has gone (or there was none); or an operator stopped it
                before it accepted. A change that comes while it is held waits with it: pending.
``superseded``  another deploy of the name came first. A deploy that nothing was concluded from,
                as the name belongs to another source or is not known, is superseded by itself.
``pending``     none of that yet: queued, starting, listening for its first connection, held
==============  ================================================================================

``previous`` is the digest of the config that was wanted before.

Deploys are told in their order, so one without an outcome holds up those behind it until its
outcome is found: what is kept meanwhile are deploys, never events.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any, Literal

import msgspec

from ..daemon import deaths
from ..daemon.actions import Action
from ..daemon.fleet import UP, Fleet, Phase, Vassal
from ..journal.events import Event
from ..journal.reading import DEPLOYED, DEPLOYS, Filter, Reader
from ..journal.times import for_people, rfc3339, took
from ..monitors.names import shown
from .rebuild import base, fold_one
from .words import decode_actions, short

Outcome = Literal["accepting", "running", "died", "stopped", "barred", "superseded", "pending"]


_ABOUT_ALL = frozenset(("daemon_started", "daemon_ready", "operator_requested"))


class Deploy(msgspec.Struct):
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
        if for_good or self.outcome == "pending":
            self.outcome, self.outcome_seq, self.outcome_at = outcome, event.seq, event.at
        self.settled = for_good

    def supersede(self, event: Event) -> None:
        """Another deploy of the name came."""
        if self.outcome == "pending":
            self.settle("superseded", event)
        self.settled = True


def deploys(reader: Reader, which: Filter) -> Iterator[Deploy]:
    """The deploys that fit, in order, each with its outcome."""
    history = _History(reader, which)
    yield from history.run()


class _History:
    def __init__(self, reader: Reader, which: Filter) -> None:
        self.reader = reader
        self.which = which
        self.kinds = frozenset(which.kinds or DEPLOYS)
        self.told: deque[Deploy] = deque()  # in order, those that must wait for another
        self.open: dict[str, Deploy] = {}  # by vassal, those without an outcome
        self.trials: list[tuple[int, int, Deploy]] = []  # a heap: when they end
        self.first = reader.anchor.seq
        if which.since is not None:
            self.first = reader.seq_before(which.since)
        if which.vassal is not None:
            row = reader.first_of(which.vassal)
            self.first = max(self.first, row[0] - 1 if row else reader.head.seq)
        self.last = reader.head.seq if which.until is None else reader.seq_of(which.until)

    def run(self) -> Iterator[Deploy]:
        fleet, _ = base(self.reader, min(self.first, self.reader.head.seq))
        for row in self.reader.rows(after=fleet.seq):
            seq, _, kind, _, vassal, _, _, actions, _ = row
            if seq > self.last and not self.open:
                break
            event = self.reader.decode(row)
            self._end_trials(event.at)
            before = None if vassal is None else fleet.vassals.get(vassal)
            if kind in DEPLOYS and vassal is not None and seq > self.first:
                self._deploy(fleet, event, before)
            else:
                phase = None if before is None else before.phase
                fold_one(fleet, event)
                self._look(fleet, event, phase, ())
            if actions != "[]" and self.open:
                self._order(fleet, event, decode_actions(actions))
            while self.told and self.told[0].settled:
                yield self.told.popleft()
        yield from self.told

    def _deploy(self, fleet: Fleet, event: Event, before: Vassal | None) -> None:
        phase = None if before is None else before.phase
        previous = before.spec.config if before is not None and before.wanted else None
        owned = before is not None and before.monitor == event.monitor
        fold_one(fleet, event)
        assert event.vassal is not None
        taken = _taken(fleet, event, owned)
        if taken and (last := self.open.pop(event.vassal, None)) is not None:
            last.supersede(event)
        if not self._fits(event):
            return
        spec = getattr(event.body, "spec", None)
        deploy = Deploy(
            event.seq, event.at, event.vassal, event.monitor, event.kind,
            None if spec is None else spec.config, previous,
        )  # fmt: skip
        self.told.append(deploy)
        if taken:
            self.open[event.vassal] = deploy
            self._look(fleet, event, phase, (event.vassal,))
        elif before is None and event.kind not in DEPLOYED:
            deploy.settle("stopped", event)
        else:
            deploy.settle("superseded", event)

    def _fits(self, event: Event) -> bool:
        which = self.which
        return (
            event.kind in self.kinds
            and event.seq <= self.last
            and (which.vassal is None or which.vassal == event.vassal)
            and (which.monitor is None or which.monitor == event.monitor)
        )

    def _look(self, fleet: Fleet, event: Event, phase: Phase | None, new: tuple[str, ...]) -> None:
        """See what an event, just folded, says of the deploys that are open."""
        names: tuple[str, ...] = ()
        if event.vassal is not None:
            names = (event.vassal,) if event.vassal in self.open else ()
        elif event.kind in _ABOUT_ALL:
            names = tuple(self.open)
        for name in names:
            deploy = self.open[name]
            vassal = fleet.vassals.get(name)
            if name not in new and event.vassal is not None:
                if _plain_is_up(deploy, event, phase, vassal):
                    self._try(fleet, deploy, event)
                _of_attempt(deploy, event, phase, vassal)
            if not deploy.settled:
                _of_phase(deploy, event, vassal)
            if deploy.settled:
                del self.open[name]

    def _order(self, fleet: Fleet, event: Event, actions: list[Action]) -> None:
        """Note which attempt runs the config of an open deploy."""
        for action in actions:
            deploy = self.open.get(action.vassal)
            if deploy is None or action.do not in ("spawn", "reload"):
                continue
            deploy.attempt, deploy.order = action.attempt, event.seq
            vassal = fleet.vassals.get(action.vassal)
            if action.do == "reload" and vassal is not None and not vassal.speaks:
                self._try(fleet, deploy, event)

    def _try(self, fleet: Fleet, deploy: Deploy, event: Event) -> None:
        """A plain program has the config now: wait whether it dies of it."""
        deploy.settle("running", event, for_good=False)
        deploy.trial = event.at + int(fleet.policy.start_patience * 1e9)
        heappush(self.trials, (deploy.trial, event.seq, deploy))

    def _end_trials(self, at: int) -> None:
        while self.trials and self.trials[0][0] < at:
            ended, _, deploy = heappop(self.trials)
            if deploy.trial == ended and self.open.get(deploy.vassal) is deploy:
                deploy.settled = True
                del self.open[deploy.vassal]


def _taken(fleet: Fleet, event: Event, owned: bool) -> bool:
    """Whether the fold concluded anything from a deploy."""
    if event.kind not in DEPLOYED:
        return owned
    vassal = fleet.vassals.get(event.vassal or "")
    return vassal is not None and vassal.spec is getattr(event.body, "spec", None)


def _plain_is_up(deploy: Deploy, event: Event, phase: Phase | None, vassal: Vassal | None) -> bool:
    """Whether the event says that a plain program was started with the deployed config."""
    if event.kind != "spawned" or vassal is None or vassal.speaks or phase == "stopping":
        return False
    return deploy.attempt is not None and getattr(event.body, "attempt", None) == deploy.attempt


def _of_attempt(deploy: Deploy, event: Event, phase: Phase | None, vassal: Vassal | None) -> None:
    """What the event says of the attempt that runs the deployed config.

    ``phase`` is what the vassal was in before the event, ``vassal`` what it is after it.
    """
    body: Any = event.body
    kind = event.kind
    if kind == "deadline_passed":
        waits_no_longer = phase == "reloading" and vassal is not None and vassal.phase == "ready"
        if deploy.attempt is not None and waits_no_longer:
            deploy.settle("running", event, for_good=False)
        return
    if deploy.attempt is None or getattr(body, "attempt", None) != deploy.attempt:
        return
    if phase not in UP or phase == "stopping":
        return
    if kind == "vassal_accepting":
        deploy.settle("accepting", event)
    elif kind == "vassal_loyal" or (kind == "adopted" and not body.control):
        deploy.settle("running", event, for_good=False)
    elif kind == "exited" and vassal is not None and _is_no_failure(phase, vassal, body):
        if phase != "reloading":
            deploy.settle("running", event)
    elif (
        kind == "heartbeat_lost"
        or (kind == "exited" and not body.away)
        or (kind == "spawn_failed" and body.fault != "interrupted")
    ):
        deploy.settle(_barred_or_died(vassal), event)


def _is_no_failure(phase: Phase, vassal: Vassal, body: Any) -> bool:
    """Whether an end was one that a reload asked for, or one that went well."""
    return body.reload or (deaths.succeeded(vassal, body) and vassal.phase != "throttled")


def _barred_or_died(vassal: Vassal | None) -> Outcome:
    return "barred" if vassal is not None and vassal.phase == "barred" else "died"


def _of_phase(deploy: Deploy, event: Event, vassal: Vassal | None) -> None:
    """What the vassal's phase after the event says."""
    body: Any = event.body
    if vassal is None:
        deploy.settle("stopped", event)
    elif vassal.phase == "barred":
        deploy.settle("barred", event)
    elif (
        event.kind == "operator_requested"
        and body.request == "stop"
        and vassal.held
        and deploy.kind in DEPLOYED
    ):
        if deploy.outcome == "pending":
            deploy.settle("stopped", event)
        deploy.settled = True


def deploy_record(deploy: Deploy) -> dict[str, Any]:
    """A deploy in the shape of the surface."""
    return {
        "seq": deploy.seq,
        "at": rfc3339(deploy.at),
        "vassal": deploy.vassal,
        "monitor": deploy.monitor,
        "kind": deploy.kind,
        "config": deploy.config,
        "previous": deploy.previous,
        "outcome": deploy.outcome,
        "outcome_seq": deploy.outcome_seq,
        "outcome_at": None if deploy.outcome_at is None else rfc3339(deploy.outcome_at),
    }


COLUMNS = tuple(deploy_record(Deploy(0, 0, "", None, "", None, None)))
HEAD = f"{'SEQ':>8}  {'AT (UTC)':23}  {'WHAT':9}  {'CONFIG':28}  {'OUTCOME':22}  VASSAL, MONITOR"


def line(deploy: Deploy) -> str:
    """A deploy for people, on one line."""
    config = short(deploy.config)
    if deploy.previous is not None and deploy.previous != deploy.config:
        config = f"{short(deploy.previous)} -> {config}"
    outcome: str = deploy.outcome
    if deploy.outcome_at is not None and deploy.outcome_seq != deploy.seq:
        outcome += f" after {took(deploy.outcome_at - deploy.at)}"
    what = deploy.kind.removeprefix("vassal_")
    return (
        f"{deploy.seq:>8}  {for_people(deploy.at)}  {what:9}  {config:28}  {outcome:22}"
        f"  {shown(deploy.vassal)}, {shown(deploy.monitor or '-')}"
    )
