"""Vassals as a running daemon tells them, for people: the table of ``emperor-ctl list``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...journal.times import age
from ...monitors.names import shown
from .tables import aligned

HEAD: Final = (
    "VASSAL", "PHASE", "PID", "UPTIME", "DEATHS", "RESTARTS (1 H)", "LAST EXIT", "RUNS", "WANTED",
    "REASON",
)  # fmt: skip
_SHORT: Final = 12  # characters of a digest, as emperor-replay shows them


def table(vassals: Sequence[Mapping[str, Any]], sources: Mapping[str, str]) -> Iterator[str]:
    """Lines of aligned columns; what is due stands with the reason.

    ``sources`` are short names by URL. They are a column where there are several sources.
    """
    if len(sources) < 2 and {vassal["monitor"] for vassal in vassals} <= set(sources):
        yield from aligned(HEAD, [_cells(vassal) for vassal in vassals])
        return
    rows = []
    for vassal in vassals:
        *cells, reason = _cells(vassal)
        url = vassal["monitor"]
        rows.append((*cells, sources.get(url) or shown(url), reason))
    yield from aligned((*HEAD[:-1], "SOURCE", HEAD[-1]), rows)


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
    reason = shown(vassal["reason"] or "")
    return (
        shown(vassal["name"]),
        phase_text(vassal),
        str(vassal["pid"] or "-"),
        "-" if uptime is None else f"{uptime:.0f} s",
        str(vassal["deaths"]),
        _or_dash(vassal.get("restarts")),
        _or_dash(last_exit_text(vassal)),
        _digest(runs),
        "same" if runs == wanted and runs is not None else _digest(wanted),
        "; ".join(filter(None, (reason, hold_text(vassal), due_text(vassal)))),
    )


def last_exit_text(vassal: Mapping[str, Any]) -> str | None:
    """Its last end: ``SIGKILL 11 s ago, not by emperord``."""
    last = vassal.get("last_exit")
    if last is None:
        return None
    since, whose = vassal.get("last_exit_s"), last["whose"]
    text = last["how"] if since is None else f"{last['how']} {age(int(since * 1e9))} ago"
    return shown(text if whose is None else f"{text}, {whose}")


def hold_text(vassal: Mapping[str, Any]) -> str:
    """The operator that holds it, and since when; empty where none does."""
    hold = vassal.get("hold")
    if hold is None:
        return ""
    uid, login = hold["uid"], hold["loginuid"]
    by = "an unknown user" if uid is None else f"uid {uid}"
    by += f" (logged in as uid {login})" if login not in (None, uid) else ""
    return f"held by {by} since {hold['at'][:19]}Z (event {hold['seq']})"


def _or_dash(value: Any) -> str:
    return "-" if value is None else str(value)


def _digest(digest: str | None) -> str:
    return "-" if digest is None else shown(digest[:_SHORT])
