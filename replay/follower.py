"""The state of each vassal at each event, without the fold: ``report``.

The orders stand in the journal with the events that led to them, so a reader that follows them need
decide nothing. It keeps ten facts of each vassal, and looks into the body of an event only where
that says which of them change. So it reads a million events in a third of the time of the fold.

It depends on what the moves of ``daemon/core`` do to a phase, and on nothing else of them.
``tests/replay/test_report_readers.py`` compares it with the fold on generated histories.
"""

import gc
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..daemon.core import claims
from ..daemon.core.actions import Action
from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.starts import bar_reason
from ..journal import deploys
from ..journal.deploys import DEPLOYED
from ..journal.errors import JournalError
from ..journal.events import NOT_FOLDED, Event, Exited, Spec, decode_body
from ..journal.policy import Policy
from ..journal.reading import Reader, Row
from .rebuild import base
from .tally import Tally, Window, rows
from .uptime import SUCCEEDED, Report, Spell, State, finished, is_failure, was_failing
from .words import decode_actions

UP, STARTING, STOPPING, WAITING, LISTENING, HELD, FINISHED, ABSENT = range(8)
_STATES: Final[dict[int, State]] = {
    UP: "up",
    STARTING: "down",
    WAITING: "down",  # queued, throttled or barred
    LISTENING: "off",
    HELD: "off",
    FINISHED: "off",
    ABSENT: "absent",
}
_PHASES: Final = {
    "ready": UP,
    "accepting": UP,
    "reloading": UP,
    "starting": STARTING,
    "stopping": STOPPING,
    "listening": LISTENING,
    "held": HELD,
}
# Orders that change a phase. In JSON a quote within a name is escaped, so no name looks like one.
_CHANGING: Final = re.compile('"do":"(?:spawn|stop|kill|listen)"')
_ONE_RELOAD: Final = re.compile(r'\[\{[^{}\\]*"do":"reload"[^{}\\]*\}\]')
_BARE: Final = Spec(ts=0)
_AT_ONCE: Final = 1000  # rows


class Track:
    """The facts of one vassal that say what its next event means."""

    __slots__ = (
        "address", "attempt", "broken", "control", "done", "held", "monitor", "phase", "plain",
        "said", "spell", "told", "user", "wanted",
    )  # fmt: skip

    def __init__(self, spell: Spell) -> None:
        self.spell = spell
        self.phase = ABSENT
        self.monitor = ""
        self.told: str | Spec = Spec(ts=0)
        self.forget()

    def forget(self) -> None:
        """Forget all but what its source has said."""
        self.wanted, self.held, self.done = True, False, False
        self.broken = False  # the daemon met an error about it
        self.attempt: int | None = None
        self.said = ""  # the body of an event that its attempt said something
        self.control, self.plain = True, False
        self.address: str | None = None  # where it listens, or did last
        self.user: tuple[int | None, int | None] = (None, None)

    def renew(self, monitor: str, told: str | Spec) -> None:
        """Its source says something else of it. ``told`` is decoded when it is needed."""
        self.monitor = self.spell.monitor = monitor
        self.told = told
        self.broken = False

    @property
    def spec(self) -> Spec:
        """Its spec as its source gives it, decoded."""
        if isinstance(self.told, str):
            body: Any = decode_body("vassal_changed", self.told)
            self.told = body.spec
        assert isinstance(self.told, Spec)
        return self.told

    def settings(self) -> Spec:
        """A spec with its settings; decoded only where it has some."""
        if isinstance(self.told, str) and '"settings"' not in self.told:
            return _BARE
        return self.spec

    def state(self) -> State:
        """Its state as the report tells it."""
        if self.phase == STOPPING:
            return "down" if self.wanted and not self.held else "off"
        return _STATES[self.phase]

    def end(self) -> None:
        """Its process, whose stop was ordered, has gone."""
        self.attempt = None
        if not self.wanted:
            self.phase = ABSENT
        else:
            self.phase = HELD if self.held else WAITING

    def obey(self, action: Action) -> None:
        """It was ordered to."""
        match action.do:
            case "spawn":
                self.phase, self.attempt = STARTING, action.attempt
                self.said = f'{{"attempt":{action.attempt}}}'
                told = self.told
                may_be = not isinstance(told, str) or '"command"' in told
                self.plain = may_be and "command" in self.spec.settings
                self.control, self.done = True, False
            case "stop" | "kill" if self.attempt is not None:
                self.phase = STOPPING
            case "listen":
                self.phase, self.done = LISTENING, False
                self.address = self.spec.socket
                self.user = (self.spec.uid, self.spec.gid)
            case _:
                """A reload leaves it up."""


