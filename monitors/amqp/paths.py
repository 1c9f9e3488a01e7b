"""Files that were announced by their path: looked at then, and watched for their end.

An edit has no effect: the vassal is reloaded when its path is announced again. But when the file
goes the vassal goes, even without an announcement. So only the names in directories are watched
(inotify), all along the way that leads to the file. Every ``freq`` seconds all files are looked
for, as the safety net.

A file is gone when it is not there, and still is not after ``GRACE``. Editors move the old file
away before they write the new one. It is not gone when its file system is unmounted. The vassal's
``attrs`` name that file system as ``mount``, so that a daemon that starts before a disk is mounted
knows it, too.
"""

import math
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import msgspec
import trio

from .. import names
from ..blocking import BlockingRunner, Stalled, close_watches
from ..contract import Observation, Refused, Vanished
from ..files import watches
from ..files.changes import GRACE, PAUSE
from ..files.file_state import ABSENT, FileState, Step, Unreadable
from ..files.links import trail
from ..files.reader import Reader
from ..files.watches import Watches
from ..listing import REACH, open_directory, status
from ..options import MonitorOptions
from ..os_errors import error_text
from ..regular_file import Denied

PATIENCE: Final = 10.0  # seconds without progress until a file system counts as hanging
_GONE: Final = (FileNotFoundError, NotADirectoryError)

Say = Callable[[Callable[[], Iterable[Observation]]], Awaitable[None]]
"""Tells what a function gives, when nothing else is being told."""


def mount_of(path: str) -> str:
    """Where the file system begins that the path leads to, or would if it were there."""
    at = os.path.dirname(os.path.realpath(path))
    while not os.path.ismount(at):
        at = os.path.dirname(at)
    return at


def look(reader: Reader, path: str) -> FileState:
    """The state of the file now. Blocks as long as the file system does."""
    head, _, file = path.rpartition("/")
    try:
        directory = open_directory(head or "/", tyrant=reader.tyrant, flags=REACH)
    except _GONE:
        return ABSENT
    except Denied as error:
        return Unreadable(str(error))
    except OSError as error:
        return Unreadable(error_text(error))
    try:
        return reader.look(path, (directory, head or "/", file), None, lambda _: None)
    finally:
        os.close(directory)


class Watched(msgspec.Struct, eq=False):
    """One announcement of a path. ``mount`` is "" where it is not known."""

    mount: str
    doubted: bool = False


class MissingStep(msgspec.Struct, frozen=True):
    """The file is not there; ``unmounted`` is the file system that is not there either."""

    unmounted: str = ""


