"""Vassals that an operator holds: who stopped them, what waits for it, what was refused meanwhile.

Facts of ``why``. They are read from the requests that the journal has of the vassal, and of all
vassals, so they are told of old journals, too.
"""

from collections.abc import Iterator, Set
from typing import Any, Final

from ..daemon.cli.digests import short
from ..daemon.core.fleet import Vassal
from ..journal.deploys import DEPLOYED, DEPLOYS
from ..journal.events import Event, OperatorRequested, RequestRefused
from ..journal.reading import Reader
from ..journal.selection import Filter
from ..journal.times import took
from ..monitors.names import shown
from .clocks import stamp
from .event_text import operator
from .fleet_requests import last_for_all
from .marks import ignored
from .names import first_fleet

_MOST: Final = 100  # requests and removals that are looked at
_FAR: Final = 20_000  # events among which requests for all vassals are looked for
_REMOVED: Final = tuple(kind for kind in DEPLOYS if kind not in DEPLOYED)


def hold_facts(reader: Reader, vassal: Vassal, seq: int) -> Iterator[tuple[str, str]]:
    """Labels and texts: of its hold as of event ``seq``, or of the last hold that was ended."""
    if not vassal.held:
        yield from _former(reader, vassal.name, seq)
        return
    stop = _stop_of(reader, vassal, seq)
    if stop is None:
        yield "stopped by", "an operator; the event is not in this file"
        return
    yield "stopped by", f"{_by(stop)}, {stamp(stop.at)} (event {stop.seq})"
    if vassal.listens:
        ways = "clients wait at its addresses, as its operator wanted (stop --keep-listening)"
        yield "listens", ways if vassal.unopened is None else f"not: {shown(vassal.unopened)}"
    waiting = [event for event in _since(reader, vassal, stop, seq) if event.kind in DEPLOYED]
    if waiting:
        yield "waits for it", f"{_number(len(waiting), 'change')} ({_events(waiting)})"
    yield from _would_start(reader, vassal, stop)
    refused = [event for event in _since(reader, vassal, stop, seq) if _is_refusal(event)]
    if refused:
        requests = ", ".join(shown(getattr(event.body, "request", "")) for event in refused[:5])
        yield (
            "refused since",
            f"{_number(len(refused), 'request')}: {requests} ({_events(refused)})",
        )


def _stop_of(reader: Reader, vassal: Vassal, upto: int) -> Event | None:
    """The stop that holds it: the event that led to its phase, or a cause of that."""
    seq: int | None = vassal.because if vassal.phase == "held" else vassal.order
    for _ in range(_MOST):
        row = None if seq is None else reader.row(seq)
        if row is None:
            break
        event = reader.decode(row)
        if isinstance(event.body, OperatorRequested) and event.body.request == "stop":
            return event
        seq = event.cause
    found = _last_hold(reader, vassal.name, upto)
    return None if found is None else found[0]


def _would_start(reader: Reader, vassal: Vassal, stop: Event) -> Iterator[tuple[str, str]]:
    """The config with which it would be started, beside the one that ran last."""
    before = reader.last_of(vassal.name, DEPLOYED, stop.seq)
    ran = last_ran(vassal)
    if vassal.spec.config is None or before is None or ran is None:
        return
    if ran == vassal.spec.config:
        yield "would start", f"{short(ran)}, as it ran before"
        return
    asks = f"'diff {shown(vassal.name)} --running' compares them"
    yield "would start", f"{short(vassal.spec.config)}; it ran {short(ran)} before; {asks}"


def last_ran(vassal: Vassal) -> str | None:
    """The digest of the config that its last process had; None where that is not known."""
    if vassal.loaded is not None:
        return vassal.loaded
    return None if vassal.running is None else vassal.running.config


def _since(reader: Reader, vassal: Vassal, stop: Event, seq: int) -> Iterator[Event]:
    which = Filter(vassal=vassal.name, kinds=(*DEPLOYED, "request_refused"))
    for row in reader.rows(which, after=stop.seq, upto=seq):
        yield reader.decode(row)


def _is_refusal(event: Event) -> bool:
    return isinstance(event.body, RequestRefused)


def _former(reader: Reader, name: str, seq: int) -> Iterator[tuple[str, str]]:
    """The last hold, if a start or a removal has ended it."""
    stop, end = _last_hold(reader, name, seq) or (None, None)
    if stop is None or end is None:
        return
    lasted = f"for {took(end.at - stop.at)} until {stamp(end.at)}"
    if end.kind in _REMOVED:
        ended = f"removed by {shown(end.monitor or '-')}"
    else:
        ended = f"started by {_by(end)}"
    yield (
        "was held",
        f"{lasted}: stopped by {_by(stop)} (event {stop.seq}), {ended} (event {end.seq})",
    )


def _last_hold(reader: Reader, name: str, seq: int) -> tuple[Event, Event | None] | None:
    """The stop with which its last hold began, and the event that ended it; None if it lasts.

    Of several stops in a row it is the first. The first start or removal behind them ends it.
    """
    stop = end = None
    for event in _turns(reader, name, seq):
        if event.kind not in _REMOVED and _request(event) == "stop":
            stop = event
        elif stop is not None:
            break
        else:
            end = event
    return None if stop is None else (stop, end)


def _turns(reader: Reader, name: str, seq: int) -> Iterator[Event]:
    """The starts, stops and removals of a vassal up to an event, the last one first.

    Those for all vassals count, too, if they are among the last events and it was there.
    """
    others = ignored(reader, name)
    for _ in range(_MOST):
        own = reader.last_of(name, ("operator_requested", *_REMOVED), seq)
        for_all = last_for_all(reader, seq - _FAR, seq, ("start", "stop"))
        last = max((row for row in (own, for_all) if row is not None), default=None)
        if last is None:
            return
        event, seq = reader.decode(last), last[0] - 1
        if event.kind in _REMOVED:
            counts = event.seq not in others
        else:
            is_its = event.vassal is not None or _is_there(reader, name, seq, others)
            counts = _request(event) in ("start", "stop") and is_its
        if counts:
            yield event


def _is_there(reader: Reader, name: str, seq: int, others: Set[int]) -> bool:
    """Whether its last deploy up to an event is no removal. Those of ``others`` do not count.

    Without any it was there only if the file begins with it.
    """
    last = reader.last_of(name, DEPLOYS, seq)
    while last is not None and last[0] in others:
        last = reader.last_of(name, DEPLOYS, last[0] - 1)
    if last is None:
        first = first_fleet(reader).vassals.get(name)
        return first is not None and first.wanted
    return last[2] not in _REMOVED


def _request(event: Event) -> str:
    body: Any = event.body
    return str(body.request)


def _by(event: Event) -> str:
    assert isinstance(event.body, OperatorRequested)
    reason = f", reason: {shown(event.body.reason)}" if event.body.reason else ""
    return f"{operator(event.body)}{reason}"


def _events(events: list[Event]) -> str:
    numbers = ", ".join(str(event.seq) for event in events[:10])
    more = f" and {len(events) - 10} others" if len(events) > 10 else ""
    return f"{'event' if len(events) == 1 else 'events'} {numbers}{more}"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
