"""Tyrant mode: the way from the root to a file, and who could lead it elsewhere.

A way is walked component by component. Each is opened below the one before, without an effect on it
(O_PATH) and without following it. It is judged by that descriptor. So what is judged is what was
passed. If only root and one user can write to each directory, no other user can replace the next
component from that moment on. That holds for components that were passed already, for the file that
is read, and for the one that the vassal opens later.
"""

import os
import stat
from collections.abc import Iterator
from typing import Final, NamedTuple

from .private_groups import MEMBERS, Members, NotKnown
from .resolving import PROC, Components, LeadsIntoProc, component, file_system
from .writers import Writer, writers

_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_JUDGED: Final = stat.S_IFMT(0o777777) | stat.S_ISVTX  # the bits of a mode that are compared


class Step(NamedTuple):
    """A directory, a symlink or a file on a way, as far as the judgement depends on it.

    ``mode`` is its type, and whether it is sticky. ``made`` is the ctime of a symlink, which tells
    it from another one that has its inode. ``shared``: it has several hard links.
    """

    path: str
    device: int
    inode: int
    mode: int
    uid: int
    writers: tuple[Writer, ...]
    made: int
    shared: bool

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_sticky_directory(self) -> bool:
        return self.is_directory and bool(self.mode & stat.S_ISVTX)

    def is_at(self, status: os.stat_result) -> bool:
        """Whether it is the file that has this status."""
        return (self.device, self.inode) == (status.st_dev, status.st_ino)

    def open_to_others(self, owner: int) -> tuple[Writer, ...]:
        """The users besides root and the owner who may write there."""
        return tuple(each for each in self.writers if not each.is_one_of((0, owner)))


WalkedPath = tuple[Step, ...]


class PathWalker:
    """Compares ways with those of before. It lives for one scan, and looks once at each step."""

    def __init__(self, members: Members = MEMBERS) -> None:
        self._members = members
        self._looks: dict[str, Step | None] = {}
        self._same: dict[int, bool] = {}
        self._kept: dict[WalkedPath, WalkedPath] = {}

    def walk(self, path: str) -> WalkedPath:
        """The way to what is at an absolute path, the end included.

        Raises OSError, LeadsIntoProc, TooManyComponents, NotKnown.
        """
        return tuple(self.steps(path))

    def steps(self, path: str) -> Iterator[Step]:
        """The same, each as it is passed, as far as there is something."""
        return _walk(path, self._members)

    def keep(self, way: WalkedPath) -> WalkedPath:
        """The same way; it is there once, however many files have it."""
        return self._kept.setdefault(way, way)

    def is_same(self, way: WalkedPath) -> bool:
        """Whether a way is as it was when it was walked; its caller holds on to it."""
        same = self._same.get(id(way))
        if same is None:
            same = self._same[id(way)] = self._compare(way)
        return same

    def _compare(self, way: WalkedPath) -> bool:
        try:
            return all(self._look(step.path) == step for step in way)
        except NotKnown:
            return True  # until it is known again

    def _look(self, path: str) -> Step | None:
        """The status of the path now, None if nothing is there. Raises NotKnown."""
        if path not in self._looks:
            try:
                self._looks[path] = _step(path, path, os.lstat(path), self._members)
            except OSError:
                self._looks[path] = None
        return self._looks[path]


def _walk(path: str, members: Members) -> Iterator[Step]:
    """Each step, as it is passed. Two descriptors are open at most, however long the way is."""
    ahead = Components(path)
    at, here = "/", os.open("/", _PATH)
    try:
        yield _opened(at, here, members)
        while ahead:
            part = ahead.take()
            if part in ("", "."):
                continue
            path_there = os.path.dirname(at) if part == ".." else os.path.join(at, part)
            there = component(part, here, more=bool(ahead))
            try:
                step = _opened(path_there, there, members)
                yield step
                if not stat.S_ISLNK(step.mode):
                    at, here, there = path_there, there, here
                    continue
                target = _target(there, path)
            finally:
                os.close(there)
            ahead.follow(target)
            if target.startswith("/"):
                root = os.open("/", _PATH)
                os.close(here)
                at, here = "/", root
    finally:
        os.close(here)


def _target(link: int, path: str) -> str:
    """Where a symlink on the path leads. Raises LeadsIntoProc, OSError."""
    if file_system(link) == PROC:
        raise LeadsIntoProc(path)
    return os.readlink("", dir_fd=link)


def _opened(path: str, descriptor: int, members: Members) -> Step:
    return _step(path, f"/proc/self/fd/{descriptor}", os.fstat(descriptor), members)


def _step(path: str, itself: str, status: os.stat_result, members: Members) -> Step:
    linked = stat.S_ISLNK(status.st_mode)
    return Step(
        path,
        status.st_dev,
        status.st_ino,
        status.st_mode & _JUDGED,
        status.st_uid,
        writers(itself, status, members),
        status.st_ctime_ns if linked else 0,
        status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode),
    )
