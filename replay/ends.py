"""The end of a process, and whose doing it was: the daemon's, the kernel's, or another's.

The cause of an ``exited`` is the event that ordered the attempt's last order. Where that is a kill,
SIGKILL is the daemon's. This is read from the record, so it is told of old journals, too.
"""

from collections.abc import Iterator
from typing import Final, Literal

from ..daemon.core import ends
from ..daemon.core.actions import Action
from ..daemon.core.end_text import whose
from ..daemon.core.fleet import End, Fleet, Vassal
from ..daemon.core.records import noted_until
from ..journal import events as e
from ..journal.deploys import DEPLOYED
from ..journal.reading import Reader, Row
from ..journal.times import took
from ..monitors.names import shown
from .asked_ends import Cause, why_ended
from .clocks import stamp
from .event_text import decode_actions, essence, how_it_ended

_HANGS: Final = "its start hung"
_MOST: Final = 1_000  # events that are looked at for a deploy that may run


def essence_of(reader: Reader, event: e.Event) -> str:
    """An event's body in a few words; of an end, whose doing it was."""
    body = event.body
    if not isinstance(body, e.Exited):
        return essence(body)
    sender = whose(_end(reader, event, body))
    text = how_it_ended(body)
    return text if sender is None else f"{text}, {shown(sender)}"


def _end(reader: Reader, event: e.Event, body: e.Exited) -> End:
    order, reason = _order(reader, event)
    return End(event.seq, event.at, body.code, body.signal, order, reason, body.reload, body.oom)


def _order(reader: Reader, event: e.Event) -> tuple[Literal["stop", "kill"] | None, str | None]:
    """The order to end that the process of an ``exited`` had last, and why."""
    cause = None if event.cause is None else reader.row(event.cause)
    if cause is None:
        return None, None
    for action in decode_actions(cause[7]):
        if action.vassal != event.vassal or action.do not in ("stop", "retire", "kill"):
            continue
        if action.attempt not in (None, getattr(event.body, "attempt", None)):
            continue  # of the other instance, in a replacement
        if action.do == "retire" and cause[2] == "deadline_passed":
            return "stop", _retired(reader, cause, action)
        kills = action.do == "kill"
        return "kill" if kills else "stop", _reason(reader, cause, kills, event.vassal)
    return None, None


def _retired(reader: Reader, cause: Row, action: Action) -> str:
    """Why an instance was retired by a deadline: that is its own, or that of the new one."""
    body = reader.decode(cause).body
    own = getattr(body, "attempt", None) == action.attempt
    return "it was not ready in time" if own else "replaced by its new instance"


def _reason(reader: Reader, cause: Row, kills: bool, name: str | None) -> str:
    body = reader.decode(cause).body
    match body:
        case e.HeartbeatLost():
            return ends.HANGS if body.asked else f"no heartbeat for {body.silent:g} s"
        case e.HealthLost():
            return f"failed checks of its health: {body.failures}"
        case e.DeadlinePassed():
            return _overdue(reader, cause, body)
        case e.OperatorRequested():
            return f"{body.asked} by an operator (event {cause[0]})"
        case e.DaemonStopping():
            return f"the daemon stops ({body.reason})"
    if cause[4] not in (None, name):
        return f"its turn came (event {cause[0]})"  # another one made room
    what = cause[2].removeprefix("vassal_").replace("_", " ")
    return _HANGS if kills else f"{what} (event {cause[0]})"


def _overdue(reader: Reader, cause: Row, body: e.DeadlinePassed) -> str:
    if cause[1] < body.deadline:
        return "a second request to stop"
    before = None if cause[5] is None else reader.row(cause[5])
    if before is not None and why_ended(_cause(cause), _cause(before)) == "late":
        return "it was not ready in time"
    return "it did not stop in time"


def _cause(row: Row) -> Cause:
    about = row[4]
    return Cause(row[2], [each.do for each in decode_actions(row[7]) if each.vassal == about])


def end_facts(reader: Reader, vassal: Vassal, fleet: Fleet) -> Iterator[tuple[str, str]]:
    """Labels and texts for ``why``: restarts within the hour, and the deploy before the first."""
    now = noted_until(fleet, fleet.at)
    died = [] if now is None else ends.lately(vassal.died, now)
    if not died:
        return
    yield "restarts (1 h)", f"{len(died)}, the first {stamp(died[0])}"
    seq = reader.seq_at(died[0])
    deploy = _may_run(reader, vassal.name, seq)
    if deploy is not None:
        after = took(died[0] - deploy[1])
        yield "since deploy", f"event {deploy[0]}, {after} before the first of them"


def _may_run(reader: Reader, name: str, upto: int) -> Row | None:
    """The last deploy up to an event whose config could run then: no preflight stood against it."""
    passed = False
    for _ in range(_MOST):
        row = reader.last_of(name, (*DEPLOYED, "preflight_passed"), upto)
        if row is None or row[2] in DEPLOYED:
            if row is None or passed or not _is_checked(row):
                return row
        else:
            passed = True
        upto = row[0] - 1
    return None


def _is_checked(row: Row) -> bool:
    return any(order.vassal == row[4] and order.do == "check" for order in decode_actions(row[7]))