class NotFollowed(Exception):
    """The daemon met an error of its own at this event; only the fold knows what follows."""


def has_outcomes(reader: Reader) -> bool:
    """Whether the journal has the outcomes of all deploys, as ``follow`` needs them."""
    with reader.reading():
        return deploys.is_made(reader.db) and deploys.is_filled(reader.db)


def follow(reader: Reader, window: Window) -> Report:
    """The same as ``tally.fold``. Raises Damaged, NewerFormat, NotFollowed.

    The outcomes of deploys are taken from where the daemon stored them.
    """
    fleet, _ = base(reader, window.before)
    enabled = gc.isenabled()
    gc.disable()  # nothing here is a cycle, and there is much of it
    try:
        return _Follower(reader, window, fleet).run()
    finally:
        if enabled:
            gc.enable()


class _Follower(Tally):
    def __init__(self, reader: Reader, window: Window, fleet: Fleet) -> None:
        super().__init__(reader, window, fleet.at)
        self.seq = fleet.seq
        self.stopped = fleet.leaving
        self.policy: Policy = fleet.policy
        self.sources = Fleet(monitors=fleet.monitors, rules=fleet.rules)
        self.tracks: dict[str, Track] = {}
        for vassal in fleet.vassals.values():
            self._enter(self._known(vassal), fleet.at, was_failing(vassal))

    def _known(self, vassal: Vassal) -> Track:
        track = self.tracks[vassal.name] = Track(self.spell(vassal.name))
        track.renew(vassal.monitor, vassal.spec)
        track.phase = FINISHED if vassal.done else _PHASES.get(vassal.phase, WAITING)
        track.wanted, track.held, track.done = vassal.wanted, vassal.held, vassal.done
        track.attempt, track.control = vassal.attempt, vassal.control
        track.said = f'{{"attempt":{vassal.attempt}}}'
        track.plain, track.broken = not vassal.speaks, vassal.failed is not None
        if (running := vassal.running) is not None:
            track.address, track.user = running.socket, (running.uid, running.gid)
        return track

    def run(self) -> Report:
        window = self.window
        outcomes = _Outcomes(self, _stored(self.reader, window))
        before = window.before
        for page in _pages(self.reader, self.seq, window.last):
            for row in page:
                if not self.begun and row[0] > before:
                    self.start_window()
                if not self._is_quiet(row):
                    self._take(row)
                self.at = row[1]
            outcomes.take(page)
        self.report.events = window.last - before
        outcomes.finish()
        return self.finish()

    def _is_quiet(self, row: Row) -> bool:
        """Take the most frequent events, which change no state: the others need ``_take``."""
        _, _, kind, monitor, name, _, body, actions, _ = row
        if kind == "vassal_changed":
            track = self.tracks.get(name)  # type: ignore[arg-type]
            if track is None or track.phase != UP or track.monitor != monitor:
                return False
            if actions != "[]" and not _ONE_RELOAD.fullmatch(actions):
                return False
            track.told, track.broken = body, False
            return True
        if actions != "[]":
            return False
        if kind in ("vassal_accepting", "vassal_ready"):
            track = self.tracks.get(name)  # type: ignore[arg-type]
            return track is not None and track.phase == UP
        return kind in ("vassal_loyal", "heartbeat_started")

    def _take(self, row: Row) -> None:
        _, at, kind, _, name, _, _, actions, _ = row
        if actions == NOT_FOLDED:
            return
        handler = _HANDLERS.get(kind)
        track = None if name is None else self.tracks.get(name)
        phase = ABSENT if track is None else track.phase
        failed = False
        if handler is not None:
            failed = handler(self, track, row)
        elif kind not in _IGNORED:
            self.reader.decode(row)  # raises: a kind of another version, or damage
        if actions == "[]" or _CHANGING.search(actions) is None:
            if kind in _OF_ALL and name is None:
                self._settle_all(kind, at)
            elif track is not None and phase == UP == track.phase and not failed:
                return  # the most frequent case: a reload, or what a process says
            elif name is not None and (track := self.tracks.get(name)) is not None:
                self.settle(track, at, failed)
            return
        orders = decode_actions(actions)
        for action in orders:
            if (other := self.tracks.get(action.vassal)) is not None:
                other.obey(action)
        if kind in _OF_ALL and name is None:
            self._settle_all(kind, at)
            return
        if name is not None and (track := self.tracks.get(name)) is not None:
            self.settle(track, at, failed)
        for action in orders:
            if action.vassal != name and (other := self.tracks.get(action.vassal)) is not None:
                self.settle(other, at, False)

    def _settle_all(self, kind: str, at: int) -> None:
        for track in self.tracks.values():
            self.settle(track, at, False, begins=kind not in _BEGIN_NONE)

    def settle(self, track: Track, at: int, failed: bool, begins: bool = True) -> None:
        """See the state that an event has led to. ``begins``: it may have been barred anew."""
        if track.phase == WAITING and begins and not failed and not track.spell.failing:
            failed = track.broken or self._is_barred(track)
        self._enter(track, at, failed)

    def _is_barred(self, track: Track) -> bool:
        told = track.told
        if not self.policy.tyrant and isinstance(told, str) and '"bar"' not in told:
            return False
        return bar_reason(track.spec, self.policy, track.monitor) is not None

    def _enter(self, track: Track, at: int, failed: bool) -> None:
        state = track.state()
        if self.stopped and state != "absent":
            state = "paused"
        if failed or state != track.spell.state:
            track.spell.enter(state, at, failed)

    def body(self, row: Row) -> Any:
        """The body of an event. Raises NewerFormat, UnreadableEvent."""
        try:
            return decode_body(row[2], row[6])
        except (JournalError, TypeError, UnicodeEncodeError):
            return self.reader.decode(row).body  # raises, and names the event


