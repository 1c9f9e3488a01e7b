"""How dir:// and glob:// go on: rescans as the truth, inotify to be quick.

A *place* says where to look; this file says when. Every ``freq`` seconds, and whenever something
happened to a directory, the monitor looks at everything and tells a ``Listing``. When something
happened to single files, it looks at these only, and tells ``Touched`` or ``Vanished``.

The files of one tenant never wait for all files of another. Changed names are taken in batches
(``fair_queue``), and a batch is looked at while the one before it is told. A rescan is made in
pieces, between which such batches are looked at and told. It reads for a limited time only. It puts
off the files that it does not reach: they stay as they are known, and are read in batches.

Where inotify tells of every change, a rescan need not look at each file (``stillness``).

``changes`` sorts the events, ``rescan`` and ``survey`` look at everything, and ``single_files``
looks at a batch. ``reported_state`` turns the findings into observations, and ``observation_queue``
tells them in order. Everything that may block runs in one thread at a time. While that thread
hangs, the monitor says so and starts no other.
"""

import math
import time
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NoReturn

import trio

from ...journal.events import Spec
from .. import names
from ..blocking import BlockingRunner, Stalled, close_watches
from ..contract import Failed, Tell
from ..options import MonitorOptions
from . import fair_queue
from .allowance import SPENT, Allowance
from .changes import PAUSE, Changes
from .fair_queue import SCANNED, How
from .file_state import Key
from .lost_folders import LostFolders
from .observation_queue import ObservationQueue
from .reader import Reader
from .reported_state import ReportedState
from .rescan import Rescan
from .scan import ConfigFolder, Scan
from .single_files import FileExaminer
from .stillness import Stillness
from .survey import Searched, Survey
from .watches import Watches

PATIENCE: Final = 30.0  # seconds without progress until a source counts as hanging
REST: Final = 4  # times as long as a rescan took, until events may cause the next one
FIRST: Final = 1.0  # seconds that a first rescan may take before anything else is told


