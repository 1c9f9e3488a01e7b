"""Events of inotify, sorted by the names of vassals that they concern.

A reading is not believed if the file changed meanwhile. So events are taken in after each reading,
before anything is told. They sort the names into four tables:

- ``unfinished``: written to, not closed yet. Its new state is not taken, by events or rescans,
  until it is closed or has been quiet for a while. A writer on another machine gives no close.
- ``pending``: to be looked at next, and read even if nothing seems to differ.
- ``missing``: was not there. Told as ``Vanished`` if it still is not after ``GRACE``. Editors
  move the old file away before they write the new one, and no vassal may be stopped for that.
- ``later``: has changed too much (``allowance``), so it is looked at when its bucket has room.
"""

import os
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final

import trio

from .. import names
from ..options import MonitorOptions
from . import watches
from .fair_queue import FairQueue
from .survey import WatchedDirectory

QUIET: Final = 3.0  # seconds, or freq if longer: after that an unclosed file is taken as it is
GRACE: Final = 0.1  # seconds that a file may be missing between two states
PAUSE: Final = 0.02  # seconds of rest after events of files that are none of ours, such as logs
_EVENTS: Final = 200  # that are sorted in before other tasks run


class Changes:
    """The names that events were about. Times are trio's.

    ``turn_of`` says in whose turn a name is looked at. ``watched`` are the directories of the last
    rescan, ``coming`` those that the present one has found so far.
    """

    def __init__(
        self,
        options: MonitorOptions,
        source: watches.Watches,
        turn_of: Callable[[str], Hashable],
    ) -> None:
        self._source = source
        self._extensions = (*names.EXTENSIONS, *options.extra_extension)
        self._beside = options.on_demand_extension
        self._quiet = max(options.freq, QUIET)
        self.watched: dict[str, WatchedDirectory] = {}
        self.coming: dict[str, WatchedDirectory] = {}
        self.unfinished: dict[str, float] = {}
        self.missing: dict[str, float] = {}
        # Each missing name once, the oldest first: thousands may be missing.
        self._graces: deque[tuple[str, float]] = deque()
        self.later: dict[str, float] = {}
        self.pending = FairQueue(turn_of)
        self.moved: set[str] = set()  # names of events since the last rescan began
        self.rescan = True  # only a look at everything can tell what has changed

    # Time

    def expire(self, now: float) -> None:
        """Have the names looked at whose time has come."""
        for name, since in list(self.unfinished.items()):
            if now >= since + self._quiet:
                del self.unfinished[name]
                self.pending.put(name)
        while self._graces and now >= self._graces[0][1] + GRACE:
            name, since = self._graces.popleft()
            if self.missing.get(name) == since:
                self.pending.put(name)
        for name, due in list(self.later.items()):
            if now >= due:
                del self.later[name]
                self.pending.put(name)

    def due(self, *, missing: bool) -> list[float]:
        """When names are to be looked at next; those that are missing only if that is asked."""
        times = list(self.later.values())
        if self.unfinished:
            times.append(min(self.unfinished.values()) + self._quiet)
        if missing and self._graces:
            times.append(self._graces[0][1] + GRACE)
        return times

    def is_gone(self, name: str, now: float) -> bool:
        """Whether a file that is not there has been missing for long enough."""
        since = self.missing.get(name)
        if since is None:
            self.missing[name] = now
            self._graces.append((name, now))
            return False
        if now < since + GRACE:
            return False
        del self.missing[name]
        return True

    def look_again(self, is_there: Callable[[str], bool]) -> None:
        """After a rescan, have the names that are missing looked at again.

        ``is_there`` tells whether the folder of a name is there. If not, no look at the name is
        possible, and the folder's end decides.
        """
        self.missing = {name: since for name, since in self.missing.items() if is_there(name)}
        self._graces = deque(self.missing.items())

    # Directories

    def follow(self, name: str, way: tuple[tuple[str, str], ...]) -> None:
        """A vassal's symlink leads past these names in these directories."""
        for watched in (self.watched, self.coming):
            for directory, file in way:
                steps = watched.setdefault(directory, WatchedDirectory()).steps
                steps.setdefault(file, set()).add(name)

    # Events

    async def take(self) -> set[str]:
        """Sort in all events that have come; the names whose files may have changed.

        Thousands may have come. Other tasks run between some of them, and no timeout loses one.
        """
        changed: set[str] = set()
        for number, (paths, mask, file) in enumerate(self._source.read(), 1):
            if number % _EVENTS == 0:
                await trio.lowlevel.cancel_shielded_checkpoint()
            if mask & watches.OVERFLOW:
                self._lose_closes()
            if not file:  # something happened to the directory itself, or events were lost
                self.rescan = True
            for path in paths if file else ():
                for watched in (self.watched, self.coming):
                    directory = watched.get(path)
                    if directory is not None:
                        self._sort(directory, path, mask, file, changed)
        self.moved |= changed
        return changed

    def _lose_closes(self) -> None:
        """Events were lost: the close of an unfinished file may be one of them."""
        latest = trio.current_time() - self._quiet + QUIET
        for name, since in self.unfinished.items():
            self.unfinished[name] = min(since, latest)

    def _sort(
        self, directory: WatchedDirectory, path: str, mask: int, file: str, changed: set[str]
    ) -> None:
        is_directory = mask & watches.ISDIR
        leads_elsewhere = mask & (watches.MOVED_IN | watches.MOVED_OUT) or (
            mask & watches.ATTRIB and is_directory
        )
        if leads_elsewhere and (
            file in directory.root_links or any(accepts(file) for accepts in directory.parents)
        ):
            self.rescan = True
        if not is_directory and file.endswith(self._extensions):
            for folder in directory.folders:
                if folder.accepts(file):
                    self._note(folder.prefix + file, mask, os.path.join(path, file), changed)
        if self._beside is not None and file.endswith(self._beside) and not is_directory:
            config = file.removesuffix(self._beside)
            if config.endswith(self._extensions):
                for folder in directory.folders:
                    if folder.accepts(config):
                        self._note(folder.prefix + config, mask, os.path.join(path, file), changed)
        for name in directory.steps.get(file, ()):
            self._note(name, mask, os.path.join(path, file), changed)

    def _note(self, name: str, mask: int, path: str, changed: set[str]) -> None:
        """Something happened to the file that a vassal's name leads to."""
        now = trio.current_time()
        if mask & watches.ATTRIB:
            if name not in self.unfinished:
                self.pending.put(name)
            return
        changed.add(name)
        if mask & watches.WRITTEN:
            self.unfinished[name] = now
            self.pending.drop(name)
        elif mask & watches.CREATED and not mask & watches.ISDIR:
            self.unfinished[name] = now
            self.pending.put(name, path)
            self.missing.pop(name, None)
        else:
            self.unfinished.pop(name, None)
            self.pending.put(name)
