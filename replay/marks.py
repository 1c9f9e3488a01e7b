"""The record of one vassal: its own events, those that gave it orders, and its marks.

The journal has an index of events by vassal. So the record is read backwards from its end, ``MOST``
events at most, and no fleet is folded. Two kinds of events that concern a vassal are not under its
name. An event of another vassal that freed a slot is the cause of an event of its own. A request of
an operator for all vassals stands between the events of a vassal that was at rest and was ordered
to do something. Those without an order are found among the last ``_FAR`` events.

Each event's recorded actions tell what was ordered because of it. So they tell which end of a
process was ordered, without a fold.
"""

from collections.abc import Iterator, Sequence, Set
from itertools import pairwise
from typing import Any, Final

import msgspec

from ..daemon.core.actions import Action
from ..daemon.core.deaths import is_success
from ..daemon.core.end_text import whose
from ..daemon.core.fleet import End, Fleet, Vassal
from ..daemon.core.telling import awaits_ready, tells
from ..journal.deploys import DEPLOYED
from ..journal.events import Event, Exited, OperatorRequested
from ..journal.reading import COLUMNS, Reader, Row
from . import intact_events
from .asked_ends import FAILURES, Cause, why_ended
from .breaks import Mark, What
from .event_text import decode_actions, essence, how_it_ended
from .fleet_requests import requests_for_all
from .instances import Told, instances
from .names import first_fleet
from .reload_orders import ReloadOrder

MOST: Final = 2000  # events of a vassal that are read
_FAR: Final = 50_000  # events among which all requests for all vassals are looked for
_LONGEST: Final = 200_000  # events between a request and the end of a vassal's reload, at most
# Events after which a vassal waits for nothing.
_AT_REST: Final = frozenset(
    ("spawned", "vassal_ready", "vassal_accepting", "vassal_loyal", "heartbeat_started", "adopted")
)
# Signals that a process gets from another one, not for a fault of its own.
_SENT: Final = frozenset((1, 2, 3, 9, 15))
# Requests that are no repair of a vassal: of the daemon, and of a rollout.
_OF_OTHERS: Final = frozenset(("upgrade", "reopen", "rollout_abort", "rollout_continue"))
_MILLISECOND: Final = 1_000_000
_UP: Final = frozenset(("vassal_accepting", "vassal_loyal"))


class Entry(msgspec.Struct, frozen=True):
    """An event, and the actions about the vassal that were recorded with it."""

    event: Event
    orders: tuple[Action, ...]

    @property
    def seq(self) -> int:
        return self.event.seq

    def orders_to(self, *which: str) -> bool:
        """Whether one of these orders was given because of it."""
        return any(action.do in which for action in self.orders)


class Record(msgspec.Struct):
    """The events that concern one vassal, in order, up to an event."""

    name: str
    entries: dict[int, Entry]
    known: Set[int | None]  # other events that changed it
    earlier: int  # events of the vassal that are in the journal before these
    seconds: Told  # its second instances
    ignored: Set[int]  # deploys and removals from which nothing was concluded
    first: Vassal | None = None  # where the file begins, if no entry is left out
    begin: int = 0  # the event behind which the file begins

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def is_own(self, entry: Entry) -> bool:
        return entry.event.vassal == self.name

    def replaces(self, entry: Entry) -> bool:
        """Whether the config that was deployed last takes over with this event."""
        return entry.seq in self.seconds.taken and entry.seq in self.seconds.tried

    def get(self, seq: int | None) -> Entry | None:
        return None if seq is None else self.entries.get(seq)