class FileMonitor:
    """A monitor of files.

    ``patience`` is the time limit in seconds for a file system to answer. ``make_watches`` makes
    the object that watches directories. ``allowance`` is how much one file may change.
    """

    trusts_content = True

    def __init__(
        self,
        url: str,
        place: Searched,
        options: MonitorOptions,
        *,
        patience: float = PATIENCE,
        make_watches: Callable[[str], Watches] = Watches,
        allowance: Allowance | None = None,
    ) -> None:
        self.url = url
        self._place = place
        self._options = options
        self._patience = patience
        self._make_watches = make_watches
        self._allowance = allowance or Allowance()
        # It outlives a run: a thread that hangs still counts when the monitor is run again.
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch until cancelled. ``known`` counts only where a directory cannot be read."""
        watches = self._make_watches(self.url)
        runner = BlockingRunner(self._limiter, self._patience)
        try:
            async with trio.open_nursery() as nursery:
                teller = ObservationQueue(tell, nursery)
                try:
                    await FileWatcher(
                        self._place, self._options, watches, runner, teller, self._allowance, known
                    ).go()
                except Exception as error:
                    teller.fail(error)
        finally:
            await close_watches(watches.close)
        teller.check()


class FileWatcher:
    """One run of a monitor of files."""

    def __init__(
        self,
        place: Searched,
        options: MonitorOptions,
        watches: Watches,
        runner: BlockingRunner,
        teller: ObservationQueue,
        allowance: Allowance,
        known: Iterable[str],
    ) -> None:
        self._place = place
        self._allowance = allowance
        self._lost = LostFolders(place, known)
        self._options = options
        self._watches = watches
        self._runner = runner
        self._teller = teller
        self._reader = Reader(options, place.cwd)
        self._changes = Changes(options, watches, self._turn_of)
        self._reported = ReportedState(allowance, self._changes)
        self._stillness = Stillness(options, watches, self._changes)
        self._folders: (
            dict[str, tuple[ConfigFolder, Key]] | ChainMap[str, tuple[ConfigFolder, Key]]
        ) = {}
        self._spent: list[str] = []  # names whose new state a rescan does not take
        self._failed = False
        # Times are trio's.
        self._next = -math.inf  # when the next rescan is due
        self._earliest = -math.inf  # when events may cause the next one

    async def go(self) -> NoReturn:
        """Watch until cancelled."""
        scanned = False
        while True:
            now = trio.current_time()
            self._changes.expire(now)
            examines = self._changes.pending and not self._failed
            due = now >= self._next or (self._changes.rescan and now >= self._earliest)
            if due and not self._teller.is_listing and not (scanned and examines):
                if not await self._is_still(now):
                    await self._rescan(now)
                scanned = True
            elif examines:
                await self._examine()
                scanned = False
            else:
                await self._wait()

    def _turn_of(self, name: str) -> int | str | None:
        """In whose turn a name is looked at: its owner's in tyrant mode, else its directory's."""
        if not self._options.tyrant:
            return self._place.locate(name)[0]
        record = self._reported.records.get(name)
        return None if record is None else record.owner

    async def _wait(self) -> None:
        due = self._changes.due(missing=not self._failed)
        if self._teller.is_listing:
            due.append(trio.current_time() + PAUSE)
        else:
            due += [self._next, self._earliest] if self._changes.rescan else [self._next]
        with trio.move_on_at(min(due)):
            await self._watches.wait()
            await self._changes.take()
            if not self._changes.pending or self._failed:
                await trio.sleep(PAUSE)

    async def _fail(self, reason: str) -> None:
        self._failed = True
        await self._teller.put(Failed(reason))

    # All at once

    async def _is_still(self, now: float) -> bool:
        """Whether all is as it was. If so, the listing is told again without a look at files."""
        if self._failed or not self._stillness.may_be(now):
            return False
        try:
            still = await self._runner.run(self._stillness.is_so)
        except Stalled:
            still = False  # the rescan says so
        await self._changes.take()
        if not still or not self._stillness.may_be(now):
            self._stillness.disturb()
            return False
        self._next = max(now + self._options.freq, trio.current_time())
        await self._teller.put(self._reported.again())
        return True

    async def _rescan(self, now: float) -> None:
        changes = self._changes
        changes.rescan = False
        changes.moved.clear()
        self._spent = self._allowance.spent(now)
        rescan = Rescan(self._place, self._watches, self._scan, tyrant=self._options.tyrant)
        looked, took = await self._look_at_all(rescan, now)
        end = trio.current_time()
        self._earliest = end + max(PAUSE, REST * took)
        self._next = max(now + self._options.freq, end)
        if looked is None:
            await self._fail(f"{names.shown(self._place.root)} does not answer")
            return
        survey, found = rescan.survey, rescan.survey.found
        changes.watched, self._folders = survey.watched, survey.folders
        await changes.take()
        reason = rescan.reason or self._unmounted(survey)
        if reason:
            self._stillness.disturb()
            await self._fail(reason)
            return
        if looked or self._failed or self._spent or not self._reported.is_listed:
            self._stillness.disturb()
        else:
            self._stillness.note(rescan, len(self._reported.records), now)
        self._failed = False
        self._reported.settle(found, looked)
        self._lost.keep(survey, self._reported.records, now, end)
        self._next = min(self._next, max(self._lost.due, self._earliest))
        changes.look_again(lambda name: self._place.locate(name)[0] in survey.folders)
        changes.rescan = changes.rescan or survey.is_doubtful
        for name in changes.moved | changes.missing.keys():
            if name in found.fresh or name not in found.records:
                found.revert(name)
        for name, owner in found.put_off.items():
            if name not in changes.moved:
                changes.pending.add(name, SCANNED, owner if self._options.tyrant else None)
        await self._teller.put(self._reported.listing(survey))

    async def _look_at_all(self, rescan: Rescan, now: float) -> tuple[set[str] | None, float]:
        """Make a rescan, and look at single files between its pieces.

        The names of those files, None if the rescan hangs; and how long its pieces took.
        """
        changes, folders = self._changes, self._folders
        looked: set[str] = set()
        took = 0.0
        try:
            while True:
                began = trio.current_time()
                more = await self._runner.run(rescan.piece)
                took += trio.current_time() - began
                if not more:
                    return looked, took
                changes.coming = rescan.survey.watched
                self._folders = ChainMap(rescan.survey.folders, folders)
                await changes.take()
                changes.expire(trio.current_time())
                # The first observation of a source ends the wait of a daemon that starts.
                waits = not self._reported.is_listed and trio.current_time() < now + FIRST
                if changes.pending and not self._failed and not waits:
                    looked |= await self._examine()
        except Stalled:
            return None, took
        finally:
            changes.coming, self._folders = {}, folders

    def _scan(self, survey: Survey) -> Scan:
        device = self._reported.device
        end = time.monotonic() + fair_queue.SLICE if self._reported.is_listed else math.inf

        def is_late() -> bool:
            # On another device than before, only reading tells whether anything is there.
            return time.monotonic() >= end and device in (None, survey.device)

        return Scan(
            self._reader,
            self._options,
            self._reported.records,
            {**dict.fromkeys(self._changes.unfinished, ""), **dict.fromkeys(self._spent, SPENT)},
            survey.follow,
            self._runner.beat,
            is_late,
        )

    def _unmounted(self, survey: Survey) -> str:
        if survey.found.records or self._reported.device in (None, survey.device):
            return ""
        root = names.shown(self._place.root)
        return f"{root} is empty and on another device than before: is it unmounted?"

    # Single files

    def _examiner(self, spent: Collection[str]) -> FileExaminer:
        return FileExaminer(
            self._place,
            self._options,
            self._reader,
            self._watches,
            self._runner.beat,
            self._folders,
            self._reported.records,
            spent,
        )

    async def _examine(self) -> set[str]:
        """Look at a batch, and tell of it. The names that were looked at."""
        changes = self._changes
        self._stillness.disturb()
        batch: dict[str, How] = {}
        try:
            if unsorted := changes.pending.unsorted():
                looker = self._examiner([])
                changes.pending.sort(await self._runner.run(lambda: looker.owners(unsorted)))
            batch = changes.pending.take()
            now = trio.current_time()
            looker = self._examiner([name for name in batch if self._allowance.is_spent(name, now)])
            look = await self._runner.run(lambda: looker.look(batch))
        except Stalled:
            changes.pending.put_back(batch.items())
            await self._fail(f"{names.shown(self._place.root)} does not answer")
            return set()
        changes.rescan = changes.rescan or look.doubtful
        for name, way in look.ways:
            changes.follow(name, way)
        changed = await changes.take()
        changes.pending.put_back((name, batch[name]) for name in look.left if name not in changed)
        observations = self._reported.observations(look.states, changed)
        if observations:
            await self._teller.put(*observations)
        return look.states.keys() - changed
