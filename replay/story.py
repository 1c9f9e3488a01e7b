"""The story of a vassal: the events that led to its present phase, and the break among them.

The story is complete. It goes back from the present to the time at which the vassal was up before.
From there it goes to the vassal's appearance, of which only the beginning is told. It has each
event of the vassal that changed something, each order that another event gave it, and the requests
for all vassals. Each recorded cause is in it, even where that is no event of the vassal. Before a
removal it has the outage of the source and its doubts. Before a death that no daemon saw it has the
start of the daemon that found it.

Repetition is one item: the deaths of a crash loop between the first and the last. A wait for a
slot is one item, too, and not the event of another vassal that freed the slot.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Final

import msgspec

from ..daemon.core.fleet import Fleet, Vassal
from ..journal.deploys import DEPLOYED, DEPLOYS
from ..journal.events import DeployRefused, Doubted, Exited
from ..journal.reading import COLUMNS, Reader, Row
from ..journal.times import took
from ..monitors.names import shown
from .altered_rows import altered
from .breaks import PATIENCE, Break, Mark, Patience, breaks
from .change_groups import ChangeGroup, change_group
from .ends import essence_of
from .event_text import decode_actions, essence, orders
from .marks import Entry, Record, marks, record
from .rebuild import folded
from .waits import Wait, Watched, watch

# Events that change nothing which another event does not tell.
_QUIET: Final = frozenset(
    ("vassal_ready", "vassal_loyal", "heartbeat_started", "spawned", "adopted")
)
_LOOP: Final = frozenset(
    ("exited", "deadline_passed", "vassal_accepting", "spawn_failed", "waited")
)
_OF_SOURCE: Final = ("monitor_failed", "monitor_recovered", "listing_doubted")
_FEW: Final = 5  # items that are told rather than left out
_FAR: Final = 10_000  # events before a removal among which those of its source are looked for
_NEAR: Final = 600 * 10**9  # nanoseconds before a removal for which they are told
_MILLISECOND: Final = 1_000_000
_SECOND: Final = 1_000_000_000


class Item(msgspec.Struct):
    """One thing that happened. ``text`` tells it without its time and its number.

    ``kind`` is the event's, or ``waited``, ``turn`` (in a rollout), ``outage``, ``repeated``,
    ``omitted``. ``cause`` is the recorded one, if it is an item of the story. ``last`` is the last
    event that it stands for.
    """

    seq: int
    at: int
    kind: str
    text: str
    orders: list[str] = []
    vassal: str | None = None
    monitor: str | None = None
    log: list[str] = []
    cause: int | None = None
    together: ChangeGroup | None = None
    last: int | None = None
    altered: bool = False  # its row is not what was written
    foreign: bool = False  # told only as the cause of another, and no event of the vassal


class Story(msgspec.Struct):
    """Why a vassal is as it is after event ``seq``. ``vassal`` is None where it is gone."""

    name: str
    seq: int
    at: int
    fleet: Fleet
    vassal: Vassal | None
    items: list[Item]
    broken: Break | None  # the last break
    wait: Wait | None  # for a slot, if it waits for one now
    marks: list[Mark]
    altered: list[int]  # events that are told, and whose rows are not what was written
    now: int | None = (
        None  # the present, where a daemon writes the journal: ``at`` is its last event
    )


def watched(reader: Reader, names: Iterable[str], seq: int) -> dict[str, Watched]:
    """The vassals as they are seen by one fold up to event ``seq``."""
    return watch(folded(reader, seq), names)


def story(reader: Reader, name: str, seq: int, watched: Watched) -> Story:
    """Why a vassal is as it is after event ``seq``."""
    fleet, waits = watched.fleet, watched.waits
    vassal = fleet.vassals.get(name)
    known = watched.changed if vassal is None else {*watched.changed, vassal.because, vassal.order}
    told = record(reader, name, seq, known)
    found = list(_marks(told, vassal, fleet))
    broken = breaks(found, patience_of(fleet), fleet.at)
    last = broken[-1] if broken else None
    dead = {mark.seq for mark in found if mark.what == "death"}
    teller = _Teller(reader, told, waits, dead, watched.turns)
    items = teller.items(_chosen(told, found, last, vassal))
    bad = altered(reader, [*(item.seq for item in items), *_numbers(last)])
    for item in items:
        item.altered = item.seq in bad
    now = waits[-1] if waits and waits[-1].until is None else None
    return Story(name, seq, fleet.at, fleet, vassal, items, last, now, found, bad)


def _numbers(broken: Break | None) -> list[int]:
    """The events that a break is told by."""
    if broken is None:
        return []
    told = (broken.first, broken.last, broken.under, broken.last_good)
    return [*(mark.seq for mark in told if mark), *(each.seq for each in broken.repairs)]


def patience_of(fleet: Fleet) -> Patience:
    """How long a process must run, by the policy of the day."""
    policy = fleet.policy
    quiet = int(policy.forgive * _SECOND) or PATIENCE.quiet
    return Patience(int(policy.start_patience * _SECOND), quiet)


def _marks(told: Record, vassal: Vassal | None, fleet: Fleet) -> Iterator[Mark]:
    """The marks, and a bar that only the fleet knows of: the policy's.

    A bar of the config itself is a mark of its deploy.
    """
    last: Mark | None = None
    for mark in marks(told, fleet):
        last = mark
        yield mark
    if vassal is None or vassal.phase != "barred" or last is None or last.what == "death":
        return
    if vassal.done or vassal.spec.bar is not None:
        return
    if last.what in ("deploy", "run", "end", "request"):
        said = f"may not run: {vassal.reason}"
        yield Mark("death", vassal.because, vassal.since, said, barred=True)


# The choice


def _chosen(
    told: Record, found: Sequence[Mark], broken: Break | None, vassal: Vassal | None
) -> list[Entry]:
    """The entries to tell, in order."""
    because = None if vassal is None else vassal.because
    start = _start(found, broken)
    keep = {each for each in (start, _appearance(told)) if each is not None}
    before = [m for m in found if m.what == "deploy" and start is not None and m.seq <= start]
    if before:
        keep.add(before[-1].seq)
    if broken is not None:
        told_by = (broken.under, broken.last_good, broken.first, broken.last)
        keep |= {mark.seq for mark in told_by if mark is not None}
        keep |= {repair.seq for repair in broken.repairs[-1:]}
    chosen = [
        entry
        for entry in told
        if entry.seq == because
        or (_matters(told, entry) and (start is None or entry.seq >= start or entry.seq in keep))
    ]
    return _with_few_left_out(told, chosen)


def _appearance(told: Record) -> int | None:
    """The event with which its last life begins."""
    found = None
    gone = True
    for entry in told:
        if not told.is_own(entry):
            continue
        if _is_removal(entry):
            gone = True
        elif gone and entry.event.kind in DEPLOYED:
            found, gone = entry.seq, False
    return found


def _is_removal(entry: Entry) -> bool:
    return entry.event.kind in DEPLOYS and entry.event.kind not in DEPLOYED


def _start(found: Sequence[Mark], broken: Break | None) -> int | None:
    """The event at which it was up before the present began; None: it never was."""
    ups = [mark.seq for mark in found if mark.what == "up"]
    if broken is not None and _lasts(found, broken):
        return max((seq for seq in ups if seq < broken.first.seq), default=None)
    if _last_up(found) is not None:
        return ups[-2] if len(ups) > 1 else None
    return ups[-1] if ups else None


def _lasts(found: Sequence[Mark], broken: Break) -> bool:
    """Whether the present belongs to a break: it is down since, or up or removed behind it."""
    if broken.until is None or broken.until_seq == _last_up(found):
        return True
    later = (mark.what for mark in found if mark.seq > (broken.until_seq or 0))
    return broken.removed and "deploy" not in later


def _last_up(found: Sequence[Mark]) -> int | None:
    """Since which event it is up; None where it is down."""
    for mark in reversed(found):
        if mark.what == "up":
            return mark.seq
        if mark.what in ("death", "end"):
            return None
    return None


def _matters(told: Record, entry: Entry) -> bool:
    """Whether an event changed something for the vassal."""
    event = entry.event
    body: Any = event.body
    if entry.orders or event.kind == "operator_requested":
        return getattr(body, "request", "") != "reopen"  # of the daemon's log
    if not told.is_own(entry):
        return entry.seq in told.known
    if event.kind in _QUIET:
        return bool(getattr(body, "mark", None)) or not getattr(body, "control", True)
    return event.kind != "deadline_passed"


def _with_few_left_out(told: Record, chosen: list[Entry]) -> list[Entry]:
    """The chosen ones, and those between two of them where they are few."""
    picked = {entry.seq for entry in chosen}
    gap: list[Entry] = []
    for entry in told:
        if entry.seq not in picked:
            if _matters(told, entry):
                gap.append(entry)
            continue
        if len(gap) <= _FEW:
            picked.update(each.seq for each in gap)
        gap = []
    return [entry for entry in told if entry.seq in picked]


# The telling


class _Teller:
    def __init__(
        self,
        reader: Reader,
        told: Record,
        waits: Sequence[Wait],
        deaths: Set[int],
        turns: Mapping[int, str],
    ) -> None:
        self.reader = reader
        self.told = told
        self.name = told.name
        self.deaths = deaths
        self.waits = {wait.until_seq: wait for wait in waits}
        self.turns = turns
        self.mattering = [entry.seq for entry in told if _matters(told, entry)]
        self.before: Entry | None = None  # the entry before the one that is being told

    def items(self, chosen: Sequence[Entry]) -> list[Item]:
        """The items of these entries, and of all that belongs to them."""
        found: list[Item] = []
        daemons = set[int]()
        gone = [entry.seq for entry in chosen if _is_removal(entry)]
        for entry in chosen:
            if (omitted := self._omitted(entry)) is not None:
                found.append(omitted)
            if gone and entry.seq == gone[-1]:
                found += self._of_source(entry)
            if (started := self._daemon(entry)) is not None and started.seq not in daemons:
                daemons.add(started.seq)
                found.append(started)
            found.append(self._item(entry))
            self.before = entry
        return _linked(self._with_causes(_folded(found, self.deaths)))

    def _with_causes(self, items: list[Item]) -> list[Item]:
        """The items, and each recorded cause that is none of them, nor among those left out."""
        told = {item.seq for item in items}
        spans = [(item.seq, item.last) for item in items if item.last is not None]
        wanted = {item.cause for item in items if item.cause is not None} - told
        more = [
            self._item(self._entry(row))
            for seq in sorted(wanted)
            if not any(first <= seq <= last for first, last in spans)
            and (row := self.reader.row(seq)) is not None
        ]
        for item in more:
            item.foreign = item.vassal != self.name
        return sorted([*items, *more], key=lambda each: each.seq) if more else items

    def _entry(self, row: Row) -> Entry:
        ordered = tuple(each for each in decode_actions(row[7]) if each.vassal == self.name)
        return Entry(self.reader.decode(row), ordered)

    def _omitted(self, entry: Entry) -> Item | None:
        """The events between the entry before and this one, if they are left out."""
        if self.before is None:
            return None
        first = self.before.seq
        left = bisect_left(self.mattering, entry.seq) - bisect_right(self.mattering, first)
        if not left and not (self.told.earlier and first == next(iter(self.told.entries))):
            return None
        count, at = self.reader.fetch(
            "SELECT count(*), min(at) FROM event WHERE vassal = ? AND seq > ? AND seq < ?",
            self.name, first, entry.seq,
        )[0]  # fmt: skip
        text = f"... {count:,} events of it"
        return Item(first + 1, at or entry.event.at, "omitted", text, last=entry.seq - 1)

    def _item(self, entry: Entry) -> Item:
        event = entry.event
        turn = None if self.told.is_own(entry) else self.turns.get(entry.seq)
        if turn is not None:
            item = Item(entry.seq, event.at, "turn", turn)
        elif (wait := self._wait(entry)) is not None:
            item = Item(entry.seq, event.at, "waited", wait)
        else:
            item = Item(entry.seq, event.at, event.kind, self._text(entry), monitor=event.monitor)
            item.vassal = event.vassal
        item.orders = orders(entry.orders, self.name).split(", ") if entry.orders else []
        body = event.body
        if isinstance(body, Exited | DeployRefused):
            item.log = body.log.splitlines()
        if self.told.is_own(entry):
            item.cause = event.cause
        if self.told.is_own(entry) and event.kind in DEPLOYS and event.monitor is not None:
            reason = getattr(body, "reason", "")
            item.together = change_group(self.reader, entry.seq, event.kind, event.monitor, reason)
        return item

    def _wait(self, entry: Entry) -> str | None:
        """The wait for a slot that this event has ended, which is not the vassal's own."""
        event = entry.event
        if self.told.is_own(entry) or not entry.orders_to("spawn", "reload"):
            return None
        wait = self.waits.get(entry.seq)
        if wait is not None and event.kind != "daemon_ready":
            return str(wait)
        if event.vassal is None and event.kind != "pressure_observed":
            return None
        since = None if self.before is None else self.before.event.at
        return f"waited {took(event.at - since)} for a slot" if since else "waited for a slot"

    def _text(self, entry: Entry) -> str:
        event = entry.event
        if event.kind == "deadline_passed" and self.told.is_own(entry):
            return self._deadline(entry)
        said = essence_of(self.reader, event)
        whose = "" if event.vassal in (None, self.name) else f" {shown(event.vassal or '')}"
        if (second := self.told.seconds.about.get(entry.seq)) is not None:
            whose = f" (its {second} instance)"
        return f"{event.kind}{whose}{f': {said}' if said else ''}"

    def _deadline(self, entry: Entry) -> str:
        """Which deadline has passed: of a stop, of a throttle, or of a start."""
        cause = self.told.get(entry.event.cause)
        since = cause or self.before
        waited = "" if since is None else f" of {took(entry.event.at - since.event.at)}"
        if (second := self.told.seconds.about.get(entry.seq)) is not None:
            return (
                f"its {second} instance {self._of_second(entry)}{waited.replace(' of', ' after')}"
            )
        if entry.orders_to("kill"):
            hangs = since is not None and not since.orders_to("stop", "kill")
            return f"it was not ready after{waited[3:]}" if hangs else f"its mercy{waited} ran out"
        if since is not None and since.orders_to("spawn", "reload"):
            return f"its start patience{waited} ran out"
        return f"its throttle{waited} was over"

    def _of_second(self, entry: Entry) -> str:
        """Which deadline of a second instance has passed."""
        seconds = self.told.seconds
        if entry.seq in seconds.taken:
            return "had settled"
        if entry.orders_to("kill"):
            return "had not stopped"
        return "was not ready" if entry.seq in seconds.failed else "was slow to start"

    def _daemon(self, entry: Entry) -> Item | None:
        """The start of the daemon that found its process dead."""
        body = entry.event.body
        if not isinstance(body, Exited) or not body.away:
            return None
        rows = self.reader.fetch(
            f"SELECT {COLUMNS} FROM event WHERE seq < ? AND kind = 'daemon_started'"
            " ORDER BY seq DESC LIMIT 1",
            entry.seq,
        )
        for seq, at, kind, *_ in rows:
            said = essence(self.reader.decode(rows[0]).body)
            return Item(seq, at, kind, f"{kind}: {said}")
        return None

    # The troubles of its source

    def _of_source(self, gone: Entry) -> Iterator[Item]:
        """The outage and the doubts that came before a removal."""
        event = gone.event
        marks = ", ".join("?" * len(_OF_SOURCE))
        rows = self.reader.fetch(
            f"SELECT {COLUMNS} FROM event WHERE seq > ? AND seq < ? AND vassal IS NULL"
            f" AND monitor = ? AND kind IN ({marks}) ORDER BY seq",
            event.seq - _FAR, event.seq, event.monitor, *_OF_SOURCE,
        )  # fmt: skip
        failed: Item | None = None
        for row in rows:
            body = self.reader.decode(row).body
            said = essence(body)
            item = Item(
                row[0],
                row[1],
                row[2],
                f"{row[2]}{f': {said}' if said else ''}",
                monitor=event.monitor,
            )
            if row[2] == "monitor_failed":
                failed = item
                continue
            if row[2] == "monitor_recovered" and failed is not None:
                lasted = took(row[1] - failed.at)
                reason = failed.text.partition(": ")[2]
                item = Item(failed.seq, failed.at, "outage", "", monitor=event.monitor, last=row[0])
                item.text = f"its source could not be read for {lasted}: {reason}"
                failed = None
            if row[1] < event.at - _NEAR or (
                isinstance(body, Doubted) and self.name not in body.missing
            ):
                continue
            yield item
        if failed is not None:
            yield failed


