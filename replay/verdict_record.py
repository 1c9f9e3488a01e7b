"""The verdict of ``verify`` for programs."""

from typing import Any

from ..journal.times import rfc3339
from .divergence import Divergences, decoded_actions
from .since_verified import Mark
from .states import Comparison
from .verify import Verdict


def record(path: str, verdict: Verdict) -> dict[str, Any]:
    """The verdict as data. ``intact_to`` and ``witnessed_to`` are null where they are not known."""
    audit = verdict.audit
    seq, hash_ = verdict.head
    return {
        "journal": path,
        "verdict": _word(verdict),
        "exit_code": verdict.exit_code,
        "events": verdict.events,
        "snapshots": verdict.snapshots,
        "configs": verdict.configs,
        "checkpoints": verdict.states.count,
        "head": {"seq": seq, "hash": hash_.hex()},
        "findings": [{"seq": each.seq, "what": each.what} for each in audit.findings],
        "findings_count": audit.count,
        "intact_to": audit.intact_to,
        "witnessed_to": audit.witnessed_to,
        "saved": audit.saved() if audit.findings else None,
        "diverged": _divergence(verdict.divergences),
        "snapshots_that_differ": list(verdict.strange),
        "states": _states(verdict.states),
        "newer": verdict.newer,
        "open_end": verdict.open_end,
        "since_verified": None if verdict.mark is None else _mark(verdict.mark),
        "notes": list(verdict.notes),
    }


def _word(verdict: Verdict) -> str:
    if verdict.audit.findings:
        return "damaged"
    if verdict.exit_code == 1:
        return "diverged"
    if verdict.newer is not None:
        return "newer"
    return "verified" if verdict.mark is None else "verified_since"


def _mark(mark: Mark) -> dict[str, Any]:
    begun, until = rfc3339(mark.begun), rfc3339(mark.until)
    return {"seq": mark.seq, "hash": mark.hash, "from": begun, "until": until}


def _divergence(found: Divergences) -> dict[str, Any] | None:
    first = found.first
    if first is None:
        return None
    return {
        "seq": first.seq,
        "kind": first.kind,
        "vassal": first.vassal,
        "recorded": decoded_actions(first.recorded),
        "computed": decoded_actions(first.computed),
        "differs": first.differs,
        "phase_before": first.before,
        "phase_after": first.after,
        "version": first.version,
        "rules": first.rules,
        "count": found.count,
        "follow": found.follow,
        "may_follow": found.may_follow,
        "independent": found.independent,
    }


def _states(found: Comparison) -> dict[str, Any] | None:
    parting = found.parting
    if parting is None:
        return None
    return {
        "after": parting.after,
        "until": parting.until,
        "recorded": parting.recorded,
        "computed": parting.computed,
        "count": found.parted,
    }
