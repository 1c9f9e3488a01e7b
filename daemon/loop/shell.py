"""The shell: one turn of the loop after the other.

1. Take the inputs that came: observations, news of vassals, signals, deadlines. Each input says
   which events it means by the fleet as it is at that moment. A long one is taken in shares
   (see ``input_queue``).
2. Number the events and fold them (``pending``). Write them and their actions in one transaction,
   off the event loop (``recorder``). One fsync serves all that waited.
3. Only when that is durable, tell the senders (a source may now be acknowledged), and have the
   host carry the actions out.
4. The consequences come in as the next inputs.

Nothing is decided here. If the journal cannot be written, the turn stays at step 2. Events are
folded twice: into the fleet that runs ahead of the journal, and, when they are durable, into the
one that others see.
"""

import logging
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from ...journal.events import DaemonStarted, Empty, OfKeeper
from ...monitors import contract
from ..control import server as control
from ..control.explain import Explain
from ..control.requests import RequestHandler
from ..core import attempts, slots
from ..core.actions import Action
from ..core.deploys import Deploys
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.fold import fold
from ..host import threads
from ..keeper.link import KeeperLink
from . import daemon_log, jumps, ports, pressure
from .clock import Clock
from .deadlines import Deadlines
from .handover import Handover
from .heartbeats import Heartbeats
from .inbox import Inbox, Request
from .input_queue import MOST, BarrierInput, InputQueue
from .monitor_runner import MonitorRunner
from .no_witness import NO_WITNESS
from .observer import Observer, orphans
from .pending import Pending
from .recorder import Recorder
from .signals import Signals
from .start_warnings import warnings
from .systemd import Notifier
from .turn import Asked, Input, Requests, Turn
from .vassal_news import VassalNews
from .view import View
from .watching import Watching

log = logging.getLogger("emperor")

