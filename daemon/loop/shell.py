"""The shell: one turn of the loop after the other.

1. Take what has come in: observations, news of vassals, signals, deadlines. Each input says
   what it means in the light of the fleet as it is at that moment. A long one is taken in shares
   (see ``intake``).
2. Number it and fold it; write events and their actions in one transaction (one fsync for all
   that waited), off the event loop.
3. Only when that is durable: tell whoever waits for it (a source may now be acknowledged), and
   have the host carry the actions out.
4. What they lead to comes in as the next input.

Nothing is decided here. If the journal cannot be written, the turn stays at step 2: the same
rows are tried again until they are durable, vassals keep running, sources wait. Operators do not:
what they asked for is taken back and refused. All that is told of the fleet meanwhile is what is
recorded: events are folded twice, into the fleet that runs ahead of the journal, and, when they
are durable, into the one that others see.
"""

import logging
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Final

import trio

from ...journal import chain
from ...journal.errors import JournalError, JournalPaused, NewerFormat
from ...journal.events import (
    Announced,
    DaemonStarted,
    Empty,
    Event,
    Failed,
    HeartbeatLost,
    OfAttempt,
    Spec,
)
from ...journal.store import SNAPSHOT_EVERY, Snapshot
from ...monitors import contract
from ..control import server as control
from ..control import takeover
from ..control.attention import Recent
from ..control.explain import Explain
from ..control.requests import Asks
from ..control.waiting import Waiting
from ..core import budget, slots
from ..core.actions import Action, recorded
from ..core.deploys import Deploys
from ..core.draft import Draft
from ..core.fleet import UP, Fleet, copied, to_json
from ..core.fold import fold
from ..host import emperor_protocol, failures, threads
from ..host.news import HostEvent, News, VassalByte
from ..keeper import stdio
from ..keeper.link import KeeperLink
from ..keeper.refusals import refusal
from . import jumps, ports, pressure, stalls
from .clock import Clock
from .deadlines import Deadlines, may_move
from .event_log import Line, say
from .intake import MOST, AfterOthers, Intake, OfSource
from .observer import Observer, Source
from .signals import Signals
from .start_warnings import warnings
from .systemd import Notifier
from .turn import Asked, Folded, Input, Requests, Turn

log = logging.getLogger("emperor")

_MOST_AT_ONCE: Final = 5000  # inputs that are received for one turn
_LOOK: Final = 1.0  # seconds between two looks at the journal's files
_ROOM: Final = 1.0  # seconds until changes that wait for room are tried again
_RETRY: Final = 1.0  # seconds until a paused journal is tried again
_Request = tuple[Asked, trio.Event]  # and the event of its sender
# What follows from the phase that a vassal is in, not from the last order.
_OF_PHASE: Final = ("deadline_passed", "connection_waiting", "listen_failed")
_FIRST_WORD: Final = 1.0  # seconds that a start waits for sources that have said nothing yet
_FAREWELL: Final = 0.1  # seconds for the answer to who asked that the daemon be replaced
_LONGEST_BACKOFF: Final = 60.0  # seconds between restarts of a monitor that fails


