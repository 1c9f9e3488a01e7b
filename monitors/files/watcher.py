"""How dir:// and glob:// go on: rescans as the truth, inotify to be quick.

A *place* says where to look; this file says when. Every ``freq`` seconds, and whenever something
happened to a directory, all is looked at and told as a ``Listing``. When something happened to
single files only these are looked at, and told as ``Touched`` or ``Vanished``.

No tenant's files wait for all of another's. Stirred names are taken in batches (``stirred``), and
each is told before the next one begins. A rescan reads for a while only. It puts off what it does
not get to: that stays as it is known, and is looked at in such batches.

What is read is not believed if the file was stirred meanwhile. Events are taken in after each
reading, before anything is told, and sort the names into four tables:

- ``unfinished``: written to, not closed yet. Its new state is not taken, by events or rescans,
  until it is closed or has been quiet for a while (a writer on another machine gives no close).
- ``pending``: to be looked at next, and read even if nothing seems to differ.
- ``missing``: was not there. Told as ``Vanished`` if it still is not after ``GRACE``: editors
  move the old file away before they write the new one, and that is no reason to stop a vassal.
- ``later``: has changed beyond all measure (``allowance``), so it is looked at when it may.

The directories to be watched are found anew by each rescan, so no state can go stale for longer
than that. All that may block runs in one thread at a time; while it hangs, the monitor says so
and starts no other.
"""

import contextlib
import math
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeVar

import trio

from ...journal.events import Spec
from .. import names
from ..contract import Failed, Listing, Observation, Refused, Seen, Tell, Touched, Vanished
from ..listing import LIST, REACH, open_directory
from ..options import MonitorOptions
from ..os_errors import error_text
from ..regular_file import Denied
from . import watches
from .allowance import SPENT, Allowance
from .fair_queue import SLICE, SWEPT, How, Stirred
from .scan import (
    Absent,
    Found,
    Home,
    Key,
    Reader,
    Record,
    Sight,
    Step,
    Sweep,
    Unsettled,
    is_there,
    key_of,
    misfit,
    trail,
)
from .watches import Watches

T = TypeVar("T")
Sights = dict[str, Sight | str]  # what is there; or, as text, why it may not be a vassal
Ways = list[tuple[str, tuple[Step, ...]]]

PATIENCE: Final = 30.0  # seconds without progress until a source counts as hanging
QUIET: Final = 3.0  # seconds, or freq if longer: after that an unclosed file is taken as it is
GRACE: Final = 0.1  # seconds that a file may be missing between two states
BREATH: Final = 0.02  # seconds of rest when files wake us that are none of ours, such as logs
_EVENTS: Final = 200  # that are sorted in before other tasks run
REST: Final = 4  # times as long as a rescan took, we rest before the next one that events want


class Searched(Protocol):
    """Where files are looked for, and how their vassals are called."""

    root: str  # the directory without which nothing can be told
    cwd: str | None  # working directory of the vassals

    def survey(self, survey: "Survey") -> None:
        """Show ``survey`` every home and fork. OSError means that the whole cannot be told."""
        ...

    def locate(self, name: str) -> tuple[str, str]:
        """The prefix of the home and the file's name in it, for a vassal's name."""
        ...


class WatchedDirectory:
    """What matters in one watched directory."""

    __slots__ = ("bends", "forks", "homes", "mask", "steps")

    def __init__(self) -> None:
        self.mask = 0
        self.homes: list[Home] = []  # files in here are vassals
        self.steps: dict[str, set[str]] = {}  # name -> vassals whose symlinks lead past it
        self.bends: set[str] = set()  # names on the way to the root
        self.forks: list[Callable[[str], object]] = []  # directories in here lead to homes


