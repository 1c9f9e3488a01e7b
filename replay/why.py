"""``why``: the chain of events that led a vassal to its present phase.

Each event names its ``cause``. So from the event that led to the present phase (the vassal's
``because``) the causes lead back to the beginning. One step is not among them. A byte or an exit of
a process names its attempt, which may have begun long before a reload or a stop was ordered. The
fleet knows which event ordered that: the vassal's ``order``, for an exit as it was just before. So
that event is told, too: the change that broke the vassal, or the operator who stopped it.
"""

from collections.abc import Iterator

from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.records import deafness
from ..journal.deploys import DEPLOYED, DEPLOYS
from ..journal.events import Announced, Body, Exited, OperatorRequested
from ..journal.reading import Reader, Row
from ..journal.times import for_people, took
from ..monitors.names import shown
from .config_facts import config_facts
from .names import unknown
from .rebuild import NotFound, fleet_at
from .words import decode_actions, essence, how_it_ended, operator, orders

_MOST = 100  # causes; a journal can be anybody's, and hold a loop


def story(reader: Reader, name: str, seq: int) -> Iterator[str]:
    """Lines that tell why a vassal is as it is after event ``seq``. Raises NotFound."""
    fleet = fleet_at(reader, seq)
    vassal = fleet.vassals.get(name)
    if vassal is None:
        yield from _gone(reader, name, seq)
        return
    yield _headline(vassal, fleet)
    yield ""
    wrote = ""
    for row in _chain(reader, vassal):
        yield from _told(reader, row, name, wrote)
        body = reader.decode(row).body
        wrote = body.log if isinstance(body, Exited) else wrote
    yield ""
    for label, fact in _facts(reader, vassal, fleet):
        yield f"{label + ':':16} {fact}"


def _headline(vassal: Vassal, fleet: Fleet) -> str:
    reason = f": {shown(vassal.reason)}" if vassal.reason else ""
    lasted = took(fleet.at - vassal.since)
    return f"{shown(vassal.name)} is {vassal.phase}{reason} (for {lasted}, as of event {fleet.seq})"


# The chain of causes


def _chain(reader: Reader, vassal: Vassal) -> list[Row]:
    """The events that led here, in order."""
    found: dict[int, Row] = {}
    _walk(reader, vassal.because, found)
    last = found.get(vassal.because)
    if last is not None and last[2] == "exited" and last[0] - 1 > reader.anchor.seq:
        before = fleet_at(reader, last[0] - 1).vassals.get(vassal.name)
        if before is not None:
            _walk(reader, before.order, found)
    elif vassal.attempt is not None:
        _walk(reader, vassal.order, found)
    return [found[seq] for seq in sorted(found) if seq <= vassal.because]


def _walk(reader: Reader, seq: int | None, found: dict[int, Row]) -> None:
    while seq is not None and seq not in found and len(found) < _MOST:
        row = reader.row(seq)
        if row is None:  # in an archive, or damaged; what is known is told
            return
        found[seq] = row
        seq = row[5]


def _told(reader: Reader, row: Row, name: str, wrote: str = "") -> Iterator[str]:
    """One event of the story; ``wrote`` is what the death told before had as its last lines."""
    seq, at, kind, monitor, vassal, _, _, actions, _ = row
    event = reader.decode(row)
    said = essence(event.body)
    told = f"{for_people(at)}  {kind}"
    if vassal is not None and vassal != name:
        told += f" {shown(vassal)}"
    if said:
        told += f": {said}"
    if monitor is not None:
        told += f", from {shown(monitor)}"
    ours = [action for action in decode_actions(actions) if action.vassal == name]
    ordered = orders(ours, name)
    yield f"{told}{f' -> {ordered}' if ordered else ''}  (event {seq})"
    yield from _log_lines(event.body, wrote)


def _log_lines(body: Body, wrote: str) -> Iterator[str]:
    if isinstance(body, Exited) and body.log and body.log == wrote:
        yield "    | (the same lines again)"
    elif isinstance(body, Exited):
        for line in body.log.splitlines():
            yield f"    | {shown(line)}"


# The facts for an operator at 3 a.m.


