"""Directories watched by inotify, so that a change is seen when it happens.

Watching only makes things faster. Where it fails (no inotify, the limit of watches reached, a
network file system that others write to), the next rescan sees the change. So nothing here ever
fails; a watch that cannot be had is logged once.

Watches are added in the thread that scans, since finding a path may block, and read in the event
loop. A watch sticks to the directory that the path led to when it was added. Each rescan adds the
path again, which moves the watch if another directory has taken that place.
"""

import contextlib
import errno
import logging
from collections.abc import Container, Iterable
from typing import Final

import trio
from inotify_simple import flags  # type: ignore[import-untyped]

from ..held_inotify import HeldInotify

_log: Final = logging.getLogger(__name__)

MOVED_IN: Final = int(flags.CREATE | flags.MOVED_TO)
MOVED_OUT: Final = int(flags.DELETE | flags.MOVED_FROM)
WRITTEN: Final = int(flags.MODIFY)
CLOSED: Final = int(flags.CLOSE_WRITE)
CREATED: Final = int(flags.CREATE)
ATTRIB: Final = int(flags.ATTRIB)
ISDIR: Final = int(flags.ISDIR)
OVERFLOW: Final = int(flags.Q_OVERFLOW)
_ITSELF: Final = int(flags.DELETE_SELF | flags.MOVE_SELF)

# For directories where only names matter, and where files matter too.
NAMES: Final = MOVED_IN | MOVED_OUT | ATTRIB | _ITSELF
FILES: Final = NAMES | WRITTEN | CLOSED

# Masks only grow (MASK_ADD): one directory may be reached by two paths, for two reasons.
_ALWAYS: Final = int(flags.ONLYDIR) | int(flags.MASK_ADD)
_NO_MORE: Final = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSYS)


class Watches(HeldInotify):
    """All watches of one run of a monitor. ``label`` is what the log calls it."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label
        self._by_path: dict[str, int] = {}
        self._paths: dict[int, set[str]] = {}
        self._complained = False

    def open(self) -> None:
        """Start watching, if the system lets us and nothing is watched yet.

        Called in a thread, at the begin of each rescan: it may run ldconfig. The system
        may have room now for a descriptor that it refused before.
        """
        if self.inotify is not None or self.is_closed:
            return
        with self:
            try:
                super().open()
            except (OSError, AttributeError) as error:
                self._complain(error)

    def add(self, path: str, mask: int) -> None:
        """Watch the directory that ``path`` leads to now, for NAMES or FILES."""
        if self.inotify is None or self.is_closed:
            return
        try:
            number = self.inotify.add_watch(path or ".", mask | _ALWAYS)
        except OSError as error:
            if error.errno in _NO_MORE:
                self._complain(error)
            self._forget(path)
            return
        if self._by_path.get(path) != number:
            self._forget(path)
            self._by_path[path] = number
            self._paths.setdefault(number, set()).add(path)

    def cover(self, paths: Iterable[str]) -> bool:
        """Whether each of these directories is watched."""
        return self.inotify is not None and all(path in self._by_path for path in paths)

    def keep(self, paths: Container[str]) -> None:
        """Watch nothing but these any longer."""
        for path in [path for path in self._by_path if path not in paths]:
            self._forget(path)

    def _forget(self, path: str) -> None:
        number = self._by_path.pop(path, None)
        if number is None:
            return
        paths = self._paths[number]
        paths.discard(path)
        if not paths:
            del self._paths[number]
            if self.inotify is not None and not self.is_closed:
                with contextlib.suppress(OSError):  # it went with its directory
                    self.inotify.rm_watch(number)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.warning(
                "%s: not all directories can be watched (%s); changes in them are seen by"
                " rescans. To have them seen at once raise fs.inotify.max_user_watches and"
                " fs.inotify.max_user_instances",
                self._label,
                error,
            )

    async def wait(self) -> None:
        """Return when ``read`` has something to give."""
        if self.inotify is None:
            await trio.sleep_forever()
        else:
            await trio.lowlevel.wait_readable(self.inotify)

    def read(self) -> list[tuple[tuple[str, ...], int, str]]:
        """All events since the last read: paths of the directory, mask, name in it.

        An overflow has no path. Events of watches that were removed are left out.
        """
        if self.inotify is None:
            return []
        found: list[tuple[tuple[str, ...], int, str]] = []
        for number, mask, _, name in self.inotify.read(timeout=0):
            if mask & OVERFLOW:
                found.append(((), OVERFLOW, ""))
            elif paths := self._paths.get(number):
                found.append((tuple(paths), mask, name))
        return found