def record(reader: Reader, name: str, upto: int, known: Set[int | None] = frozenset()) -> Record:
    """The record of a vassal up to an event. Raises UnreadableEvent, NewerFormat.

    ``known`` are numbers of events that are known to have changed the vassal.
    """
    rows: list[Row] = reader.fetch(
        f"SELECT {COLUMNS} FROM event WHERE vassal = ? AND seq <= ? ORDER BY seq DESC LIMIT ?",
        name, upto, MOST,
    )  # fmt: skip
    first = rows[-1][0] if rows else upto
    (earlier,) = reader.fetch(
        "SELECT count(*) FROM event WHERE vassal = ? AND seq < ?", name, first
    )[0]
    found = {row[0]: row for row in rows}
    if earlier and (deployed := reader.last_of(name, DEPLOYED, first - 1)) is not None:
        found[deployed[0]] = deployed  # the config that these events begin with
    own = sorted(found.values())
    found.update((row[0], row) for row in requests_for_all(reader, max(first, upto - _FAR), upto))
    found.update((row[0], row) for row in _causes(reader, found, known))
    found.update((row[0], row) for row in _before(reader, own, found))
    entries = {}
    for event, row in intact_events.readable(reader, (found[seq] for seq in sorted(found))):
        orders = tuple(each for each in decode_actions(row[7]) if each.vassal == name)
        entries[event.seq] = Entry(event, orders)
    all_of_them = entries.values()
    seconds = instances(
        (each.event, each.orders, each.event.vassal == name) for each in all_of_them
    )
    before = None if earlier else first_fleet(reader).vassals.get(name)
    return Record(
        name, entries, known, earlier, seconds, ignored(reader, name), before, reader.anchor.seq
    )


def ignored(reader: Reader, name: str) -> frozenset[int]:
    """The deploys and removals by a source that has not the name, as far as outcomes are stored."""
    if not reader.has_deploys():
        return frozenset()
    rows = reader.fetch(
        "SELECT deploy.seq FROM event JOIN deploy ON deploy.seq = event.seq"
        " WHERE vassal = ? AND outcome = 'superseded' AND outcome_seq = deploy.seq",
        name,
    )
    return frozenset(seq for (seq,) in rows)


def _before(reader: Reader, own: Sequence[Row], found: dict[int, Row]) -> Iterator[Row]:
    """The requests for all vassals that this one obeyed, at once or after a wait for a slot.

    Only such a request has one that is at rest reload or wait. It is the last before that, so this
    reads no more events than came meanwhile. A program may reload by itself, without a request.
    """
    if not own:
        return
    last = own[-1][0]
    orders = [seq for seq, row in found.items() if seq > last and row[4] != own[-1][4]]
    ends = [_end_of_order(before, row, found) for before, row in pairwise(own)]
    for before, end in zip(own, [*ends, max(orders, default=None)], strict=True):
        if end is not None and before[2] in _AT_REST:
            yield from reader.fetch(
                f"SELECT {COLUMNS} FROM event WHERE seq > ? AND seq <= ? AND vassal IS NULL"
                " AND kind = 'operator_requested' ORDER BY seq DESC LIMIT 1",
                max(before[0], end - _LONGEST), end,
            )  # fmt: skip


def _end_of_order(before: Row, row: Row, found: dict[int, Row]) -> int | None:
    """The event up to which an order came between two events of a vassal, if one did."""
    if row[2] == "vassal_accepting" and before[2] in _UP:
        return row[0]  # again, so it reloaded
    cause = found.get(row[5]) if row[5].__class__ is int else None
    foreign = cause is not None and cause[4] != row[4] and cause[0] > before[0]
    return cause[0] if cause is not None and foreign else None


def _causes(reader: Reader, found: dict[int, Row], known: Set[int | None]) -> list[Row]:
    """The events that are causes of these, or known, and are not among them."""
    wanted = {*(row[5] for row in found.values()), *known} - found.keys()
    rows = (reader.row(seq) for seq in sorted(s for s in wanted if s.__class__ is int))
    return [row for row in rows if row is not None]


# Marks


