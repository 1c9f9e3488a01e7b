"""``history``: each deploy and its outcome.

``daemon/core/deploys.py`` defines both. The daemon stored what it concluded, and ``outcomes.py``
reads that. Where it is not there or does not fit the events, these are folded anew, as the daemon
folded them. The orders are those that were recorded, not those of today's fold.

Deploys are told in their order, so one without an outcome holds up those behind it. Only deploys
are kept meanwhile, never events.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..daemon.cli.digests import short
from ..daemon.core.deploys import Deploy, Deploys
from ..journal.deploys import DEPLOYS
from ..journal.events import Event
from ..journal.reading import Reader
from ..journal.selection import Filter
from ..journal.times import for_people, rfc3339, took
from ..monitors.names import shown
from . import intact_events
from .event_text import decode_actions
from .outcomes import stored
from .reappearances import Reappearance, text
from .rebuild import base, fold_one
from .rollbacks import Rollbacks
from .sources import Sources


def deploys(
    reader: Reader, which: Filter, full: bool = False, *, rollbacks: bool = True
) -> Iterator[Deploy]:
    """The deploys that fit, in order, each with its outcome.

    ``full`` does without the outcomes that the daemon stored. Without ``rollbacks``, those that an
    operator asked for later are not looked for.
    """
    found = _deploys(reader, which, full)
    return map(Rollbacks(reader).told, found) if rollbacks else found


def _deploys(reader: Reader, which: Filter, full: bool) -> Iterator[Deploy]:
    told = reader.anchor.seq
    if not full and reader.has_deploys():
        for deploy in stored(reader, which):
            if deploy is None:
                break
            yield deploy
            told = deploy.seq
        else:
            return
    yield from _History(reader, which, told).run()


class _History:
    """Folds the events behind ``after``, and what came before as far as they need it."""

    def __init__(self, reader: Reader, which: Filter, after: int) -> None:
        self.reader = reader
        self.which = which
        self.kinds = frozenset(which.kinds or DEPLOYS)
        self.told: deque[Deploy] = deque()  # in order, those that must wait for another
        self.first = after
        if which.since is not None:
            self.first = max(after, reader.seq_before(which.since))
        if which.vassal is not None:
            row = reader.first_of(which.vassal)
            self.first = max(self.first, row[0] - 1 if row else reader.head.seq)
        self.last = reader.head.seq if which.until is None else reader.seq_of(which.until)

    def run(self) -> Iterator[Deploy]:
        fleet, _ = base(self.reader, min(self.first, self.reader.head.seq))
        follower = Deploys(fits=self._fits)
        for event, row in intact_events.events(
            self.reader, fleet.seq, self.reader.head.seq, chained=False
        ):
            seq, actions = row[0], row[7]
            if seq > self.last and not follower.open:
                break
            counts = actions != "[]" and (follower.open or event.kind in DEPLOYS)
            follower.take(fleet, event, decode_actions(actions) if counts else (), fold_one)
            if (deploy := follower.touched.get(seq)) is not None:
                self.told.append(deploy)
            follower.touched.clear()
            while self.told and self.told[0].settled:
                yield self.told.popleft()
        yield from self.told

    def _fits(self, event: Event) -> bool:
        which = self.which
        return (
            event.kind in self.kinds
            and self.first < event.seq <= self.last
            and (which.vassal is None or which.vassal == event.vassal)
            and (not which.vassals or event.vassal in which.vassals)
            and (which.monitor is None or which.monitor == event.monitor)
        )


def deploy_record(
    deploy: Deploy, back: Reappearance | None = None, by: str | None = None
) -> dict[str, Any]:
    """A deploy in the shape of the surface.

    ``back`` where it brings its vassal back. ``by`` is its author (``authors.py``).
    """
    return {
        "seq": deploy.seq,
        "at": rfc3339(deploy.at),
        "vassal": deploy.vassal,
        "monitor": deploy.monitor,
        "kind": deploy.kind,
        "config": deploy.config,
        "previous": deploy.previous,
        "by": by,
        "outcome": deploy.outcome,
        "outcome_seq": deploy.outcome_seq,
        "outcome_at": None if deploy.outcome_at is None else rfc3339(deploy.outcome_at),
        "removed": None if back is None else back.removed,
        "same_as": None if back is None else back.same_as,
    }


COLUMNS = tuple(deploy_record(Deploy(0, 0, "", None, "", None, None)))


HEAD = (
    f"{'SEQ':>8}  {'AT (UTC)':23}  {'WHAT':9}  {'CONFIG':28}  {'OUTCOME':22}  VASSAL, MONITOR, BY"
)


class DeployText(NamedTuple):
    """A deploy in words."""

    seq: str
    at: int
    what: str
    config: str
    outcome: str
    after: str  # how long after the deploy that was; empty where it was at once
    vassal: str
    source: str


def in_words(
    deploy: Deploy, sources: Sources, back: Reappearance | None = None, by: str | None = None
) -> DeployText:
    """A deploy for people. ``back`` and ``by`` are as in ``deploy_record``."""
    config = short(deploy.config) if back is None else text(back, deploy.config)
    if deploy.previous is not None and deploy.previous != deploy.config:
        config = f"{short(deploy.previous)} -> {config}"
    after = ""
    if deploy.outcome_at is not None and deploy.outcome_seq != deploy.seq:
        after = took(deploy.outcome_at - deploy.at)
    what = deploy.kind.removeprefix("vassal_")
    source = f"{sources.name(deploy.monitor)}{f', {shown(by)}' if by else ''}"
    seq, vassal = f"{deploy.seq:>8}", shown(deploy.vassal)
    return DeployText(seq, deploy.at, what, config, deploy.outcome, after, vassal, source)


def line(told: DeployText) -> str:
    """A deploy on one line, in a pipe."""
    outcome = f"{told.outcome} after {told.after}" if told.after else told.outcome
    return (
        f"{told.seq}  {for_people(told.at)}  {told.what:9}  {told.config:28}  {outcome:22}"
        f"  {told.vassal}, {told.source}"
    )
