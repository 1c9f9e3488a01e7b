"""One look at all directories of dir:// or glob://, made in threads by each rescan.

It is a generator, which can be left between two of its steps (see ``rescan``).

It finds the directories that matter. It watches each before it looks at anything in it, so no
change falls between the look and the watch. Each survey finds them anew, so no state can be stale
for longer than the time between two rescans.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ..listing import LIST, REACH, open_directory
from .file_state import Key, Step
from .links import key_of, trail
from .scan import ConfigFolder, Scan
from .watches import FILES, NAMES, Watches


class Searched(Protocol):
    """Where files are looked for, and how their vassals are called."""

    root: str  # the directory without which nothing can be told
    cwd: str | None  # working directory of the vassals

    def survey(self, survey: "Survey") -> Iterator[None]:
        """Show ``survey`` every folder and parent. OSError means that the whole cannot be told."""
        ...

    def locate(self, name: str) -> tuple[str, str]:
        """The prefix of the folder and the file's name in it, for a vassal's name."""
        ...


class WatchedDirectory:
    """Why one directory is watched: which names in it matter, and for what."""

    __slots__ = ("folders", "mask", "parents", "root_links", "steps")

    def __init__(self) -> None:
        self.mask = 0
        self.folders: list[ConfigFolder] = []  # files in here are vassals
        self.steps: dict[str, set[str]] = {}  # name -> vassals whose symlinks lead past it
        self.root_links: set[str] = set()  # names on the way to the root
        self.parents: list[Callable[[str], object]] = []  # directories in here lead to folders


class Survey:
    """One look at everything. Its steps touch nothing but itself and the watches."""

    def __init__(
        self, watches: Watches, scan: "Callable[[Survey], Scan]", *, tyrant: bool = False
    ) -> None:
        self._watches = watches
        self._tyrant = tyrant
        self.watched: dict[str, WatchedDirectory] = {}
        self.folders: dict[str, tuple[ConfigFolder, Key]] = {}  # by the prefix of their paths
        self.device: int | None = None  # of the root
        self.is_doubtful = False  # a directory came while the survey looked for it
        self.found = scan(self)

    def watch(self, path: str, mask: int) -> WatchedDirectory:
        """Watch a directory from now on, before anything in it is looked at."""
        directory = self.watched.get(path)
        if directory is None:
            directory = self.watched[path] = WatchedDirectory()
        if directory.mask | mask != directory.mask:
            directory.mask |= mask
            self._watches.add(path, directory.mask)
        return directory

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

    def folder(self, folder: ConfigFolder) -> Iterator[None]:
        """Take in the files of a directory. Raises OSError if that cannot be done, Denied."""
        self.watch(folder.path, FILES).folders.append(folder)
        descriptor = open_folder(folder, tyrant=self._tyrant)
        try:
            status = os.fstat(descriptor)
            self.folders[folder.prefix] = (folder, key_of(status))
            yield from self.found.folder(folder, descriptor)
        finally:
            os.close(descriptor)

    def parent(self, path: str, accepts: Callable[[str], object]) -> None:
        """Note that directories in this one lead to folders, if their names are accepted."""
        self.watch(path, NAMES).parents.append(accepts)

    def root_links(self, steps: Iterable[Step]) -> None:
        """Note that the way to the root passes here."""
        for directory, name in steps:
            self.watch(directory, NAMES).root_links.add(name)

    def gap(self, root: str, path: str) -> None:
        """Note that a directory below ``root`` is not there.

        If symlinks lead to it, nothing else watches where it would come.
        """
        way = trail(root, path.removeprefix(root))
        if len(way) > 1:
            self.root_links(way)
            # It may have come before the watch.
            self.is_doubtful = self.is_doubtful or os.path.isdir(path)

    def follow(self, name: str, way: tuple[Step, ...]) -> None:
        """Note that a vassal's symlink leads past here."""
        for directory, file in way:
            self.watch(directory, FILES).steps.setdefault(file, set()).add(name)


def open_folder(folder: ConfigFolder, *, tyrant: bool) -> int:
    """A descriptor of the directory. One that is not listed needs no permission to be read.

    Raises OSError, Denied.
    """
    flags = LIST if folder.only is None else REACH
    return open_directory(folder.path, tyrant=tyrant, flags=flags)