def _facts(reader: Reader, vassal: Vassal, fleet: Fleet) -> Iterator[tuple[str, str]]:
    yield "phase", f"{vassal.phase} since {for_people(vassal.since)} UTC"
    if vassal.pid is not None:
        yield "process", f"pid {vassal.pid}{', loyal' if vassal.loyal else ''}"
        if (deaf := deafness(vassal)) is not None:
            yield "deaf", deaf
        if not vassal.control:
            yield "control socket", f"lost with a former daemon: {_without_control(vassal)}"
    if vassal.deaths:
        yield "deaths in a row", str(vassal.deaths)
    if vassal.phase == "throttled" and vassal.deadline is not None:
        wait = took(max(0, vassal.deadline - fleet.at))
        yield "next try", f"{for_people(vassal.deadline)} UTC, {wait} after this; 'retry' ends it"
    if vassal.phase == "barred":
        yield "next try", "when its config changes, or an operator says retry"
    if vassal.held:
        yield "stopped by", _who_stopped(reader, vassal.name, fleet.seq)
    yield from config_facts(vassal, fleet)
    deployed = reader.last_of(vassal.name, DEPLOYED, fleet.seq)
    if deployed is not None:
        yield "last deploy", f"{for_people(deployed[1])} UTC (event {deployed[0]})"
    yield from _last_exit(reader, vassal.name, fleet.seq)
    outage = fleet.outages.get(vassal.monitor)
    if outage is not None:
        since = for_people(outage.since)
        yield "its source", f"cannot be read since {since} UTC: {shown(outage.reason)}"


def _without_control(vassal: Vassal) -> str:
    if vassal.spec.path is None:
        return "a config cannot be sent to it, so its next change starts it anew"
    return "it is reloaded and stopped by signals"


def _who_stopped(reader: Reader, name: str, seq: int) -> str:
    stops = [reader.last_for_all("operator_requested", seq, "stop"), _last_stop(reader, name, seq)]
    rows = [row for row in stops if row is not None]
    if not rows:
        return "an operator; the event is not in this file"
    event = reader.decode(max(rows))
    assert isinstance(event.body, OperatorRequested)
    return f"{operator(event.body)}, {for_people(event.at)} UTC (event {event.seq})"


def _last_stop(reader: Reader, name: str, seq: int) -> Row | None:
    while (row := reader.last_of(name, ("operator_requested",), seq)) is not None:
        body = reader.decode(row).body
        if isinstance(body, OperatorRequested) and body.request == "stop":
            return row
        seq = row[0] - 1
    return None


def _last_exit(reader: Reader, name: str, seq: int) -> Iterator[tuple[str, str]]:
    row = reader.last_of(name, ("exited",), seq)
    if row is None:
        return
    body = reader.decode(row).body
    assert isinstance(body, Exited)
    yield "last exit", f"{how_it_ended(body)}, {for_people(row[1])} UTC (event {row[0]})"


# A vassal that is not there


def _gone(reader: Reader, name: str, seq: int) -> Iterator[str]:
    row = reader.last_of(name, DEPLOYS, seq)
    if row is None:
        first = reader.first_of(name)
        if first is None:
            raise NotFound(unknown(reader, name))
        raise NotFound(
            f"{shown(name)} was not known then; event {first[0]}, {for_people(first[1])} UTC,"
            " is the first that speaks of it"
        )
    event = reader.decode(row)
    yield f"{shown(name)} is not there any more (as of event {seq})"
    yield ""
    deployed = reader.last_of(name, DEPLOYED, row[0])
    if deployed is not None and deployed is not row:
        yield from _told(reader, deployed, name)
    if not isinstance(event.body, Announced):
        yield from _told(reader, row, name)
    last = reader.last_of(name, ("exited",), seq)
    if last is not None and last[0] > row[0]:
        yield from _told(reader, last, name)
    yield ""
    what = event.kind.removeprefix("vassal_")
    yield (
        f"{what + ':':16} {for_people(event.at)} UTC, by {shown(event.monitor or '-')}"
        f" (event {event.seq})"
    )
    for label, fact in _last_exit(reader, name, seq):
        yield f"{label + ':':16} {fact}"
