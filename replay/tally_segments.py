"""``report`` on all cores: the segments of a long window, and one totals for all of them.

The window is cut at stored snapshots, and each core takes segments (``tickets.py``). The tally of a
segment begins with the snapshot, and notes what it sees. Then one totals adds up the notes of all
segments, in order, as if one tally had seen all. It checks that each segment began with the fleet,
the states and the facts with which the one before it ended. If it did not, a process has failed,
or anything else is not as expected, there is no answer: then one tally folds all.

The cuts do not depend on the window. So most segments are those of the report before, and their
notes need not be made again (``sums.py``).
"""

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from hashlib import sha256
from itertools import pairwise
from typing import Final

import msgspec

from ..daemon.core.deploys import Deploy, Deploys
from ..daemon.core.fleet import Fleet, Vassal, from_json, to_json
from ..journal.deploys import DEPLOYED
from ..journal.reading import Reader, decoded, open_journal
from .boundaries import Following, Note, applied
from .collecting import uncollected
from .event_text import decode_actions
from .rebuild import base
from .segment import ROWS, Unclean, chained_rows
from .sums import NO_SUMS, Sums, name_of, pack, unpack
from .tally import KEPT, DaemonEnd, Tally, Totals, Window, in_window, outlast, settle
from .tickets import Tickets, give, of_parent, shared
from .uptime import SUCCEEDED, Report, State

LONG: Final = 50_000  # events from which on other processes are worth their start
SEGMENT: Final = 25_000  # events, about
_STATES: Final[tuple[State, ...]] = ("up", "down", "off", "paused", "absent")
_ABSENT: Final = _STATES.index("absent")
# A note is three numbers: a name's number times 32 plus one of these, a time, and another time.
# From 0 it is the state that is entered, from 5 the same with a failure.
_FAILED: Final = len(_STATES)
_DIES, _LOST, _BEGINS, _UPGRADES, _STARTS = range(10, 15)
_ENDS: Final[tuple[DaemonEnd, ...]] = ("ordered", "seen", "unseen", "untold")  # from _STARTS on


class Unlike(Exception):
    """A segment does not begin with what the one before it ended with."""


class Plan(msgspec.Struct, frozen=True):
    """The window, the events between which its segments are, and the segments to be tallied."""

    window: Window
    stops: list[int]
    wanted: list[int]


class Facts(msgspec.Struct, frozen=True):
    """The facts of a tally besides the totals, where a segment begins or ends."""

    seq: int
    fleet: bytes  # its digest
    stopped: bool
    finished: list[str]


class Tallied(msgspec.Struct):
    """The notes of one segment."""

    begin: Facts
    states: dict[str, State]  # where it begins
    end: Facts
    at: int  # where it ends
    fleet: bytes  # there, of the last segment
    names: list[str]
    numbers: bytes
    monitors: dict[str, str]
    outcomes: dict[str, dict[str, int]]  # by vassal, of deploys that are settled
    leads: dict[str, bytes]
    vassals: list[str]  # where it begins
    notes: list[Note]  # of deploys that were open there
    open: list[Deploy]


class Found(msgspec.Struct):
    """The findings of one process: segments as files of sums have them."""

    segments: dict[int, bytes] = {}
    failed: bool = False


_decoder: Final = msgspec.msgpack.Decoder(Tallied)