_FIRST_WORD: Final = 1.0  # seconds that a start waits for each source's first observation


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
        witness: ports.Witness = NO_WITNESS,
        control_group: int | None = None,
    ) -> None:
        self.fleet = fleet  # as it is recorded
        self._journal = journal
        self._clock = clock
        self._host = host
        self._started = started
        self._notifier = notifier
        self._keeper: ports.Keeper = KeeperLink(None) if keeper is None else keeper
        self._listener = listener  # of the control socket
        self._operators = (explain, control_group)
        self._began = 0  # the journal's time of this start
        self._observer = Observer() if observer is None else observer
        self._observer.clock = clock.now
        self._deadlines = Deadlines(clock, self.tell)
        self._deadlines.plan_all(fleet)
        self._pending = Pending(fleet, deploys or Deploys(), self._deadlines, clock)
        self._recorder = Recorder(journal, fleet, self._pending, self._observer.take_contents, self)
        self._input_queue = InputQueue(self._pending.read, trio.current_time, self._observer.size)
        self._inbox = Inbox(self._input_queue)
        self._requests = Requests(self.tell)
        self._pressure = pressure.PressureWatch(gauge, self.tell)
        self._jumps = jumps.JumpWatch(clock, self.tell)
        self._heartbeats = Heartbeats(fleet, host, self.tell)
        self._news = VassalNews(fleet, host, self.tell)
        self.view = View(
            fleet, self._recorder, self._requests, self._observer, clock, self._jumps, host,
            self._keeper, witness,
        )  # fmt: skip
        self._first_look = self.view.first_look
        monitors = MonitorRunner(
            fleet, self._observer, self._input_queue, self.tell, self._first_look
        )
        self._watching = Watching(monitors, self._recorder, host, self.tell)
        self._rest = monitors.take_deferred
        self.handover = Handover(host, self._keeper, self.tell, monitors)
        self.signals = Signals(self.view, signals, notifier, self.tell, self.handover.renew)

    # The whole life

    async def run(self, monitors: Sequence[contract.Monitor]) -> None:
        """Recover, run, and return when all vassals were stopped as asked."""
        started = self._started
        async with trio.open_nursery() as nursery:
            if self._listener is not None:
                nursery.start_soon(self._answer, nursery, self._listener)
            await threads.run_sync(self._keeper.receive_all)
            found = await self._host.recover(self.fleet, started.boot, self._journal.time_of)
            # The host is there first: orders that may not have arrived are given again.
            await nursery.start(self._host.run, self._news.take)
            await nursery.start(self.signals.run, nursery)
            # On a full disk the first inputs wait. A second signal must not wait with them.
            self._keeper.hear()
            nursery.start_soon(self._recorder.watch_appends)
            # Recovery is recorded before any news is taken from the inbox.
            await self._turn(
                [
                    lambda _: [Draft("daemon_started", started), *self._returned(), *found],
                    self._pending.checkpoint,
                ]
            )
            self._began = self.fleet.at
            self._keeper.acknowledge_all()
            nursery.start_soon(self._attend_keeper)
            self.view.recovers = False
            self.view.can_answer.set()
            for watch in (self._deadlines.watch, self._heartbeats.watch, self.view.run_beside):
                nursery.start_soon(watch)
            nursery.start_soon(self._jumps.run, lambda: self._pending.fleet)
            if started.policy.max_starting_ceiling > started.policy.max_starting:
                nursery.start_soon(self._pressure.run, lambda: self._pending.fleet)
            nursery.start_soon(self._notifier.keep_alive)
            self._watching.begin(nursery, monitors)
            nursery.start_soon(self._open)
            await self._turns()
            nursery.cancel_scope.cancel()

    async def _answer(self, nursery: trio.Nursery, listener: socket.socket) -> None:
        """Serve the control socket."""
        renew = partial(nursery.start_soon, self.handover.renew)
        give_way = partial(self.handover.give_way, nursery)
        asks = RequestHandler(self.view, renew, give_way, *self._operators)
        await control.serve(listener, asks)

    async def _attend_keeper(self) -> None:
        await self._keeper.run()
        self.view.recent.keeper_died = self._clock.now() if self.view.had_keeper else None
        self._tell_status()
        if self._keeper.died:
            await self.tell(lambda _: [Draft("keeper_lost", OfKeeper(pid=self._keeper.pid))])

    def _returned(self) -> list[Draft]:
        """The event that there is a keeper, where the daemon before had lost its own."""
        if self.fleet.unkept is None or not self._keeper.alive:
            return []
        return [Draft("keeper_back", OfKeeper(pid=self._keeper.pid))]

    async def _open(self) -> None:
        """Let the fleet begin when each source has told something, or its time is over."""
        await self._first_look.hear_all(_FIRST_WORD)
        # Vassals that left with their source leave first. Otherwise daemon_ready would give them
        # slots, spawn them, and their removal would stop them at once. The same holds for a
        # listing that came in time and is still being taken.
        await self.tell(
            BarrierInput(orphans),
            BarrierInput(lambda _: [Draft("daemon_ready", Empty())]),
        )
        self._first_look.ready()
        status = self.view.status
        self._notifier.tell("READY=1", f"STATUS={status()}")
        log.info("ready: %s", status())
        silent = self._first_look.silent
        for line in warnings(self.fleet, self._began, silent, self._observer.rejects):
            log.warning("%s", line)
        self._host.tell_unasked(self.fleet)
        await self._notifier.keep_status(status)

    async def _turns(self) -> None:
        while not self._done() and not self.handover.may_leave():
            left = len(self._input_queue)
            asked = [] if left else await self._inbox.wait()
            asked += self._inbox.received()
            asked += await self._take_shares(
                crowded=bool(asked) or len(self._input_queue) > left > 0
            )
            # Requests make a turn of their own, which can be given up as a whole.
            if asked:
                await self._turn([given for given, _ in asked], requests=True)
            for _, done in asked:
                done.set()
        if self.handover.renewing:
            await self.handover.finish()
            log.info("leaving the vassals to the daemon that replaces this one")
            return
        stopped = Draft("daemon_stopped", Empty())
        await self._turn([self._rest, self._pending.checkpoint, lambda _: [stopped]])
        await self._host.unlisten_all()
        await self.view.witness.end()
        log.info("stopped")

    def _done(self) -> bool:
        return self.fleet.leaving and not attempts.are_left(self.fleet)

    # One turn

    async def _take_shares(self, *, crowded: bool) -> list[Request]:
        """A turn of what waits, and the requests that have come meanwhile.

        ``crowded``: others wait for its end. Senders hear of it when all of their input is durable.
        """
        turn = Turn(self._pending.deploys, (), requests=False)
        asked: list[Request] = []
        finished: list[trio.Event] = []
        while True:
            finished += self._input_queue.take(lambda draft: self._pending.take(draft, turn))
            if crowded or not self._input_queue:
                break
            if len(turn.folded) >= MOST or self._input_queue.is_large():
                break
            await trio.lowlevel.checkpoint()
            waiting = len(self._input_queue)
            asked = self._inbox.received()
            crowded = bool(asked) or len(self._input_queue) > waiting
        await self._record(turn)
        for done in finished:
            done.set()
        if self.fleet.leaving:
            self._watching.end()
        return asked

    async def _turn(self, inputs: Sequence[Input], *, requests: bool = False) -> None:
        """A turn of all events of these inputs."""
        turn = Turn(self._pending.deploys, inputs if requests else (), requests=requests)
        for given in inputs:
            for draft in self._pending.read(given):
                if draft is not None:
                    self._pending.take(draft, turn)
        await self._record(turn)

    async def _record(self, turn: Turn) -> None:
        """Make a turn durable, then act."""
        if not turn.folded and not self._recorder.lost:
            return
        self._recorder.lost = False
        if slots.waits(self._pending.fleet):
            self._pressure.slot_wanted()
        await self._commit(turn)
        for given in turn.asked:
            if isinstance(given, Asked):
                given.durable = True
        for each in turn.folded:
            fold(self.fleet, each.event)
            self.view.recent.note(each.event)
            self._heartbeats.note(each.event)
            self.view.look(each.event.vassal, each.actions)
        daemon_log.write(log, (line for each in turn.folded for line in each.lines))
        self._notifier.note_change()
        for action, at in turn.ordered:
            if turn.waited:  # the patience or the mercy counts from the order that is carried out
                self._deadlines.postpone(self._pending.fleet, action, self._clock.now() - at)
            self._act(action, at)

    async def _commit(self, turn: Turn) -> None:
        await self._recorder.commit(turn)

    def _act(self, action: Action, at: int) -> None:
        self._host.carry_out(action, self.fleet.vassals.get(action.vassal), at)

    async def tell(self, *inputs: Input) -> None:
        """Hand over inputs; return when their events are durable."""
        await self._inbox.tell(*inputs)

    # While the journal cannot be written

    def on_pause(self, reason: str, but: Sequence[Input], *, first: bool) -> None:
        """Refuse requests of operators, and answer questions for the reason."""
        if first:
            if self.signals.leaving:
                log.warning("waiting to record the stop; asked again, leaves at once")
            self.view.recent.paused = self._clock.now()
        self._requests.refuse(reason, but=but)
        self.view.look(None)
        self.view.can_answer.set()
        self._tell_status()

    def on_resume(self) -> None:
        """Tell systemd that the journal can be written again."""
        self._tell_status()

    def _tell_status(self) -> None:
        self._notifier.tell(f"STATUS={self.view.status()}")