def marks(told: Record, fleet: Fleet) -> Iterator[Mark]:
    """The marks of a record. ``fleet`` has the policy and the rules that count."""
    settings: dict[str, str] = {}  # of the config that may run
    wanted: dict[str, str] = {}
    tried = False  # the config that was deployed last gets to the vassal by a replacement
    began = 0  # when a process was started last
    reload = ReloadOrder(fleet)
    loyal = False  # it has served a request
    if (first := told.first) is not None and is_up(first):
        yield from _of_first(first, told.begin)
        settings = wanted = first.spec.settings
        began, loyal = first.launched or 0, first.loyal
    for entry in told:
        event = entry.event
        if event.failed or (event.seq in told.ignored and not entry.orders):
            continue
        own = told.is_own(entry)
        if own and event.kind in DEPLOYED:
            wanted, tried = _spec(event).settings, event.seq in told.seconds.deploys
            settings = settings if tried or entry.orders_to("check") else wanted
        elif (own and event.kind == "preflight_passed" and not tried) or told.replaces(entry):
            settings = wanted
        plain = "command" in settings and settings.get("ready", "spawn") == "spawn"
        ran = event.at - began >= fleet.policy.throttle * _MILLISECOND
        if event.seq in told.seconds.about:
            yield from _of_second(told.seconds, event, plain)
            began = event.at if event.seq in told.seconds.taken else began
        elif event.kind == "exited" and own:
            reloaded = reload.ended_it(event, settings)
            yield _ended(told, entry, settings, ran or loyal, reloaded)
        else:
            yield from _of_event(told, entry, plain, tried)
        loyal = (loyal or event.kind == "vassal_loyal") and not entry.orders_to("spawn")
        spawns = entry.orders_to("spawn") and event.seq not in told.seconds.started
        reload.take(
            event, own=own and event.seq not in told.seconds.about, spawns=spawns,
            reloads=entry.orders_to("reload"), taken=event.seq in told.seconds.taken,
        )  # fmt: skip
        if entry.orders_to("spawn", "reload") and event.seq not in told.seconds.started:
            runs = next(each for each in entry.orders if each.do in ("spawn", "reload"))
            yield Mark("run", event.seq, event.at, config=runs.config)
            began = event.at if spawns else began
            if plain and entry.orders_to("reload"):
                yield _mark("up", event, "running")


def is_up(vassal: Vassal) -> bool:
    """Whether it runs well with its wanted spec, and with nothing else."""
    confirms = tells(vassal) or awaits_ready(vassal)
    up = vassal.phase == "accepting" or (vassal.phase == "ready" and not confirms)
    alone = vassal.wanted and vassal.candidate is None and not vassal.is_open
    return up and alone and vassal.running == vassal.spec


def _of_first(vassal: Vassal, begin: int) -> Iterator[Mark]:
    """The marks of a vassal that was up where the file begins: its config came before."""
    config, since = vassal.spec.config, vassal.since
    yield Mark("deploy", begin, since, "deployed before this file", config, archived=True)
    yield Mark("run", begin, since, config=config)
    said = "accepting" if vassal.phase == "accepting" else "running"
    yield Mark("up", begin, since, said, again=vassal.deaths > 0)
    if vassal.loyal:
        yield Mark("loyal", begin, since)


def _spec(event: Event) -> Any:
    body: Any = event.body
    return body.spec


def _mark(what: What, event: Event, said: str = "") -> Mark:
    return Mark(what, event.seq, event.at, said)


def _of_second(seconds: Told, event: Event, plain: bool) -> Iterator[Mark]:
    """The marks of an event of a second instance: it fails, or takes over."""
    seq = event.seq
    if seq in seconds.taken:
        if seq in seconds.tried:
            yield _mark("passed", event)
        yield Mark("run", seq, event.at, config=seconds.taken[seq])
        yield _mark("up", event, "running" if plain else "accepting")
    elif seq in seconds.failed and seq in seconds.tried:
        yield Mark("refused", seq, event.at, seconds.failed[seq], barred=True)