class _Notes(Totals):
    """Notes for the totals."""

    def __init__(self, window: Window, at: int) -> None:
        super().__init__(window, at)
        self.numbers = array("q")
        self.names: dict[str, int] = {}
        self.monitors: dict[str, str] = {}
        self.outcomes: dict[str, Counter[str]] = {}
        self.leads: dict[str, array[int]] = {}
        self._states: dict[str, State] = {}

    def resume(self, states: dict[str, State]) -> None:
        """The totals have these."""
        self._states = dict(states)

    def _note(self, name: str | None, what: int, at: int = 0, last: int = 0) -> None:
        number = 0 if name is None else self.names.setdefault(name, len(self.names))
        self.numbers.extend((number << 5 | what, at, last))

    def begin(self) -> None:
        self._note(None, _BEGINS)

    def start(self, at: int, end: int, how: DaemonEnd) -> None:
        self._note(None, _STARTS + _ENDS.index(how), at, end)

    def upgrade(self) -> None:
        self._note(None, _UPGRADES)

    def enter(self, vassal: Vassal, state: State, at: int, failed: bool) -> None:
        name = vassal.name
        self.monitors[name] = vassal.monitor
        if failed or self._states.get(name) != state:
            self._states[name] = state
            what = _STATES.index(state)
            self._note(name, what + _FAILED if failed else what, at)

    def go(self, name: str, at: int) -> None:
        if self._states.get(name, "absent") != "absent":
            self._states[name] = "absent"
            self._note(name, _ABSENT, at)

    def lose(self, name: str, at: int) -> None:
        self._note(name, _LOST, at)

    def die(self, name: str) -> None:
        self._note(name, _DIES)

    def deployed(self, deploys: Iterable[Deploy]) -> None:
        for deploy in deploys:
            if deploy.kind in DEPLOYED:
                name, at = deploy.vassal, deploy.outcome_at
                self.outcomes.setdefault(name, Counter())[deploy.outcome] += 1
                if at and deploy.outcome in SUCCEEDED:
                    self.leads.setdefault(name, array("q")).append(at - deploy.at)


def tallied(reader: Reader, window: Window, sums: Sums = NO_SUMS) -> Report | None:
    """The findings in a window; None where one tally is to fold all."""
    fleet, _ = base(reader, window.before)
    if window.last - fleet.seq < LONG or reader.files.access == "copied":
        return None
    stops = [fleet.seq, *_cuts(reader, window), window.last]
    try:
        names = _kept_as(reader, window, stops) if sums.are_kept else {}
        parts = {number: part for number in names if (part := sums.load(names[number]))}
        wanted = [number for number in range(len(stops) - 1) if number not in parts]
        plan = Plan(window, stops, wanted)
        for found in shared(
            __name__, reader.path, plan, len(wanted), partial(work, reader, plan), Found
        ):
            parts.update(found.segments)
            for number in found.segments.keys() & names.keys():
                sums.store(names[number], found.segments[number])
        sums.tidy()
        return _joined(reader, window, fleet, [parts[number] for number in range(len(stops) - 1)])
    except Exception:  # whatever it is, the one tally tells it
        return None


def _cuts(reader: Reader, window: Window) -> list[int]:
    """The snapshots in a window with which segments begin: the first of so many events."""
    query = "SELECT min(seq) FROM snapshot GROUP BY seq / ? ORDER BY 1"
    return [seq for (seq,) in reader.fetch(query, SEGMENT) if window.before < seq < window.last]


def _kept_as(reader: Reader, window: Window, stops: Sequence[int]) -> dict[int, str]:
    """The names of the files for those segments whose notes do not depend on the window."""
    names = {}
    for number, (begin, end) in enumerate(pairwise(stops[:-1])):
        if number or begin == reader.anchor.seq == window.before:
            names[number] = name_of(reader, begin, end)
    return names


def work(reader: Reader, plan: Plan, tickets: Tickets) -> Found:
    """Take segments until none is left, or one fails."""
    found = Found()
    for ticket in tickets:
        number = plan.wanted[ticket]
        begin, end = plan.stops[number : number + 2]
        try:
            with uncollected():
                part = _segment(reader, plan.window, begin, end, number > 0)
            found.segments[number] = pack(msgspec.msgpack.encode(part))
        except Exception:  # whatever it is, the one tally tells it
            found.failed = True
            tickets.drop()
    return found