class Shell:
    """A daemon's loop on a world that is given, real or simulated (see ``ports.py``)."""

    def __init__(
        self,
        journal: ports.Journal,
        fleet: Fleet,
        clock: Clock,
        host: ports.Host,
        started: DaemonStarted,
        notifier: Notifier,
        keeper: ports.Keeper | None = None,
        listener: socket.socket | None = None,
        signals: ports.Signals = trio.open_signal_receiver,
        explain: Explain = lambda _: {},
        observer: Observer | None = None,
        gauge: pressure.Gauge = lambda: None,
        deploys: Deploys | None = None,
    ) -> None:
        self.fleet = fleet  # as it is recorded
        self._ahead = copied(fleet)  # with what is being recorded
        self._deploys = Deploys() if deploys is None else deploys  # as far as ``_ahead``
        self.paused: str | None = None
        self.unrecorded = 0  # events that wait while paused
        self.journal_troubles: Mapping[str, str] = {}  # about its files, by kind
        self.recent = Recent()
        self.waiting = Waiting(self)
        self._journal = journal
        self._clock = clock
        self._host = host
        self._started = started
        self._notifier = notifier
        self._keeper: ports.Keeper = KeeperLink(None) if keeper is None else keeper
        self._listener = listener  # of the control socket
        self._explain = explain
        self._had_keeper = self._keeper.alive
        self.renewing = False  # to be replaced: leaves with its vassals running
        self.succeeded = False  # by the daemon of another keeper
        self._observer = Observer() if observer is None else observer
        self._observer.clock = clock.now
        self._pressure = pressure.Watch(gauge, self.tell)
        self._jumps = jumps.Watch(clock, self.tell)
        self._inbox, self._came = trio.open_memory_channel[tuple[Input, trio.Event]](256)
        self._intake = Intake(self._drafts)
        self._deadlines = Deadlines(clock, self.tell)
        self._deadlines.plan_all(fleet)
        self._requests = Requests(self.tell)
        self._turn_now: Turn | None = None  # that is being recorded
        self._stalls = stalls.Stalls()
        self._lost = False  # a file of the journal is; the next turn pauses, or saves it
        self._silent: set[str] = set()  # sources that have not said their first word
        self._heard = trio.Event()
        self._can_answer = trio.Event()
        self._began = 0  # the journal's time of this start
        self._signals = Signals(self, signals, notifier)

    # The whole life

    async def run(self, monitors: Sequence[contract.Monitor]) -> None:
        """Recover, run, and return when all vassals were stopped as asked."""
        started = self._started
        await threads.run_sync(self._keeper.receive_all)
        found = await self._host.recover(self.fleet, started.boot, self._journal.time_of)
        async with trio.open_nursery() as nursery:
            # The host is there first: orders that may not have arrived are given again.
            await nursery.start(self._host.run, self._tell_news)
            await nursery.start(self._signals.run, nursery)
            nursery.start_soon(self._answer, nursery)
            # On a full disk the first words wait, and who asks twice must not wait with them.
            self._keeper.hear()
            nursery.start_soon(self._watch_appends)
            # The record says who was there before any news is taken from the inbox.
            await self._turn([lambda _: [Draft("daemon_started", started), *found]])
            self._began = self.fleet.at
            self._keeper.acknowledge_all()
            nursery.start_soon(self._attend_keeper)
            self._can_answer.set()
            nursery.start_soon(self._deadlines.watch)
            nursery.start_soon(self._watch_heartbeats)
            nursery.start_soon(self._watch_journal)
            nursery.start_soon(self._try_deferred)
            nursery.start_soon(self._jumps.run, lambda: self._ahead)
            if started.policy.max_starting_ceiling > started.policy.max_starting:
                nursery.start_soon(self._pressure.run, lambda: self._ahead)
            nursery.start_soon(self._notifier.keep_alive)
            for monitor in monitors:
                self._silent.add(monitor.url)
                nursery.start_soon(self._run_monitor, monitor)
            nursery.start_soon(self._open)
            await self._turns()
            nursery.cancel_scope.cancel()

    async def _answer(self, nursery: trio.Nursery) -> None:
        """Serve the control socket, once it is recorded who is there, or known why it is not."""
        await self._can_answer.wait()
        if self._listener is not None:
            asks = Asks(
                self,
                lambda: nursery.start_soon(self.renew),
                partial(self._give_way, nursery),
                self._explain,
            )
            await control.serve(self._listener, asks)

    async def _open(self) -> None:
        """Let the fleet begin when every source was heard, or has had its time to speak."""
        with trio.move_on_after(_FIRST_WORD):
            while self._silent:
                await self._heard.wait()
        # Vassals that left with their source leave first. Otherwise daemon_ready would give them
        # slots, spawn them, and their removal would stop them at once. The same holds for a
        # listing that came in time and is still being taken.
        await self.tell(
            AfterOthers(self._observer.orphans),
            AfterOthers(lambda _: [Draft("daemon_ready", Empty())]),
        )
        self._notifier.tell("READY=1", f"STATUS={self.status()}")
        log.info("ready: %s", self.status())
        for line in warnings(self.fleet, self._began, self._silent, self._observer.rejects):
            log.warning("%s", line)
        await self._notifier.keep_status(self.status)

    async def _turns(self) -> None:
        while not self._done() and not self._may_leave():
            left = len(self._intake)
            asked = [] if left else self._sorted(await self._came.receive())
            asked += self._received()
            asked += await self._take_shares(crowded=bool(asked) or len(self._intake) > left > 0)
            # Requests make a turn of their own, which can be given up as a whole.
            await self._turn([given for given, _ in asked], requests=True)
            for _, done in asked:
                done.set()
        if self.renewing:
            log.info("leaving the vassals to the daemon that replaces this one")
            return
        await self._turn([lambda _: [Draft("daemon_stopped", Empty())]])
        await self._host.unlisten_all()
        log.info("stopped")

    def _may_leave(self) -> bool:
        """Whether it is to be replaced, and somebody holds the vassals meanwhile."""
        if self.renewing and not self.succeeded and not self._keeper.alive:
            log.error("not leaving to be replaced: the keeper died, and would hold no vassal")
            self.renewing = False
        return self.renewing

    def _done(self) -> bool:
        return self.fleet.leaving and not any(v.phase in UP for v in self.fleet.vassals.values())

    # One turn

    def _received(self) -> list[_Request]:
        """Take in what has come. The requests among it."""
        asked: list[_Request] = []
        for _ in range(_MOST_AT_ONCE):
            try:
                asked += self._sorted(self._came.receive_nowait())
            except trio.WouldBlock:
                break
        return asked

    def _sorted(self, came: tuple[Input, trio.Event]) -> list[_Request]:
        given, done = came
        if isinstance(given, Asked):
            return [(given, done)]
        self._intake.put(given, done)
        return []

    async def _take_shares(self, *, crowded: bool) -> list[_Request]:
        """A turn of what waits, and the requests that have come meanwhile.

        ``crowded``: others wait for its end. Senders hear of it when all of their input is durable.
        """
        turn = Turn(self._deploys, (), requests=False)
        asked: list[_Request] = []
        finished: list[trio.Event] = []
        while True:
            finished += self._intake.take(lambda draft: self._take(draft, turn))
            if crowded or not self._intake or len(turn.folded) >= MOST:
                break
            await trio.lowlevel.checkpoint()
            waiting = len(self._intake)
            asked = self._received()
            crowded = bool(asked) or len(self._intake) > waiting
        await self._record(turn)
        for done in finished:
            done.set()
        return asked

    async def _turn(self, inputs: Sequence[Input], *, requests: bool = False) -> None:
        """A turn of all that these inputs mean."""
        turn = Turn(self._deploys, inputs if requests else (), requests=requests)
        for given in inputs:
            for draft in self._drafts(given):
                if draft is not None:
                    self._take(draft, turn)
        await self._record(turn)

    async def _record(self, turn: Turn) -> None:
        """Make a turn durable, then act."""
        if not turn.folded and not self._lost:
            return
        self._lost = False
        if slots.waits(self._ahead):
            self._pressure.slot_wanted()
        await self._commit(turn)
        for given in turn.asked:
            if isinstance(given, Asked):
                given.durable = True
        for each in turn.folded:
            fold(self.fleet, each.event)
            self.recent.note(each.event)
            self.waiting.look(each.event.vassal, each.actions)
            for level, text in each.lines:
                log.log(level, "%s", text)
        for action, at in turn.ordered:
            if turn.waited:  # the patience or the mercy counts from the order that is carried out
                self._deadlines.postpone(self._ahead, action.vassal, self._clock.now() - at)
            self._act(action, at)

    def _drafts(self, given: Input) -> Iterator[Draft | None]:
        """What an input means. One that raises means nothing more; its sender guards the rest."""
        try:
            yield from given(self._ahead)
        except Exception as error:
            log.error("an input was given up: %s", failures.told(error))

    def _take(self, draft: Draft, turn: Turn) -> None:
        """Fold a draft. Where the fold raises, the record says so and bars the vassal at fault.

        The draft is folded again when another vassal was at fault than the one that a source
        announced: what happened is recorded whatever the daemon makes of it.
        """
        blamed: set[str] = set()
        while True:
            try:
                turn.folded.append(self._fold(draft))
                return
            except NewerFormat:
                raise
            except Exception as error:
                self._restore(turn)
                log.error("error in the fold of %s: %s", draft.kind, failures.told(error))
                verdict = self._skip(draft, turn, error)
            if verdict is None or verdict.vassal is None:
                if draft.kind == "daemon_started":
                    raise JournalError("the daemon cannot take its journal over: see its log")
                return
            if draft.kind == "vassal_failed":
                more = failures.also(draft, verdict.vassal)
                if more is None:
                    return
                draft = more
                continue
            if verdict.vassal not in blamed:
                self._take(verdict, turn)
            announced = isinstance(draft.body, Announced) and verdict.vassal == draft.vassal
            if announced or verdict.vassal in blamed:
                return
            blamed.add(verdict.vassal)

    def _skip(self, draft: Draft, turn: Turn, error: Exception) -> Draft | None:
        """Record a draft on which the fold raised, if it can be. What is to follow."""
        seq = None
        if failures.can_be_recorded((draft.kind, draft.monitor, draft.vassal, draft.body)):
            turn.folded.append(self._fold(draft, failed=True))
            seq = self._ahead.seq
        return failures.of_fold(self._ahead, draft, seq, error)

    def _restore(self, turn: Turn) -> None:
        """Have the fleet as it was before the draft that raised: as recorded, and this turn's."""
        fleet = copied(self.fleet)
        for each in turn.folded:
            fold(fleet, each.event)
        self._go_back(fleet)

    def _go_back(self, fleet: Fleet) -> None:
        """Have that fleet, in place: inputs that are being read have the one that runs ahead."""
        for field in fleet.__struct_fields__:
            setattr(self._ahead, field, getattr(fleet, field))

    def _fold(self, draft: Draft, *, failed: bool = False) -> Folded:
        """Number a draft and fold it."""
        draft = budget.trimmed(self._ahead, draft, self._clock.now())
        cause = draft.cause
        if cause is None and draft.vassal is not None:
            cause = self._cause(draft)
        body = chain.text(draft.body)
        event = Event(
            self._ahead.seq + 1,
            self._clock.stamp(),
            draft.kind,
            draft.monitor,
            draft.vassal,
            cause,
            draft.body,
            failed,
        )
        moved = may_move(self._ahead, draft.kind, draft.vassal)
        actions = self._deploys.take(self._ahead, event, fold=fold)
        self._plan(moved.union(getattr(draft.body, "also", ())), actions)
        row = (
            event.seq, event.at, event.kind, event.monitor, event.vassal, cause, body,
            recorded(actions, failed=failed),
        )  # fmt: skip
        return Folded(event, row, actions, [] if failed else _lines(event, self._ahead, actions))

    def _cause(self, draft: Draft) -> int | None:
        """What a vassal says follows from the last order; a deadline, from what set it."""
        vassal = self._ahead.vassals.get(draft.vassal or "")
        if vassal is None or draft.monitor is not None or draft.kind == "operator_requested":
            return None
        return vassal.because if draft.kind in _OF_PHASE else vassal.order

    async def _commit(self, turn: Turn) -> None:
        """Return when the turn is durable, or given up and something else can be recorded."""
        contents = self._observer.take_contents()
        self._turn_now = turn
        while True:
            try:
                await self._stalls.run(
                    self._journal.append,
                    turn.rows,
                    contents,
                    self._snapshot(),
                    self._deploys.rows,
                    known=self.paused is not None,  # who gives up does not wait
                )
            except JournalPaused as pause:
                turn.waited = True
                if turn.requests:
                    self._give_up(turn)
                self._note_pause(str(pause), len(turn.folded))
                await trio.sleep(_RETRY)
            else:
                break
        self._turn_now = None
        self._deploys.touched.clear()
        if self.paused is not None:
            log.warning("the journal can be written again")
            self.paused, self.unrecorded = None, 0
            self._notifier.tell(f"STATUS={self.status()}")

    def _snapshot(self) -> Snapshot | None:
        """The fleet, if this turn passes an event of which the journal has a snapshot."""
        if self.fleet.seq // SNAPSHOT_EVERY == self._ahead.seq // SNAPSHOT_EVERY:
            return None
        return Snapshot(self._ahead.seq, to_json(self._ahead))

    def _give_up(self, turn: Turn) -> None:
        """Take the turn back. With nothing to append, the journal says if it can be written."""
        turn.folded.clear()
        self._go_back(copied(self.fleet))
        self._deploys = turn.deploys
        self._deadlines.plan_all(self._ahead)

    def _note_stall(self, reason: str) -> None:
        """Tell of an append that hangs. Requests in it may be durable yet, so they wait."""
        if self._turn_now is not None and self.paused is None:
            self._turn_now.waited = True
            self._note_pause(reason, len(self._turn_now.folded), self._turn_now.asked)

    def _note_pause(self, reason: str, unrecorded: int, but: Sequence[Input] = ()) -> None:
        if self.paused is None:
            log.error("paused: %s; vassals keep running, nothing new is done", reason)
            if self._signals.leaving:
                log.warning("waiting to record the stop; asked again, leaves at once")
            self.recent.paused = self.now()
        self.paused, self.unrecorded = reason, unrecorded
        self._requests.refuse(reason, but=but)
        self.waiting.look(None)
        self._can_answer.set()
        self._notifier.tell(f"STATUS={self.status()}")

    def _act(self, action: Action, at: int) -> None:
        self._host.carry_out(action, self.fleet.vassals.get(action.vassal), at)

    async def _watch_journal(self) -> None:
        """Have an idle daemon notice that its journal was deleted or cut."""
        while True:
            await trio.sleep(_LOOK)
            look = partial(_look, self._journal)
            troubles, whole = await threads.run_sync(look, abandon_on_cancel=True)
            for what, trouble in troubles.items():
                if trouble != self.journal_troubles.get(what):
                    log.warning("%s", trouble)
            self.journal_troubles = troubles
            if not whole:
                self._lost = True
                await self.tell(lambda _: ())

    async def _watch_appends(self) -> None:
        while True:
            await trio.sleep(_LOOK)
            if (reason := self._stalls.look()) is not None:
                self._note_stall(f"{self._journal.path}: {reason}")

    # What comes in

    async def tell(self, *inputs: Input) -> None:
        """Hand over inputs; return when what they mean is durable."""
        done = trio.Event()
        for given in inputs:
            done = trio.Event()
            await self._inbox.send((given, done))
        await done.wait()

    async def _tell_news(self, news: list[News]) -> None:
        def meaning(fleet: Fleet) -> Iterable[Draft | None]:
            for item in news:
                yield None
                if isinstance(item, HostEvent):
                    yield item.draft
                    continue
                try:
                    stale = self._host.is_stale(item) or self._is_outrun(fleet, item)
                    drafts = [] if stale else _meaning_of_byte(fleet, item)
                except Exception as error:
                    told = failures.told(error)
                    log.error("%s: error in what it said: %s", item.vassal, told)
                    body = failures.failed("hear", error)
                    drafts = [Draft("vassal_failed", body, None, item.vassal)]
                yield from drafts

        await self.tell(meaning)

    def _is_outrun(self, fleet: Fleet, said: VassalByte) -> bool:
        """Whether this turn orders a reload, so that the old program said that it accepts.

        The host cannot know that yet, because it gets the order when the turn is durable.
        """
        vassal = fleet.vassals.get(said.vassal)
        if vassal is None or said.byte != emperor_protocol.ACCEPTING or vassal.phase != "reloading":
            return False
        return vassal.order is not None and vassal.order > self.fleet.seq

    def _translated(
        self, fleet: Fleet, source: Source, seen: contract.Observation
    ) -> Iterator[Draft | None]:
        """The events of an observation. An error that is about no vassal is the source's outage."""
        try:
            yield from self._observer.translate(fleet, source, seen)
        except Exception as error:
            log.error("%s: error in what it said: %s", source.url, failures.told(error))
            if source.url not in fleet.outages:
                reason = f"error of the daemon: {failures.reason_of(error)}"
                yield Draft("monitor_failed", Failed(reason=reason), source.url)

    async def _try_deferred(self) -> None:
        """Take changes that wait for room in the budget of their account."""

        def meaning(fleet: Fleet) -> Iterable[Draft | None]:
            for source, touched in self._observer.deferred.all():
                yield None
                # What the source has told meanwhile is newer.
                waits = self._observer.deferred.has(source.url, touched)
                if waits and not self._intake.has_of(source.url):
                    yield from self._translated(fleet, source, touched)

        while True:
            await trio.sleep(_ROOM)
            if self._observer.deferred:
                await self.tell(meaning)

    async def _run_monitor(self, monitor: contract.Monitor) -> None:
        source = Source(monitor.url, monitor.trusts_content)

        async def tell(*observations: contract.Observation) -> None:
            def meaning(fleet: Fleet) -> Iterable[Draft | None]:
                for observation in observations:
                    yield None
                    yield from self._translated(fleet, source, observation)

            await self.tell(OfSource(source.url, meaning))
            self._silent.discard(source.url)
            self._heard.set()
            self._heard = trio.Event()

        backoff = 1.0
        while True:
            try:
                await monitor.run(tell, self._known(source.url))
                reason = "the monitor ended"
            except Exception as error:
                # A limit of the machine is no bug whose place somebody must find.
                known = threads.refused(error) or refusal(error) is not None
                log.error("%s failed: %s", source.url, error, exc_info=not known)
                reason = f"{type(error).__name__}: {error}"
            await tell(contract.Failed(reason))
            await trio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    # What those see who ask at the control socket

    @property
    def leaving(self) -> bool:
        """Whether a signal told the daemon to stop, which may not be recorded yet."""
        return self._signals.leaving

    @property
    def keeper_lives(self) -> bool:
        return self._keeper.alive

    @property
    def doubted(self) -> Mapping[str, set[str]]:
        """By source, what its last listing lacks, where the next one must agree."""
        return self._observer.doubted

    @property
    def deferred(self) -> Mapping[str, int]:
        """How many changes wait for room in the budget of their account, by account."""
        return self._observer.deferred.counts()

    @property
    def uncounted(self) -> Mapping[str, int]:
        """By source, how many rejections are not recorded."""
        return self._observer.uncounted

    @property
    def altered(self) -> Set[str]:
        """Vassals whose config text in the journal is not what was recorded."""
        return self._observer.altered

    def now(self) -> int:
        """The time by which events are stamped."""
        return self._clock.now()

    @property
    def journal_path(self) -> str:
        return self._journal.path

    def clock_trouble(self) -> tuple[int, str] | None:
        """Since when times are not by the wall clock, and why."""
        return self._jumps.trouble()

    def renamed_logs(self) -> dict[str, str]:
        """Vassals whose log was renamed while they run, and what they write to."""
        return self._host.renamed_logs()

    def log_troubles(self) -> dict[str, str]:
        """What is wrong with where logs go: what wants attention, and the reason."""
        own = stdio.astray()
        return self._host.log_troubles() | ({} if own is None else {"own log": own})

    def floods(self) -> dict[str, str]:
        """Vassals that send more than the daemon reads, and what is to be told of it."""
        return self._host.floods()

    def leftovers(self) -> list[tuple[str, int]]:
        """Processes that the journal does not know and no source names: vassal and pid."""
        return self._host.leftovers()

    def strays(self) -> list[str]:
        """Processes that may be left of vassals and cannot be attributed, each in words."""
        return self._host.strays()

    def cgroup_trouble(self) -> str | None:
        """Why vassals run without cgroups that should have them."""
        return self._host.cgroup_trouble()

    def cgroup_of(self, vassal: str) -> str | None:
        """The directory of a vassal's cgroup, None where it has none."""
        return self._host.cgroup_of(vassal)

    def last_lines(self, vassal: str) -> str:
        """The end of a vassal's log; may block."""
        return self._host.last_lines(vassal)

    def heartbeat_age(self, vassal: str) -> float | None:
        """Seconds since a vassal's last heartbeat, None where it has sent none."""
        known = self.fleet.vassals.get(vassal)
        return self._host.silent_for(vassal) if known is not None and known.heartbeat else None

    async def record(self, draft: Draft) -> None:
        """Take a request in; returns when it is durable. Raises Refused if it cannot be."""
        await self._requests.record(draft)

    async def _attend_keeper(self) -> None:
        await self._keeper.run()
        self.recent.keeper_died = self.now() if self._had_keeper else None
        self._notifier.tell(f"STATUS={self.status()}")

    def _give_way(self, nursery: trio.Nursery) -> socket.socket:
        """Hand everything over to a newcomer, over the socket of which this is its end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nursery.start_soon(self._hand_over, ours)
        return theirs

    async def _hand_over(self, channel: socket.socket) -> None:
        with channel:
            async with self._host.no_spawns():
                entrusted = dict(self._keeper.entrusted)
                if await threads.run_sync(takeover.hand_over, channel, entrusted):
                    self.succeeded = True
                    await self._leave()

    async def renew(self) -> None:
        await trio.sleep(_FAREWELL)
        await self._leave()

    async def _leave(self) -> None:
        def leave(_: Fleet) -> Iterable[Draft]:
            self.renewing = True
            return ()

        await self.tell(leave)

    def _known(self, url: str) -> dict[str, Spec]:
        return {
            vassal.name: self._observer.known(vassal)
            for vassal in self.fleet.vassals.values()
            if vassal.monitor == url and vassal.wanted
        }

    # Time

    def _plan(self, moved: set[str], actions: list[Action]) -> None:
        """Remember the deadlines of the vassals that an event may have moved."""
        self._deadlines.plan(self._ahead, moved | {action.vassal for action in actions})

    async def _watch_heartbeats(self) -> None:
        while True:
            await trio.sleep(1)
            required = self.fleet.policy.required_heartbeat
            silent = [
                (vassal.name, vassal.attempt)
                for vassal in self.fleet.vassals.values()
                # Nobody hears one that was adopted without its pipe.
                if vassal.heartbeat
                and vassal.control
                and vassal.phase != "stopping"
                and self._host.silent_for(vassal.name) > required
            ]
            if silent:
                await self.tell(_silence(silent, required))

    # How it is

    def status(self) -> str:
        """One line for people and systemd."""
        if self.paused is not None:
            return f"paused: {self.paused}"
        counts = Counter(vassal.phase for vassal in self.fleet.vassals.values())
        phases = ", ".join(f"{count} {phase}" for phase, count in sorted(counts.items()))
        lost = "; the keeper died" if self._had_keeper and not self._keeper.alive else ""
        return f"{len(self.fleet.vassals)} vassals" + (f": {phases}" if phases else "") + lost

    def log_fleet(self) -> None:
        """The fleet, a line a vassal."""
        log.info("%s", self.status())
        for name, vassal in sorted(self.fleet.vassals.items()):
            pid = "" if vassal.pid is None else f", pid {vassal.pid}"
            reason = f" ({vassal.reason})" if vassal.reason else ""
            log.info("%s: %s%s%s", name, vassal.phase, pid, reason)
        for url, outage in self.fleet.outages.items():
            log.info("%s: away (%s)", url, outage.reason)


def _lines(event: Event, fleet: Fleet, actions: list[Action]) -> list[Line]:
    """What the log says of an event. An error in that is about no vassal's life."""
    try:
        return say(event, fleet, actions)
    except Exception as error:
        log.error("event %d has no line: %s", event.seq, failures.told(error))
        return []


def _meaning_of_byte(fleet: Fleet, said: VassalByte) -> list[Draft]:
    vassal = fleet.vassals.get(said.vassal)
    if vassal is None or vassal.attempt != said.attempt:
        return []
    kind = emperor_protocol.news(vassal, said.byte)
    body = OfAttempt(attempt=said.attempt)
    return [] if kind is None else [Draft(kind, body, None, said.vassal)]


def _silence(silent: list[tuple[str, int | None]], required: float) -> Input:
    def meaning(fleet: Fleet) -> Iterable[Draft]:
        for name, attempt in silent:
            assert attempt is not None
            body = HeartbeatLost(attempt=attempt, silent=required)
            yield Draft("heartbeat_lost", body, None, name)

    return meaning


def _look(journal: ports.Journal) -> tuple[Mapping[str, str], bool]:
    """What is wrong beside the journal, and whether all of it is there. Blocks."""
    return journal.troubles(), journal.is_whole()