def _folded(items: Sequence[Item], deaths: Set[int]) -> list[Item]:
    """The items, with one in place of the deaths between the first and the last of a loop."""
    found: list[Item] = []
    loop: list[Item] = []
    for item in (*items, None):
        if item is not None and item.kind in _LOOP:
            loop.append(item)
            continue
        found += _loop(loop, deaths, is_last=item is None)
        loop = []
        if item is not None:
            found.append(item)
    return found


def _loop(items: list[Item], dead: Set[int], *, is_last: bool) -> list[Item]:
    """The items of a loop. The last death of the story is told, others but the first are not."""
    deaths = [i for i, item in enumerate(items) if item.seq in dead]
    if len(deaths) < (4 if is_last else 3):
        return items
    first = deaths[0] + 1
    end = deaths[-1] if is_last else deaths[-1] + 1
    left = items[first:end]
    texts = Counter(item.text.removeprefix("exited: ") for item in left if item.seq in dead)
    said = ", ".join(f"{text} ({count} times)" for text, count in texts.most_common(3))
    only = next(iter(texts)) if len(texts) == 1 else said
    text = f"... {texts.total()} more deaths: {only}"
    one = Item(left[0].seq, left[0].at, "repeated", text, last=left[-1].seq)
    return [*items[:first], one, *items[end:]]


def _linked(items: list[Item]) -> list[Item]:
    """The items, each without a cause that is not told."""
    told = {item.seq for item in items}
    for item in items:
        if item.cause not in told:
            item.cause = None
    return items
