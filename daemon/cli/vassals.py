"""Vassals as a running daemon tells them, for people: the table of ``emperor-ctl list``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...monitors.names import shown
from .tables import aligned

HEAD: Final = ("VASSAL", "PHASE", "PID", "DEATHS", "UPTIME", "RUNS", "WANTED", "REASON")
_SHORT: Final = 12  # characters of a digest, as emperor-replay shows them


def table(vassals: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of aligned columns; what is due stands with the reason."""
    yield from aligned(HEAD, [_cells(vassal) for vassal in vassals])


def phase_text(vassal: Mapping[str, Any]) -> str:
    """Its phase with what else is known of it: ``accepting (loyal)``."""
    facts = [fact for fact in ("loyal", "deaf", "done") if vassal.get(fact)]
    phase = str(vassal["phase"])
    return f"{phase} ({', '.join(facts)})" if facts else phase


def due_text(vassal: Mapping[str, Any]) -> str:
    """The step to the wanted config that waits; empty where none does."""
    step, line = vassal.get("due"), vassal.get("in_line")
    if step in ("reload", "restart"):
        return f"{step} waits ({line} in line)" if line else f"{step} waits"
    if step == "start" and vassal["pid"] is not None and vassal["phase"] != "stopping":
        return "its change waits for the next start"
    return ""


def _cells(vassal: Mapping[str, Any]) -> tuple[str, ...]:
    # A daemon of a former version does not tell all of it.
    uptime, runs, wanted = vassal["uptime_s"], vassal.get("running"), vassal["config"]
    return (
        shown(vassal["name"]),
        phase_text(vassal),
        str(vassal["pid"] or "-"),
        str(vassal["deaths"]),
        "-" if uptime is None else f"{uptime:.0f} s",
        _digest(runs),
        "same" if runs == wanted and runs is not None else _digest(wanted),
        "; ".join(filter(None, (shown(vassal["reason"] or ""), due_text(vassal)))),
    )


def _digest(digest: str | None) -> str:
    return "-" if digest is None else shown(digest[:_SHORT])
