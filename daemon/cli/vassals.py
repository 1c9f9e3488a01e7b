"""Vassals as a running daemon tells them, for people: the table of ``emperor-ctl list``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from ...journal import times
from ...journal.times import age
from ...monitors.names import shown
from ..core.end_text import aged
from ..core.rollout_text import part_text
from ..core.step_text import candidate_text, check_text, step_text
from . import terminal
from .digests import short
from .tables import aligned

# The fields that the table is made of. Those that are null may be left out.
FIELDS: Final = (
    "name", "monitor", "phase", "loyal", "deaf", "done", "listens", "pid", "since", "restarts",
    "last_exit", "last_exit_s", "not_before", "config", "running", "reason", "hold", "due",
    "in_line", "rollout", "check", "refused", "rolled_back", "candidate", "rejected",
)  # fmt: skip
_NARROW: Final = 110  # columns of a terminal; below, less is told in columns of its own
Cells = Callable[[Mapping[str, Any]], str]


def table(vassals: Sequence[Mapping[str, Any]], sources: Mapping[str, str]) -> Iterator[str]:
    """Lines of aligned columns; the step that waits stands with the reason.

    ``sources`` are short names by URL. They are a column where there are several sources. On a
    terminal, times are local or relative, and digests are columns where some differ.
    """
    columns: list[tuple[str, Cells]] = [
        ("VASSAL", lambda vassal: shown(vassal["name"])),
        ("PHASE", _phase),
        ("PID", lambda vassal: str(vassal.get("pid") or "-")),
    ]
    width = terminal.width()
    if width is None:
        columns += _IN_FULL
    elif width < _NARROW:
        columns += [_since_column(), ("RST", _restarts)]
    else:
        columns += _for_people(vassals)
    if len(sources) > 1 or not {vassal["monitor"] for vassal in vassals} <= set(sources):
        columns.append(("SOURCE", lambda vassal: _source(vassal, sources)))
    columns.append(("REASON", _reason if width is None or width >= _NARROW else _all_reasons))
    rows = [[cell(vassal) for _, cell in columns] for vassal in vassals]
    yield from aligned([name for name, _ in columns], rows)


def _for_people(vassals: Sequence[Mapping[str, Any]]) -> list[tuple[str, Cells]]:
    now = times.now()
    columns: list[tuple[str, Cells]] = [
        _since_column(),
        ("RESTARTS", _restarts),
        ("LAST EXIT", lambda vassal: last_exit_text(vassal) or "-"),
        ("NEXT TRY", lambda vassal: _in(vassal.get("not_before"), now) or "-"),
    ]
    if any(_wanted(vassal) not in ("same", "-") and vassal.get("pid") for vassal in vassals):
        columns += [("RUNS", _runs), ("WANTED", _wanted)]
    return columns


def _since_column() -> tuple[str, Cells]:
    now = times.now()
    return f"SINCE ({terminal.zone(now)})", lambda vassal: _local(vassal.get("since"), now)


def _all_reasons(vassal: Mapping[str, Any]) -> str:
    """The reason, and what has no column of its own on a narrow terminal."""
    due = _in(vassal.get("not_before"), times.now())
    ended = last_exit_text(vassal) if vassal.get("restarts") and not due else None
    told = (_reason(vassal), due and f"next try {due}", ended and f"last {ended}")
    return "; ".join(filter(None, told))


def _local(at: str | None, now: int) -> str:
    return "-" if at is None else terminal.brief_clock(times.parse(at), now)


def _in(at: str | None, now: int) -> str:
    return "" if at is None else f"in {age(times.parse(at) - now)}"


def _utc(at: str | None) -> str:
    return "-" if at is None else f"{at[:19]}Z"


def _phase(vassal: Mapping[str, Any]) -> str:
    return terminal.Styled(phase_text(vassal), terminal.of_phase(vassal["phase"]))


def _restarts(vassal: Mapping[str, Any]) -> str:
    count = vassal.get("restarts")
    return terminal.Styled(_or_dash(count), "busy" if count else "")


def _runs(vassal: Mapping[str, Any]) -> str:
    return short(vassal.get("running"))


def _wanted(vassal: Mapping[str, Any]) -> str:
    # A daemon of a former version does not tell which config runs.
    runs, wanted = vassal.get("running"), vassal.get("config")
    return "same" if runs == wanted and runs is not None else short(wanted)


def _source(vassal: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    return sources.get(vassal["monitor"]) or shown(vassal["monitor"])


def _reason(vassal: Mapping[str, Any]) -> str:
    if not any(map(vassal.get, _REASONS)):
        return ""  # as of most vassals
    reason = shown(vassal.get("reason") or "")
    texts = (
        reason,
        hold_text(vassal),
        due_text(vassal),
        unchecked_text(vassal),
        second_text(vassal),
        rejected_text(vassal.get("rejected")),
    )
    return "; ".join(filter(None, texts))


# The fields of which one at least is told where there is a reason.
_REASONS: Final = (
    "reason", "hold", "due", "rollout", "check", "refused", "rolled_back", "candidate", "rejected",
)  # fmt: skip
_IN_FULL: Final[list[tuple[str, Cells]]] = [
    ("SINCE", lambda vassal: _utc(vassal.get("since"))),
    ("RESTARTS (1 H)", _restarts),
    ("LAST EXIT", lambda vassal: last_exit_text(vassal) or "-"),
    ("NEXT TRY", lambda vassal: _utc(vassal.get("not_before"))),
    ("RUNS", _runs),
    ("WANTED", _wanted),
]


def phase_text(vassal: Mapping[str, Any]) -> str:
    """Its phase with what else is known of it: ``accepting (loyal)``."""
    facts = [fact for fact in ("loyal", "deaf", "done", "listens") if vassal.get(fact)]
    phase = str(vassal["phase"])
    return f"{phase} ({', '.join(facts)})" if facts else phase


def due_text(vassal: Mapping[str, Any]) -> str:
    """The step to the wanted config that waits; empty where none does."""
    return step_text(vassal.get("due"), vassal["phase"], vassal.get("in_line"))


def unchecked_text(vassal: Mapping[str, Any]) -> str:
    """Why its wanted config does not run: it waits, is checked, was refused, or rolled back."""
    if (waits := part_text(vassal.get("rollout"))) != "":
        return waits
    # No daemon of a former version says it.
    refused, back = _told(vassal.get("refused")), _told(vassal.get("rolled_back"))
    return check_text(vassal.get("check"), refused, vassal["phase"], back)


def _told(refusal: Mapping[str, Any] | None) -> tuple[int, str] | None:
    return None if refusal is None else (refusal["seq"], shown(refusal["reason"]))


def rejected_text(rejection: Mapping[str, Any] | None) -> str:
    """Why the present state of a vassal at its source is rejected; empty where it is not."""
    return "" if rejection is None else f"its change is rejected: {shown(rejection['reason'])}"


def second_text(vassal: Mapping[str, Any]) -> str:
    """The second attempt that it has in a replacement; empty without."""
    second = vassal.get("candidate")  # no daemon of a former version says it
    return "" if second is None else candidate_text(second["phase"], second["attempt"])


def last_exit_text(vassal: Mapping[str, Any]) -> str | None:
    """Its last end: ``SIGKILL 11 s ago, not by emperord``."""
    last = vassal.get("last_exit")
    if last is None:
        return None
    since, whose = vassal.get("last_exit_s"), last["whose"]
    text = last["how"] if since is None else aged(last["how"], int(since * 1e9))
    return shown(text if whose is None else f"{text}, {whose}")


def hold_text(vassal: Mapping[str, Any]) -> str:
    """The operator that holds it, and since when; empty where none does."""
    hold = vassal.get("hold")
    if hold is None:
        return ""
    uid, login = hold["uid"], hold["loginuid"]
    by = "an unknown user" if uid is None else f"uid {uid}"
    by += f" (logged in as uid {login})" if login not in (None, uid) else ""
    return f"held by {by} since {terminal.clock(times.parse(hold['at']))} (event {hold['seq']})"


def _or_dash(value: Any) -> str:
    return "-" if value is None else str(value)