def _segment(reader: Reader, window: Window, begin: int, end: int, resumed: bool) -> Tallied:
    """The notes of a segment. Raises Damaged where an event does not follow from the chain."""
    fleet, hash_ = base(reader, begin)
    if fleet.seq != begin:
        raise Unlike
    names = list(fleet.vassals)
    follower: Deploys = Following(fleet) if resumed else in_window(window)
    notes = follower.notes if isinstance(follower, Following) else []
    totals = _Notes(window, fleet.at)
    tally = Tally(window, fleet, totals, resumed)
    states = tally.states() if resumed else {}
    if resumed:
        totals.resume(states)
    first = _facts(tally)
    follower = _follow(reader, hash_, end, tally, follower)
    settle(totals, follower)
    if follower.lost:
        raise Unlike
    return Tallied(
        first, states, _facts(tally), fleet.at, to_json(fleet) if end == window.last else b"",
        list(totals.names), totals.numbers.tobytes(), totals.monitors,
        {name: dict(counts) for name, counts in totals.outcomes.items()},
        {name: leads.tobytes() for name, leads in totals.leads.items()}, names,
        notes,
        [deploy for deploy in follower.open.values() if deploy.seq > 0],
    )  # fmt: skip


def _follow(reader: Reader, hash_: bytes, end: int, tally: Tally, follower: Deploys) -> Deploys:
    """Fold up to ``end``; the follower. Raises Unclean where the chain has another event."""
    path, seq, at = reader.path, tally.fleet.seq, tally.fleet.at
    while rows := reader.fetch(ROWS, seq, end):
        # One step after the other takes all rows of a batch: the code of a step stays in caches.
        hash_ = chained_rows(rows, seq, at, hash_)
        seq, at, *_ = rows[-1]
        orders = [decode_actions(row[7]) for row in rows]
        for event, each in zip([decoded(path, row) for row in rows], orders, strict=True):
            tally.fold(event, each, follower)
        if len(follower.touched) > KEPT:
            settle(tally.totals, follower)
        if isinstance(follower, Following) and not follower.takes_notes:
            follower = follower.without_notes()
    if seq != end:
        raise Unclean
    return follower


def _facts(tally: Tally) -> Facts:
    digest = sha256(to_json(tally.fleet)).digest()
    return Facts(tally.fleet.seq, digest, tally.stopped, sorted(tally.finished))


def _joined(reader: Reader, window: Window, fleet: Fleet, parts: Sequence[bytes]) -> Report:
    """One totals of all segments. Raises Unlike, Unknown, DecodeError."""
    totals = Totals(window, fleet.at)
    open_: list[Deploy] = []
    end: Facts | None = None
    part: Tallied | None = None
    for packed in parts:
        part = _decoder.decode(unpack(packed))
        if end is not None:
            states = {name: each.state for name, each in totals.spells.items()}
            there = {name: state for name, state in states.items() if state != "absent"}
            if part.begin != end or part.states != there:
                raise Unlike
        end = part.end
        _add(totals, part)
        settled, open_ = applied(reader, open_, part.notes, part.vassals, part.at)
        totals.deployed(settled)
        open_ += part.open
    follower = Deploys(open_, lambda _: False)
    assert part is not None
    outlast(reader, from_json(part.fleet), follower)
    totals.deployed(open_)
    return totals.finish()


def _add(totals: Totals, part: Tallied) -> None:
    """Add the notes of a segment."""
    numbers = array("q", part.numbers)
    for number, at, last in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
        what = number & 31
        if what == _BEGINS:
            totals.begin()
            continue
        if what == _UPGRADES:
            totals.upgrade()
            continue
        if what >= _STARTS:
            totals.start(at, last, _ENDS[what - _STARTS])
            continue
        name = part.names[number >> 5]
        if what == _ABSENT:
            totals.go(name, at)
        elif what == _LOST:
            totals.lose(name, at)
        elif what == _DIES:
            totals.die(name)
        else:
            totals.spell(name).enter(_STATES[what % _FAILED], at, what >= _FAILED)
    for name, monitor in part.monitors.items():
        totals.spell(name).monitor = monitor
    for name, outcomes in part.outcomes.items():
        spell = totals.spell(name)
        spell.outcomes = dict(Counter(spell.outcomes) + Counter(outcomes))
    for name, leads in part.leads.items():
        totals.spell(name).leads.frombytes(leads)


def main(path: str, told: str, tickets: int) -> None:
    """Take tickets for a plan; print what was found."""
    plan = msgspec.json.decode(told, type=Plan)
    with open_journal(path) as reader:
        found = work(reader, plan, of_parent(tickets))
    give(found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