class Paths:
    """All announced paths of one run. ``known`` are those of runs before: path -> mount."""

    def __init__(
        self, known: Mapping[str, str], options: MonitorOptions, label: str, say: Say
    ) -> None:
        self._options = options
        self._say = say
        self._watches = Watches(label)
        self._runner = BlockingRunner(trio.CapacityLimiter(1), PATIENCE)
        self._watched = {path: Watched(mount) for path, mount in known.items()}
        self._missing: dict[str, float] = {}  # path -> since when, in trio's time
        self._steps: dict[Step, set[str]] = {}  # which paths lead past a name in a directory
        self._pending: set[str] = set()  # to be looked for next
        self._slow: set[str] = set()  # those at which the last look hung
        self._next = -math.inf  # when all paths are looked at again
        self._added = trio.Event()

    def __contains__(self, path: str) -> bool:
        return path in self._watched

    def add(self, path: str, mount: str) -> None:
        """Watch a path that was just announced; what was seen of it before does not count."""
        self._watched[path] = Watched(mount)
        self._missing.pop(path, None)
        self._pending.add(path)
        self._added.set()

    def discard(self, path: str) -> None:
        """It is not watched any longer, if it was."""
        self._watched.pop(path, None)
        self._missing.pop(path, None)
        self._pending.discard(path)
        self._slow.discard(path)

    async def watch(self) -> None:
        """Tell of files that go, until cancelled."""
        try:
            await self._try(self._watches.open)
            while True:
                now = trio.current_time()
                late = {path for path, since in self._missing.items() if now >= since + GRACE}
                if now >= self._next:
                    self._next = now + self._options.freq
                    await self._check(set(self._watched), all_of_them=True)
                elif late or self._pending:
                    await self._check(late | self._pending, all_of_them=False)
                else:
                    await self._wait()
        finally:
            await close_watches(self._watches.close)

    async def _try(self, job: Callable[[], None]) -> bool:
        """Run what may block; False if it does not come back, which concludes nothing."""
        try:
            await self._runner.run(job)
        except Stalled:
            return False
        return True

    async def _wait(self) -> None:
        """Return when something has happened, or is due."""
        self._added = trio.Event()
        due = min(self._missing.values(), default=math.inf) + GRACE
        with trio.move_on_at(min(self._next, due)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_first_of, self._added.wait, nursery.cancel_scope)
                nursery.start_soon(_first_of, self._watches.wait, nursery.cancel_scope)
        for paths, mask, file in self._watches.read():
            if mask & watches.OVERFLOW or not file:  # lost, or of a directory itself
                self._next = -math.inf
            for path in paths:
                self._pending |= self._steps.get((path, file), set())
        if not self._pending:
            await trio.sleep(PAUSE)  # events of other files come in bursts

    async def _check(self, paths: set[str], *, all_of_them: bool) -> None:
        """Look for these files, and tell of those that are gone.

        One on a slow file system is looked for with all of them again, soon. It is the last of them
        then, so that it keeps no result of others back. While its look hangs, there is no other.
        """
        self._pending -= paths
        wanted = sorted(paths & self._watched.keys(), key=self._slow.__contains__)
        asked = {path: self._watched[path] for path in wanted}
        begun: list[str] = []
        ways: dict[str, tuple[Step, ...]] = {}
        lacks: dict[str, MissingStep] = {}

        def search() -> None:
            directories: set[str] = set()
            with self._watches:
                for path, watched in asked.items():
                    self._runner.beat()
                    begun.append(path)
                    # Watched before it is looked for, so that no end falls in between.
                    way = trail("/", path)
                    for directory in {directory for directory, _ in way} - directories:
                        directories.add(directory)
                        self._watches.add(directory, watches.NAMES)
                    lack = self._missing_step(path, watched.mount)
                    if lack is not None:
                        lacks[path] = lack
                    ways[path] = way
                if all_of_them:
                    self._watches.keep(directories)

        if (asked or all_of_them) and not await self._try(search):
            ways, lacks = dict(ways), dict(lacks)  # the thread goes on with the others
            slow = set(begun[-1:]) & self._watched.keys()
            self._slow.update(slow)
            self._pending.update((asked.keys() & self._watched.keys()) - ways.keys() - slow)
            self._next = min(self._next, trio.current_time() + PATIENCE)
            all_of_them = False
        if all_of_them:
            self._steps = {}
        for path, way in ways.items():
            self._slow.discard(path)
            for step in way:
                self._steps.setdefault(step, set()).add(path)
        for path in ways.keys() - lacks.keys():
            self._missing.pop(path, None)
            asked[path].doubted = False
        found = {path: lacks[path] for path in ways.keys() & lacks.keys()}
        if found:
            await self._say(lambda: self._conclude(asked, found))

    def _missing_step(self, path: str, mount: str) -> MissingStep | None:
        try:
            options = self._options
            status(path, tyrant=options.tyrant, follow=not options.nofollow)
        except _GONE:
            unmounted = mount and mount_of(path) != mount
            return MissingStep(unmounted=mount if unmounted else "")
        except (OSError, Denied):
            pass  # without the right to look we do not know
        return None

    def _conclude(
        self, asked: Mapping[str, Watched], lacks: Mapping[str, MissingStep]
    ) -> Iterable[Observation]:
        now = trio.current_time()
        for path, lack in lacks.items():
            watched = asked[path]
            if self._watched.get(path) is not watched:
                continue  # it was announced again, or destroyed
            if lack.unmounted:
                self._missing.pop(path, None)
                if not watched.doubted:
                    watched.doubted = True
                    yield Refused(
                        names.shown(path),
                        "its file is gone, and so is the file system that was mounted on"
                        f" {names.shown(lack.unmounted)}; the vassal is kept",
                    )
            elif now >= self._missing.setdefault(path, now) + GRACE:
                self.discard(path)
                yield Vanished(path, "the file is gone")


async def _first_of(wait: Callable[[], Awaitable[object]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
