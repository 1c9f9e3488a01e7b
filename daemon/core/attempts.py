"""The attempts of a vassal: one, or two in a replacement.

The host, the recovery and the loop work with one attempt at a time, as a ``Vassal`` has it. So a
second attempt is shown to them as a vassal of the same name.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from .candidate import CandidatePhase
from .fleet import UP, Fleet, Phase, Vassal

_PHASES: Final[dict[CandidatePhase, Phase]] = {
    "starting": "starting",
    "settling": "accepting",
    "ending": "stopping",
    "leaving": "stopping",
}


def is_candidates(vassal: Vassal, attempt: int | None) -> bool:
    """Whether an attempt is the second one of this vassal."""
    return (
        attempt is not None
        and vassal.candidate is not None
        and (vassal.candidate.attempt == attempt)
    )


def of_attempt(vassal: Vassal | None, attempt: int | None) -> Vassal | None:
    """The vassal with the facts of one of its attempts; None where it has no such attempt."""
    if vassal is None or attempt is None:
        return None
    if vassal.attempt == attempt:
        return vassal
    return _second(vassal) if is_candidates(vassal, attempt) else None


def up(vassal: Vassal) -> Iterator[Vassal]:
    """The vassal with the facts of each attempt that may have a process."""
    if vassal.phase in UP:
        yield vassal
    if vassal.candidate is not None:
        yield _second(vassal)


def candidate_of(fleet: Fleet) -> Callable[[str, int], bool]:
    """Tells whether an attempt of a vassal is a candidate that may take another one's place."""

    def is_tried(name: str, attempt: int) -> bool:
        second = fleet.vassals[name].candidate if name in fleet.vassals else None
        return second is not None and second.attempt == attempt and second.is_tried

    return is_tried


def are_left(fleet: Fleet) -> bool:
    """Whether an attempt of any vassal may have a process.

    A stop asks after each turn. Vassals end about in the order of the fleet, so the last ones are
    looked at first. Otherwise the stop of 10,000 would take time in the square of their number.
    """
    vassals = reversed(fleet.vassals.values())
    return any(each.phase in UP or each.candidate is not None for each in vassals)


def _second(vassal: Vassal) -> Vassal:
    candidate = vassal.candidate
    assert candidate is not None
    return msgspec.structs.replace(
        vassal,
        phase=_PHASES[candidate.phase],
        since=candidate.since,
        because=candidate.because,
        deadline=candidate.deadline,
        reason=candidate.reason,
        attempt=candidate.attempt,
        order=candidate.order,
        running=candidate.running,
        loaded=candidate.running.config,
        launched=candidate.launched,
        pid=candidate.pid,
        start_time=candidate.start_time,
        mark=candidate.mark,
        control=candidate.control,
        speaks=candidate.speaks,
        loyal=candidate.loyal,
        heartbeat=candidate.heartbeat,
        own_user=candidate.own_user,
        user=candidate.user,
        killed=candidate.killed,
        deaf=None,
        sick=None,
        reload_at=None,
        due=False,
        anew=False,
        slot=candidate.slot,
        slot_of=candidate.slot_of,
        opening=None,
        candidate=None,
    )