class _Outcomes:
    """The outcomes of deploys, and how long those took that went well."""

    def __init__(self, here: _Follower, stored: Iterator[tuple[int, str, int | None]]) -> None:
        self._here = here
        self._stored = stored
        self._next = next(stored, None)
        # By the number of the event that will tell when.
        self._waiting: dict[int, tuple[Spell, str, int]] = {}

    def take(self, page: list[Row]) -> None:
        """See which deploys are in a page of events, and which of the former ones it settles."""
        first, last = page[0][0], page[-1][0]
        while self._next is not None and self._next[0] <= last:
            seq, outcome, until = self._next
            self._next = next(self._stored, None)
            if seq < first:
                continue
            row = page[seq - first]
            if row[2] not in DEPLOYED or row[4] is None:
                continue
            spell = self._here.spell(row[4])
            if until is None or outcome not in SUCCEEDED:
                spell.deployed(outcome, None)
            elif first <= until <= last:
                spell.deployed(outcome, page[until - first][1] - row[1])
            else:
                self._waiting[until] = (spell, outcome, row[1])
        for seq in [seq for seq in self._waiting if first <= seq <= last]:
            spell, outcome, began = self._waiting.pop(seq)
            spell.deployed(outcome, page[seq - first][1] - began)

    def finish(self) -> None:
        """Look up the events behind the window."""
        for seq, (spell, outcome, began) in self._waiting.items():
            later = self._here.reader.row(seq)
            spell.deployed(outcome, None if later is None else later[1] - began)


def _pages(reader: Reader, after: int, upto: int) -> Iterator[list[Row]]:
    """The events without what nothing here reads, some at a time, none missing."""
    while after < upto:
        end = min(after + _AT_ONCE, upto)
        page: list[Row] = reader.fetch(
            "SELECT seq, at, kind, monitor, vassal, NULL, body, actions, NULL FROM event"
            " WHERE seq > ? AND seq <= ? ORDER BY seq",
            after,
            end,
        )
        if len(page) != end - after:
            for _ in rows(reader, after, end):  # raises: it says which is missing
                pass
        yield page
        after = end


