"""A look at single files of dir:// or glob://, made in a thread for a batch of changed names.

The result of a look counts only if the folder is the same directory at its beginning and at its
end. Otherwise a directory that was exchanged meanwhile would seem to have lost its files. The
watcher then rescans (``doubtful``).
"""

import contextlib
import math
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from .. import names
from ..options import MonitorOptions
from ..regular_file import Denied
from . import fair_queue
from .allowance import SPENT
from .fair_queue import SCANNED, How
from .file_state import Absent, FileState, Found, Key, Record, Step, Unsettled
from .links import NO_OWNER, is_there, key_of
from .reader import Reader
from .scan import ConfigFolder, misfit
from .survey import Searched, open_folder
from .watches import FILES, Watches

FileStates = dict[str, FileState | str]  # the file's state; or, as text, why it may not be a vassal
SymlinkPaths = list[tuple[str, tuple[Step, ...]]]


class Examination:
    """The findings of one look at single files. It ends when its time is over. It also ends when
    its texts are large, because the journal takes as long for 1 MiB as for many small texts.

    ``states`` has each file's state, or why it may not be a vassal. ``ways`` are those of symlinks,
    which are watched now. ``doubtful``: a directory is not the one that was scanned. ``left`` are
    the names that the look did not reach.
    """

    def __init__(self) -> None:
        self.states: FileStates = {}
        self.ways: SymlinkPaths = []
        self.doubtful = False
        self.left: list[str] = []
        self.size = 0  # bytes of texts
        self._end = math.inf

    def is_over(self) -> bool:
        """Whether no other file is to be looked at. The first one is, however long it takes."""
        now = time.monotonic()
        if self._end == math.inf:
            self._end = now + fair_queue.PIECE
            return False
        return now >= self._end or self.size >= fair_queue.LARGE


class FolderView:
    """The findings in one folder. They count if the folder is still the directory that was scanned.

    Files of another directory say nothing about ours.
    """

    def __init__(self, folder: ConfigFolder, key: Key, directory: int) -> None:
        self.folder = folder
        self.directory = directory
        self._key = key
        self.states: FileStates = {}

    def holds(self) -> bool:
        """Whether what was seen counts."""
        try:
            return key_of(os.stat(self.folder.path)) == self._key
        except OSError:
            return False


class FileExaminer:
    """Looks at single files, in a thread. It changes nothing but the watches.

    ``folders`` and ``records`` are those of the last rescan. ``spent`` names the files whose new
    state is not taken for now. ``beat`` is called whenever the thread makes progress.
    """

    def __init__(
        self,
        place: Searched,
        options: MonitorOptions,
        reader: Reader,
        watches: Watches,
        beat: Callable[[], None],
        folders: Mapping[str, tuple[ConfigFolder, Key]],
        records: Mapping[str, Record],
        spent: Collection[str],
    ) -> None:
        self._place = place
        self._options = options
        self._reader = reader
        self._watches = watches
        self._beat = beat
        self._folders = folders
        self._records = records
        self._spent = spent

    def look(self, batch: Mapping[str, How]) -> Examination:
        """Look at the files in the order of the batch."""
        look = Examination()
        views: dict[str, FolderView | None] = {}
        with self._watches, contextlib.ExitStack() as opened:
            for name, how in batch.items():
                self._beat()
                if look.is_over():
                    look.left.append(name)
                elif not how or not _gets_close(how):
                    prefix, file = self._place.locate(name)
                    if prefix not in views:
                        views[prefix] = self._open(prefix, opened)
                    if (view := views[prefix]) is not None:
                        scanned = how == SCANNED
                        state = self._state_of(name, view, file, look.ways, scanned=scanned)
                        view.states[name] = state
                        if isinstance(state, Found):
                            look.size += len(state.content or b"")
            for view in views.values():
                if view is None or not view.holds():
                    look.doubtful = True
                else:
                    look.states.update(view.states)
        return look

    def owners(self, unsorted: Iterable[str]) -> list[tuple[str, int]]:
        """The owners of names, as many as a piece has time for."""
        found: list[tuple[str, int]] = []
        end = time.monotonic() + fair_queue.PIECE
        for name in unsorted:
            self._beat()
            prefix, file = self._place.locate(name)
            owner = NO_OWNER
            if prefix in self._folders:
                with contextlib.suppress(OSError):
                    owner = os.lstat(os.path.join(self._folders[prefix][0].path, file)).st_uid
            found.append((name, owner))
            if time.monotonic() >= end:
                break
        return found

    def _open(self, prefix: str, opened: contextlib.ExitStack) -> FolderView | None:
        """A folder to look at, None if it is not the directory that was scanned."""
        if prefix not in self._folders:
            return None
        folder, key = self._folders[prefix]
        try:
            view = FolderView(folder, key, open_folder(folder, tyrant=self._options.tyrant))
        except (Denied, OSError):
            return None
        opened.callback(os.close, view.directory)
        try:
            return view if key_of(os.fstat(view.directory)) == key else None
        except OSError:
            return None

    def _state_of(
        self, name: str, view: FolderView, file: str, ways: SymlinkPaths, *, scanned: bool
    ) -> FileState | str:
        def watch(way: tuple[Step, ...]) -> None:
            ways.append((name, way))
            for directory, _ in way:
                self._watches.add(directory, FILES)

        known = self._records.get(name)
        if name in self._spent and is_there(view.directory, file):
            return Unsettled(SPENT)
        step = (view.directory, view.folder.path, file)
        state = self._reader.look(name, step, known, watch, scanning=scanned)
        flaw = None
        if isinstance(state, Found):
            flaw = misfit(view.folder, state, self._options)
        if known is None and not isinstance(state, Absent):
            flaw = names.flaw(name, self._options.extra_extension) or flaw
        return flaw or state


def _gets_close(path: str) -> bool:
    """Whether a name that has appeared is a new file, which will be closed when it is written."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
