"""Monitors run here: one that fails is started again, and its observations become inputs."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import trio

from ...journal.events import Failed, Spec
from ...monitors import contract
from ...monitors.backoff import Backoff
from ..control.first_look import FirstLook
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..host import failures, threads
from ..keeper.refusals import refusal
from .deferred import Source
from .input_queue import InputQueue, ListingInput, SourceInput
from .observer import Observer
from .turn import Input, Tell

log = logging.getLogger("emperor")

_ROOM: Final = 1.0  # seconds until changes that wait for room are tried again
_LONGEST: Final = 60.0  # seconds between restarts of a monitor that fails


class MonitorRunner:
    """Runs monitors."""

    def __init__(
        self,
        fleet: Fleet,
        observer: Observer,
        input_queue: InputQueue,
        tell: Tell,
        first_look: FirstLook,
    ) -> None:
        self._fleet = fleet
        self._observer = observer
        self._input_queue = input_queue
        self._tell = tell
        self._first_look = first_look

    def expect(self, monitors: Iterable[contract.Monitor]) -> None:
        """Have the start of the fleet wait for the first look of these monitors."""
        for monitor in monitors:
            self._first_look.expect(monitor.url)

    async def run(self, monitors: Iterable[contract.Monitor]) -> None:
        """Run monitors, each in a task of its own, until cancelled."""
        async with trio.open_nursery() as nursery:
            for monitor in monitors:
                nursery.start_soon(self._run, monitor)

    async def _run(self, monitor: contract.Monitor) -> None:
        source = Source(monitor.url, monitor.trusts_content)

        async def tell(*observations: contract.Observation) -> None:
            def meaning(fleet: Fleet) -> Iterable[Draft | None]:
                for observation in observations:
                    yield None
                    yield from self._translated(fleet, source, observation)

            await self._tell(_of_source(source.url, meaning, observations))
            # A part of a listing says nothing of the rest, so it is no first look.
            words = [each for each in observations if isinstance(each, _WORDS)]
            if words:
                read = any(not isinstance(each, contract.Failed) for each in words)
                self._first_look.note(source.url, read=read)

        backoff = Backoff(1.0, _LONGEST)
        while True:
            began = trio.current_time()
            try:
                await monitor.run(tell, self._known(source.url))
                reason = "the monitor ended"
            except Exception as error:
                # A limit of the machine is no bug, so its place in the code is of no use.
                known = threads.refused(error) or refusal(error) is not None
                log.error("%s failed: %s", source.url, error, exc_info=not known)
                reason = f"{type(error).__name__}: {error}"
            backoff.ran(trio.current_time() - began)
            await tell(contract.Failed(reason))
            await trio.sleep(backoff.pause())

    def _known(self, url: str) -> dict[str, Spec]:
        return {
            vassal.name: self._observer.known(vassal)
            for vassal in self._fleet.vassals.values()
            if vassal.monitor == url and vassal.wanted
        }

    def _translated(
        self, fleet: Fleet, source: Source, seen: contract.Observation
    ) -> Iterator[Draft | None]:
        """The events of an observation. An error that is about no vassal is the source's outage."""
        try:
            yield from self._observer.translate(fleet, source, seen)
        except Exception as error:
            log.error(
                "%s: the daemon met an error in its news: %s", source.url, failures.describe(error)
            )
            if source.url not in fleet.outages:
                reason = f"error of the daemon: {failures.reason_of(error)}"
                yield Draft("monitor_failed", Failed(reason=reason), source.url)

    async def try_deferred(self) -> None:
        """Take changes that wait for room in the budget of their account."""
        while True:
            await self._observer.deferred.wait()
            await trio.sleep(_ROOM)
            if self._observer.deferred:
                await self._tell(self._deferred)

    def take_deferred(self, fleet: Fleet) -> Iterator[Draft | None]:
        """An input: all changes that wait for room, as the daemon is about to leave.

        A source that announces each change once would not tell the next daemon. One that lists its
        vassals would, and its first listing needs no room either. From now on no change waits.
        """
        self._observer.defers = False
        return self._deferred(fleet)

    def stay(self) -> None:
        """The daemon does not leave after all."""
        self._observer.defers = True

    def _deferred(self, fleet: Fleet) -> Iterator[Draft | None]:
        for source, touched in self._observer.deferred.all():
            yield None
            # An observation that waits in the input queue is newer. One that came after the order
            # to leave may be lost with the daemon.
            newer = self._observer.defers and self._input_queue.has_of(source.url)
            if self._observer.deferred.has(source.url, touched) and not newer:
                yield from self._translated(fleet, source, touched)


_WORDS: Final = (contract.Listing, contract.Recovered, contract.Failed)
_SINGLE: Final = (contract.Touched, contract.Vanished, contract.Destroyed, contract.Refused)


def _of_source(url: str, meaning: Input, told: Sequence[contract.Observation]) -> SourceInput:
    """The input of a source, by which of its inputs may be taken before it."""
    if len(told) == 1 and isinstance(told[0], contract.Listing):
        return ListingInput(url, meaning)
    return SourceInput(url, meaning, single=all(isinstance(each, _SINGLE) for each in told))