def _stored(reader: Reader, window: Window) -> Iterator[tuple[int, str, int | None]]:
    """The deploys of the window as the daemon stored them: number, outcome, its event."""
    last = window.before
    while True:
        found = reader.fetch(
            "SELECT seq, outcome, outcome_seq FROM deploy WHERE seq > ? AND seq <= ?"
            f" ORDER BY seq LIMIT {_AT_ONCE}",
            last,
            window.last,
        )
        yield from found
        if len(found) < _AT_ONCE:
            return
        last = found[-1][0]


# A handler for each kind of event that changes facts. It returns whether the event is a failure of
# its vassal. The orders of the event are obeyed after it.


def _ignore(here: _Follower, track: Track | None, row: Row) -> bool:
    return False


def _add(here: _Follower, track: Track | None, row: Row) -> bool:
    name, monitor = row[4], row[3]
    assert name is not None
    if track is not None and track.phase != ABSENT:
        return _change(here, track, row)
    if track is None:
        track = here.tracks[name] = Track(here.spell(name))
    track.forget()
    track.renew(monitor or "", row[6])
    track.phase = WAITING
    return False


def _change(here: _Follower, track: Track | None, row: Row) -> bool:
    if track is None or track.phase == ABSENT:
        return False
    if row[3] != track.monitor and not _takes_over(here, track, row):
        return False
    track.renew(row[3] or "", row[6])
    if track.phase == STOPPING:
        track.wanted = True
    elif track.phase == LISTENING:
        spec = track.spec
        moves = (spec.socket, spec.uid, spec.gid) != (track.address, *track.user)
        if moves or bar_reason(spec, here.policy, track.monitor) is not None:
            track.phase = WAITING
    return False


def _takes_over(here: _Follower, track: Track, row: Row) -> bool:
    event: Event = here.reader.decode(row)
    owner = Vassal("", track.monitor, Spec(ts=0), "queued", 0, 0, wanted=track.wanted)
    return claims.takes_effect(here.sources, owner, event)


def _remove(here: _Follower, track: Track | None, row: Row) -> bool:
    if track is not None and row[3] == track.monitor:
        if track.attempt is None:
            track.phase = ABSENT
        else:
            track.wanted = False
    return False


def _spawned(here: _Follower, track: Track | None, row: Row) -> bool:
    if track is None:
        return False
    if '"runs"' not in row[6] and not track.plain and row[6].startswith(track.said[:-1] + ","):
        return False  # the most frequent case: it has yet to say that it is up
    body = here.body(row)
    if track.attempt != body.attempt:
        return False
    if track.phase in (STARTING, STOPPING):
        if body.runs is not None:
            track.control, track.plain = body.control, "command" in body.runs.settings
        if track.phase == STARTING and (track.plain or not track.control):
            track.phase = UP
    return False


def _spawn_failed(here: _Follower, track: Track | None, row: Row) -> bool:
    if track is None or track.attempt != here.body(row).attempt:
        return False
    if track.phase == STOPPING:
        track.end()
    elif track.phase == STARTING:
        track.attempt, track.phase = None, WAITING
        return True
    return False


def _is_up(here: _Follower, track: Track | None, row: Row) -> bool:
    if track is None or track.phase != STARTING:
        return False
    if row[6] == track.said or here.body(row).attempt == track.attempt:
        track.phase = UP
    return False


def _adopted(here: _Follower, track: Track | None, row: Row) -> bool:
    body = here.body(row)
    if track is not None and track.attempt == body.attempt:
        track.control = body.control
        if track.phase == STARTING and (track.plain or not track.control):
            track.phase = UP
    return False


def _exited(here: _Follower, track: Track | None, row: Row) -> bool:
    body: Exited = here.body(row)
    if track is None or track.attempt != body.attempt:
        return False
    if track.phase == STOPPING:
        track.end()
        return False
    if body.away:
        track.spell.lose(here.gap, row[1])
    track.attempt, track.phase = None, WAITING
    spec = track.settings()
    if finished(spec, body):
        track.phase, track.done = FINISHED, True
    if is_failure(spec, body):
        track.spell.deaths += 1
        return True
    return False