class Survey:
    """One look at everything; runs in a thread and touches nothing but itself and the watches."""

    def __init__(
        self, eyes: Watches, sweep: "Callable[[Survey], Sweep]", *, tyrant: bool = False
    ) -> None:
        self._eyes = eyes
        self._tyrant = tyrant
        self.posts: dict[str, WatchedDirectory] = {}
        self.homes: dict[str, tuple[Home, Key]] = {}  # by prefix
        self.device: int | None = None  # of the root
        self.found = sweep(self)

    def post(self, path: str, mask: int) -> WatchedDirectory:
        """Watch a directory from now on, before anything in it is looked at."""
        post = self.posts.get(path)
        if post is None:
            post = self.posts[path] = WatchedDirectory()
        if post.mask | mask != post.mask:
            post.mask |= mask
            self._eyes.add(path, post.mask)
        return post

    def root(self, path: str) -> None:
        """Make sure that the root is there. Raises OSError."""
        descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.device = os.fstat(descriptor).st_dev
        finally:
            os.close(descriptor)

    def branches(self, path: str) -> list[str]:
        """The names in a directory that may be directories. Raises OSError, Denied."""
        descriptor = open_directory(path, tyrant=self._tyrant)
        try:
            with os.scandir(descriptor) as entries:
                return [
                    entry.name
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False) or entry.is_symlink()
                ]
        finally:
            os.close(descriptor)

    def home(self, home: Home) -> None:
        """Take in the files of a directory. Raises OSError if that cannot be done, Denied."""
        self.post(home.path, watches.FILES).homes.append(home)
        descriptor = open_home(home, tyrant=self._tyrant)
        try:
            status = os.fstat(descriptor)
            self.homes[home.prefix] = (home, key_of(status))
            self.found.home(home, descriptor)
        finally:
            os.close(descriptor)

    def fork(self, path: str, accepts: Callable[[str], object]) -> None:
        """Directories in this one whose names are accepted lead to homes."""
        self.post(path, watches.NAMES).forks.append(accepts)

    def bend(self, steps: Iterable[Step]) -> None:
        """The way to the root passes here."""
        for directory, name in steps:
            self.post(directory, watches.NAMES).bends.add(name)

    def follow(self, name: str, way: tuple[Step, ...]) -> None:
        """A vassal's symlink leads past here."""
        for directory, file in way:
            self.post(directory, watches.FILES).steps.setdefault(file, set()).add(name)


def open_home(home: Home, *, tyrant: bool) -> int:
    """A descriptor of the directory. One that is not listed needs no permission to be read.

    Raises OSError, Denied.
    """
    flags = LIST if home.only is None else REACH
    return open_directory(home.path, tyrant=tyrant, flags=flags)


def _gets_close(path: str) -> bool:
    """Whether a name that has appeared is a new file, which will be closed when it is written."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


class Look:
    """One look at single files, made in a thread, which ends when its time is over.

    Gives what is there, or why it may not be a vassal; the ways of symlinks, which are watched
    now; whether a directory is not what it was; and the names that it did not get to.
    """

    def __init__(self) -> None:
        self.sights: Sights = {}
        self.ways: Ways = []
        self.doubtful = False
        self.left: list[str] = []
        self._end = math.inf

    def is_over(self) -> bool:
        """Whether no other file is to be looked at. One is, however long it takes."""
        now = time.monotonic()
        if self._end == math.inf:
            self._end = now + SLICE
            return False
        return now >= self._end


class View:
    """What was seen in one home. It counts if the home is still the directory that was scanned.

    Files of another directory say nothing about ours.
    """

    def __init__(self, home: Home, key: Key, directory: int) -> None:
        self.home = home
        self.directory = directory
        self._key = key
        self.sights: Sights = {}

    def holds(self) -> bool:
        """Whether what was seen counts."""
        try:
            return key_of(os.stat(self.home.path)) == self._key
        except OSError:
            return False


class FileMonitor:
    """A monitor of files.

    ``patience`` is the time limit in seconds for a file system to answer; ``eyes`` makes what
    watches directories; ``allowance`` is how much one file may change.
    """

    trusts_content = True

    def __init__(
        self,
        url: str,
        place: Searched,
        options: MonitorOptions,
        *,
        patience: float = PATIENCE,
        eyes: Callable[[str], Watches] = Watches,
        allowance: Allowance | None = None,
    ) -> None:
        self.url = url
        self._place = place
        self._options = options
        self._patience = patience
        self._eyes = eyes
        self._allowance = allowance or Allowance()
        # It outlives a run: a thread that hangs still counts when the monitor is run again.
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch until cancelled. The files say it all, so ``known`` says nothing new."""
        eyes = self._eyes(self.url)
        errands = BlockingRunner(self._limiter, self._patience)
        try:
            lookout = FileWatcher(self._place, self._options, eyes, errands, tell, self._allowance)
            await lookout.go()
        finally:
            eyes.close()