def _of_event(told: Record, entry: Entry, plain: bool, tried: bool) -> Iterator[Mark]:
    event = entry.event
    if event.kind == "operator_requested":
        assert isinstance(event.body, OperatorRequested)
        if event.body.request not in _OF_OTHERS:
            said, starts = essence(event.body), event.body.request == "start"
            yield Mark("request", event.seq, event.at, said, starts=starts)
        return
    if not told.is_own(entry):
        return
    body: Any = event.body
    match event.kind:
        case "vassal_added" | "vassal_changed":
            yield from _deployed(entry, body, tried)
        case "preflight_passed" if not tried:
            yield _mark("passed", event)
        case "deploy_refused":
            said = f"its config was refused: {body.reason}"
            yield Mark("refused", event.seq, event.at, said, barred=True)
        case "vassal_removed" | "vassal_destroyed":
            yield _mark("gone", event, event.kind.removeprefix("vassal_"))
        case "spawned" if plain:
            yield _mark("up", event, "running")
        case "vassal_accepting":
            yield _mark("up", event, "accepting")
        case "vassal_loyal":
            yield _mark("loyal", event)
        case "spawn_failed" if body.fault != "interrupted":
            yield _failed(event, f"cannot be started: {body.reason}", body.fault)
        case "listen_failed":
            yield _failed(event, f"cannot listen: {body.reason}", body.fault)
        case "vassal_failed":
            yield _mark("death", event, essence(body))


def _failed(event: Event, said: str, fault: str) -> Mark:
    return Mark("death", event.seq, event.at, said, outside=fault in ("resources", "busy"))


def _deployed(entry: Entry, body: Any, tried: bool) -> Iterator[Mark]:
    event, checked = entry.event, tried or entry.orders_to("check")
    said = event.kind.removeprefix("vassal_")
    rests = entry.orders_to("listen")
    yield Mark("deploy", event.seq, event.at, said, body.spec.config, checked=checked, rests=rests)
    if body.spec.bar is not None:
        yield _mark("run", event)
        yield Mark("death", event.seq, event.at, f"may not run: {body.spec.bar}", barred=True)


def _cause(entry: Entry | None) -> Cause | None:
    if entry is None:
        return None
    return Cause(entry.event.kind, [action.do for action in entry.orders])


def _ended(told: Record, entry: Entry, settings: dict[str, str], ran: bool, reloaded: bool) -> Mark:
    """An exit: a death, unless something ordered it or it is no failure.

    ``ran``: it ran for as long as the first throttle, or has served a request. So a success exit
    code is no failure. ``reloaded``: a reload that was ordered ended it.
    """
    event = entry.event
    body = event.body
    assert isinstance(body, Exited)
    cause = told.get(event.cause)
    before = None if cause is None else told.get(cause.event.cause)
    why = why_ended(_cause(cause), _cause(before))
    if why == "late":
        return _mark("death", event, "was not ready in time, so it was killed")
    if why in FAILURES:
        lost = before if cause is None or cause.event.kind == "deadline_passed" else cause
        assert lost is not None
        so = "stopped" if why == "sick" else "killed"
        return _mark("death", event, f"{essence(lost.event.body)}, so it was {so}")
    ordered = why == "asked"
    well = is_success(settings, body.code)
    unasked = not (ordered or body.away or reloaded)
    is_done = well and settings.get("restart", "always") != "always"  # or waits for a client
    failed = unasked and not (well and (ran or is_done))
    rests = unasked and not failed and (is_done or entry.orders_to("listen"))
    outside = body.signal in _SENT and not body.oom
    what: What = "death" if failed else "end"
    said = how_it_ended(body)
    end = End(event.seq, event.at, body.code, body.signal, reload=body.reload, oom=body.oom)
    if failed and (sender := whose(end)) is not None:
        said = f"{said}, {sender}"
    return Mark(what, event.seq, event.at, said, outside=outside, rests=rests)