def _heartbeat_lost(here: _Follower, track: Track | None, row: Row) -> bool:
    if track is None or track.phase not in (STARTING, UP):
        return False
    if track.attempt != here.body(row).attempt:
        return False
    track.spell.deaths += 1
    return True


def _connection(here: _Follower, track: Track | None, row: Row) -> bool:
    if track is not None and track.phase == LISTENING:
        track.phase = WAITING
    return False


def _listen_failed(here: _Follower, track: Track | None, row: Row) -> bool:
    if track is None or track.phase != LISTENING or track.address != here.body(row).address:
        return False
    track.phase = WAITING
    return True


def _vassal_failed(here: _Follower, track: Track | None, row: Row) -> bool:
    raise NotFollowed(row[0])


def _requested(here: _Follower, track: Track | None, row: Row) -> bool:
    request = here.body(row).request
    named = row[4] is not None
    for each in ([track] if track is not None else []) if named else here.tracks.values():
        if request == "stop" and each.phase != ABSENT:
            each.held = True
            if each.attempt is None:
                each.phase = HELD
        elif request in ("start", "retry"):
            _release(each, request, named)
    return False


def _release(track: Track, request: str, named: bool) -> None:
    if track.done and not named:
        return
    if request == "start" and track.phase in (HELD, WAITING, FINISHED, STOPPING):
        track.held = track.broken = False
        if track.phase == HELD:
            track.phase, track.done = WAITING, False
    elif request == "retry" and track.phase in (WAITING, FINISHED):
        track.broken = False


def _started(here: _Follower, track: Track | None, row: Row) -> bool:
    body = here.body(row)
    here.policy = body.policy
    here.sources = Fleet(monitors=body.monitors, rules=body.rules)
    here.note_start(row[1])
    return _unlisten(here, track, row)


def _unlisten(here: _Follower, track: Track | None, row: Row) -> bool:
    for each in here.tracks.values():
        if each.phase == LISTENING:
            each.phase = WAITING
    return False


def _stopping(here: _Follower, track: Track | None, row: Row) -> bool:
    here.stopped = True
    return False


def _stopped(here: _Follower, track: Track | None, row: Row) -> bool:
    here.stopped = True
    return _unlisten(here, track, row)


def _forked(here: _Follower, track: Track | None, row: Row) -> bool:
    """The processes are another journal's."""
    here.stopped = False
    for each in here.tracks.values():
        if each.attempt is not None:
            each.end()
    return False


_HANDLERS: Final[dict[str, Callable[[_Follower, Track | None, Row], bool]]] = {
    "vassal_added": _add,
    "vassal_changed": _change,
    "vassal_removed": _remove,
    "vassal_destroyed": _remove,
    "spawned": _spawned,
    "spawn_failed": _spawn_failed,
    "vassal_ready": _is_up,
    "vassal_accepting": _is_up,
    "adopted": _adopted,
    "exited": _exited,
    "heartbeat_lost": _heartbeat_lost,
    "connection_waiting": _connection,
    "listen_failed": _listen_failed,
    "vassal_failed": _vassal_failed,
    "operator_requested": _requested,
    "daemon_started": _started,
    "daemon_stopping": _stopping,
    "daemon_stopped": _stopped,
    "journal_forked": _forked,
}
# These may change the state of each vassal.
_OF_ALL: Final = frozenset(
    (
        "operator_requested", "daemon_started", "daemon_ready", "daemon_stopping",
        "daemon_stopped", "journal_forked",
    )
)  # fmt: skip
_BEGIN_NONE: Final = frozenset(("daemon_started", "daemon_stopping", "daemon_stopped"))
# These change no facts, but orders may stand with them.
_IGNORED: Final = frozenset(
    (
        "config_restored", "observation_rejected", "listing_doubted", "monitor_failed",
        "monitor_recovered", "vassal_loyal", "vassal_resigned", "vassal_deaf", "reload_failed",
        "heartbeat_started", "deadline_passed", "daemon_ready", "journal_adopted", "clock_jumped",
        "pressure_observed", "checkpoint", "request_refused", "keeper_lost", "keeper_back",
    )
)  # fmt: skip
KINDS: Final = frozenset(_HANDLERS) | _IGNORED