class Stalled(Exception):
    """The thread has not come back, nor made any progress, for as long as we are patient."""


class BlockingRunner:
    """Runs what may block in a thread, one at a time, for as long as it gets on."""

    def __init__(self, limiter: trio.CapacityLimiter, patience: float) -> None:
        self._limiter = limiter
        self._patience = patience
        self._scope = trio.CancelScope()
        self._beaten = 0.0

    async def run(self, job: Callable[[], T]) -> T:
        """What the job returns. Raises Hangs if it does not; its thread is left behind."""
        self._beaten = time.monotonic()
        with trio.CancelScope(deadline=trio.current_time() + self._patience) as self._scope:
            return await trio.to_thread.run_sync(job, abandon_on_cancel=True, limiter=self._limiter)
        raise Stalled

    def beat(self) -> None:
        """Called in the thread whenever it gets on: ten thousand slow reads are not a hang."""
        now = time.monotonic()
        if now - self._beaten > min(1.0, self._patience / 4):
            self._beaten = now
            trio.from_thread.run_sync(self._extend, self._scope)

    def _extend(self, scope: trio.CancelScope) -> None:
        scope.deadline = max(scope.deadline, trio.current_time() + self._patience)


class FileWatcher:
    """One run of a monitor of files."""

    def __init__(
        self,
        place: Searched,
        options: MonitorOptions,
        eyes: Watches,
        errands: BlockingRunner,
        tell: Tell,
        allowance: Allowance,
    ) -> None:
        self._place = place
        self._allowance = allowance
        self._options = options
        self._eyes = eyes
        self._errands = errands
        self._tell = tell
        self._reader = Reader(options, place.cwd)
        self._extensions = (*names.EXTENSIONS, *options.extra_extension)
        self._beside = options.on_demand_extension
        self._quiet = max(options.freq, QUIET)
        # What was told last, and what it takes to be told again.
        self._records: dict[str, Record] = {}
        self._refused: dict[str, str] = {}
        self._posts: dict[str, WatchedDirectory] = {}
        self._homes: dict[str, tuple[Home, Key]] = {}
        self._device: int | None = None  # of the root when it last had vassals
        self._listed = False  # this run has told all at least once
        self._failed = False
        # What events said. Times are trio's.
        self._unfinished: dict[str, float] = {}
        self._missing: dict[str, float] = {}
        self._later: dict[str, float] = {}
        self._spent: list[str] = []  # may not change for now
        self._pending = Stirred(self._turn_of)
        self._rescan = True
        self._next = -math.inf  # when the next rescan is due
        self._earliest = -math.inf  # when one that events want may start

    async def go(self) -> None:
        """Watch until cancelled."""
        with contextlib.suppress(Stalled):  # the scan will wait for that thread, and say so
            await self._errands.run(self._eyes.open)
        scanned = False
        while True:
            now = trio.current_time()
            self._expire(now)
            examines = self._pending and not self._failed
            due = now >= self._next or (self._rescan and now >= self._earliest)
            if due and not (scanned and examines):
                await self._scan(now)
                scanned = True
            elif examines:
                await self._examine()
                scanned = False
            else:
                await self._wait()

    def _turn_of(self, name: str) -> int | str:
        """In whose turn a name is looked at: its owner's, where that is known."""
        record = self._records.get(name)
        uid = None if record is None else record.seen.spec.uid
        return self._place.locate(name)[0] if uid is None else uid

    # Waiting and events

    def _expire(self, now: float) -> None:
        for name, since in list(self._unfinished.items()):
            if now >= since + self._quiet:
                del self._unfinished[name]
                self._pending.put(name)
        for name, since in self._missing.items():
            if now >= since + GRACE:
                self._pending.put(name)
        for name, due in list(self._later.items()):
            if now >= due:
                del self._later[name]
                self._pending.put(name)

    async def _wait(self) -> None:
        due = [self._next]
        if self._rescan:
            due.append(self._earliest)
        if self._unfinished:
            due.append(min(self._unfinished.values()) + self._quiet)
        due += self._later.values()
        if self._missing and not self._failed:
            due.append(min(self._missing.values()) + GRACE)
        with trio.move_on_at(min(due)):
            await self._eyes.wait()
            await self._take_events()
            if not self._pending or self._failed:
                await trio.sleep(BREATH)

    async def _take_events(self) -> set[str]:
        """Sort in all events that have come; the names whose files may be other than before.

        Thousands may have. Other tasks run between some of them, and no event is lost by a timeout.
        """
        stirred: set[str] = set()
        for number, (paths, mask, file) in enumerate(self._eyes.read(), 1):
            if number % _EVENTS == 0:
                await trio.lowlevel.cancel_shielded_checkpoint()
            if mask & watches.OVERFLOW:
                self._lose_closes()
            if not file:  # something happened to the directory itself, or events were lost
                self._rescan = True
            for path in paths:
                post = self._posts.get(path)
                if post is not None and file:
                    self._heed(post, path, mask, file, stirred)
        return stirred

    def _lose_closes(self) -> None:
        """Events were lost: the close of an unfinished file may be one of them."""
        latest = trio.current_time() - self._quiet + QUIET
        for name, since in self._unfinished.items():
            self._unfinished[name] = min(since, latest)

    def _heed(
        self, post: WatchedDirectory, path: str, mask: int, file: str, stirred: set[str]
    ) -> None:
        is_directory = mask & watches.ISDIR
        led_on = mask & (watches.MOVED_IN | watches.MOVED_OUT) or (
            mask & watches.ATTRIB and is_directory
        )
        if led_on and (file in post.bends or any(fork(file) for fork in post.forks)):
            self._rescan = True
        if not is_directory and file.endswith(self._extensions):
            for home in post.homes:
                if home.accepts(file):
                    self._news(home.prefix + file, mask, os.path.join(path, file), stirred)
        if self._beside is not None and file.endswith(self._beside) and not is_directory:
            config = file.removesuffix(self._beside)
            if config.endswith(self._extensions):
                for home in post.homes:
                    if home.accepts(config):
                        self._news(home.prefix + config, mask, os.path.join(path, file), stirred)
        for name in post.steps.get(file, ()):
            self._news(name, mask, os.path.join(path, file), stirred)

    def _news(self, name: str, mask: int, path: str, stirred: set[str]) -> None:
        """Something happened to what a vassal's name leads to."""
        now = trio.current_time()
        if mask & watches.ATTRIB:
            if name not in self._unfinished:
                self._pending.put(name)
            return
        stirred.add(name)
        if mask & watches.WRITTEN:
            self._unfinished[name] = now
            self._pending.drop(name)
        elif mask & watches.CREATED and not mask & watches.ISDIR:
            self._unfinished[name] = now
            self._pending.put(name, path)
            self._missing.pop(name, None)
        else:
            self._unfinished.pop(name, None)
            self._pending.put(name)

    # All at once

    async def _scan(self, now: float) -> None:
        self._rescan = False
        self._spent = self._allowance.spent(now)
        try:
            survey, reason = await self._errands.run(self._survey)
        except Stalled:
            survey, reason = None, f"{names.shown(self._place.root)} does not answer"
        end = trio.current_time()
        self._earliest = end + max(BREATH, REST * (end - now))
        self._next = max(now + self._options.freq, end)
        if survey is not None:
            self._posts, self._homes = survey.posts, survey.homes
            stirred = await self._take_events()
            reason = reason or self._unmounted(survey)
        if survey is None or reason:
            self._failed = True
            await self._tell(Failed(reason))
            return
        self._failed = False
        for name in stirred | self._missing.keys():
            if name in survey.found.fresh or name not in survey.found.records:
                survey.found.revert(name)
        for name in survey.found.put_off - stirred:
            self._pending.add(name, SWEPT)
        await self._tell(self._conclude(survey))

    def _survey(self) -> tuple[Survey, str]:
        """Look at everything (in a thread); and why that failed, if it did."""
        root = self._place.root
        with self._eyes:
            survey = Survey(self._eyes, self._sweep, tyrant=self._options.tyrant)
            way = trail("/" if root.startswith("/") else "", root)
            survey.bend(way[:-1])
            reason = ""
            try:
                self._place.survey(survey)
            except OSError:
                # From now on the last step is watched too, so that nothing is missed any more
                # if it is still not there.
                retry = Survey(self._eyes, self._sweep, tyrant=self._options.tyrant)
                retry.bend(trail("/" if root.startswith("/") else "", root))
                try:
                    self._place.survey(retry)
                except OSError as error:
                    path = error.filename if isinstance(error.filename, str) else root
                    reason = f"{names.shown(path)}: {error_text(error)}"
                survey = retry
            self._eyes.keep(survey.posts)
        return survey, reason

    def _sweep(self, survey: Survey) -> Sweep:
        end = time.monotonic() + SLICE if self._listed else math.inf

        def is_late() -> bool:
            # On another device than before, only reading tells whether anything is there.
            return time.monotonic() >= end and self._device in (None, survey.device)

        return Sweep(
            self._reader,
            self._options,
            self._records,
            {**dict.fromkeys(self._unfinished, ""), **dict.fromkeys(self._spent, SPENT)},
            survey.follow,
            self._errands.beat,
            is_late,
        )

    def _unmounted(self, survey: Survey) -> str:
        if survey.found.records or self._device in (None, survey.device):
            return ""
        root = names.shown(self._place.root)
        return f"{root} is empty and on another device than before: is it unmounted?"

    def _conclude(self, survey: Survey) -> Listing:
        found = survey.found
        refused = found.refused
        if not self._listed:
            # Nothing is known of these from an earlier look, yet something is there.
            refused |= dict.fromkeys(map(names.shown, found.waiting), "it is being written")
        if self._refused:
            for label in map(names.shown, found.put_off):
                if label in self._refused:
                    refused.setdefault(label, self._refused[label])
        for name in found.fresh if self._listed else ():
            self._charge(name, found.seen[name])
        self._listed = True
        self._records = found.records
        self._refused = dict(refused)
        if found.records:
            self._device = survey.device
        return Listing(found.seen, refused)

    # Single files

    async def _examine(self) -> None:
        batch = self._pending.take()
        now = trio.current_time()
        self._spent = [name for name in batch if self._allowance.is_spent(name, now)]
        try:
            look = await self._errands.run(lambda: self._look_at(batch))
        except Stalled:
            self._pending.put_back(batch.items())
            self._failed = True
            await self._tell(Failed(f"{names.shown(self._place.root)} does not answer"))
            return
        self._rescan = self._rescan or look.doubtful
        for name, way in look.ways:
            for directory, file in way:
                steps = self._posts.setdefault(directory, WatchedDirectory()).steps
                steps.setdefault(file, set()).add(name)
        stirred = await self._take_events()
        self._pending.put_back((name, batch[name]) for name in look.left if name not in stirred)
        observations: list[Observation] = []
        for name, sight in look.sights.items():
            if name not in stirred:
                self._unfinished.pop(name, None)
                self._one(name, sight, observations)
        if observations:
            await self._tell(*observations)

    def _look_at(self, batch: dict[str, How]) -> Look:
        """Look at single files (in a thread), in the order of the batch."""
        look = Look()
        views: dict[str, View | None] = {}
        with self._eyes, contextlib.ExitStack() as opened:
            for name, how in batch.items():
                self._errands.beat()
                if look.is_over():
                    look.left.append(name)
                elif not how or not _gets_close(how):
                    prefix, file = self._place.locate(name)
                    if prefix not in views:
                        views[prefix] = self._open(prefix, opened)
                    if (view := views[prefix]) is not None:
                        swept = how == SWEPT
                        view.sights[name] = self._sight(name, view, file, look.ways, swept=swept)
            for view in views.values():
                if view is None or not view.holds():
                    look.doubtful = True
                else:
                    look.sights.update(view.sights)
        return look

    def _open(self, prefix: str, opened: contextlib.ExitStack) -> View | None:
        """A home to look at, None if it is not the directory that was scanned."""
        if prefix not in self._homes:
            return None
        home, key = self._homes[prefix]
        try:
            view = View(home, key, open_home(home, tyrant=self._options.tyrant))
        except (Denied, OSError):
            return None
        opened.callback(os.close, view.directory)
        try:
            return view if key_of(os.fstat(view.directory)) == key else None
        except OSError:
            return None

    def _sight(self, name: str, view: View, file: str, ways: Ways, *, swept: bool) -> Sight | str:
        def watch(way: tuple[Step, ...]) -> None:
            ways.append((name, way))
            for directory, _ in way:
                self._eyes.add(directory, watches.FILES)

        known = self._records.get(name)
        if name in self._spent and is_there(view.directory, file):
            return Unsettled(SPENT)
        step = (view.directory, view.home.path, file)
        sight = self._reader.look(name, step, known, watch, sweeping=swept)
        flaw = None
        if isinstance(sight, Found):
            flaw = misfit(view.home, sight, self._options)
        if known is None and not isinstance(sight, Absent):
            flaw = names.flaw(name, self._options.extra_extension) or flaw
        return flaw or sight

    def _one(self, name: str, sight: Sight | str, observations: list[Observation]) -> None:
        """What is to be told of one file."""
        if isinstance(sight, Absent):
            self._gone(name, observations)
            return
        self._missing.pop(name, None)
        if isinstance(sight, Found):
            seen = Seen(sight.record.seen.spec, sight.content)
            if self._charge(name, seen):
                observations.append(Touched(name, seen))
            self._records[name] = sight.record
            self._refused.pop(names.shown(name), None)
        elif isinstance(sight, Unsettled) and sight.reason:
            self._later[name] = self._allowance.room_at(name, trio.current_time())
            self._refuse(name, sight.reason, observations)
        elif isinstance(sight, Unsettled):
            self._unfinished[name] = trio.current_time()
        else:
            reason = sight if isinstance(sight, str) else f"it cannot be read: {sight.reason}"
            self._refuse(name, reason, observations)

    def _refuse(self, name: str, reason: str, observations: list[Observation]) -> None:
        label = names.shown(name)
        if self._refused.get(label) != reason:
            self._refused[label] = reason
            observations.append(Refused(label, reason))

    def _charge(self, name: str, seen: Seen) -> bool:
        """Whether it is another than was told last; that is charged to the file's allowance."""
        known = self._records.get(name)
        if known is not None and known.seen.spec == seen.spec:
            return False
        self._allowance.charge(name, len(seen.content or b""), trio.current_time())
        return True

    def _gone(self, name: str, observations: list[Observation]) -> None:
        if name not in self._records:
            self._missing.pop(name, None)
            return
        now = trio.current_time()
        if now < self._missing.setdefault(name, now) + GRACE:
            return
        del self._missing[name], self._records[name]
        observations.append(Vanished(name, "the file is gone"))
