"""A vassal's own log: one file each, opened for append and handed over as it is.

There is no pipe between a vassal and its log that could break when the daemon dies. The daemon cuts
a log that is too long (``log_rotation.py``). In tyrant mode a log belongs to the vassal's user; a
vassal of another user gets a new one. Its older parts are the daemon's (``older_parts.py``).

If logrotate renames a log, the vassal writes on to the renamed file: it has that open, and the
daemon cannot change that. Its next start has a new one. Until then the daemon says so. If the
directory is removed, the next start makes it anew.
"""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ...journal.locked_files import NO_JOURNAL, LockedFiles
from . import older_parts
from .log_cuts import LogFile
from .log_rotation import LogRotation
from .older_parts import UNHELD

log = logging.getLogger("emperor.host")

LOGROTATE: Final = str(Path(__file__).resolve().parents[2] / "docs" / "emperor.logrotate")
MOST_PARTS: Final = 1000  # of one log: each cut renames them
LAST_LINES: Final = 10
REMOVED: Final = "a removed file"
ELSEWHERE: Final = "a file that was moved away or removed"
_LAST_BYTES: Final = 2048
_LONGEST_NAME: Final = 200


def log_name(vassal: str) -> str:
    """A file name for any vassal's name: readable, unique, never a path."""
    name = quote(vassal, safe=" +,:=@()[]")
    if len(name) > _LONGEST_NAME:
        name = name[: _LONGEST_NAME - 33] + "-" + hashlib.sha256(vassal.encode()).hexdigest()[:32]
    return name + ".log"


def keep_former(path: str, journal: str, vassals: Iterable[str]) -> str | None:
    """Have ``path`` lead to the logs of a journal that 0.1.0 began; where they are, if they are.

    0.1.0 kept them in ``logs`` beside the journal, for all journals there. Vassals that it started
    have these files open. Where none of the ``vassals`` has a log in it, it is another program's.
    Raises OSError.
    """
    former = os.path.join(os.path.dirname(journal), "logs")
    if os.path.lexists(path) or not os.path.isdir(former):
        return None
    if not any(os.path.lexists(os.path.join(former, log_name(each))) for each in vassals):
        return None
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    os.symlink(former, path)
    return former


class NoLog(OSError):
    """A vassal's log cannot be opened; ``filename`` is the path that is to blame."""


class LogRoom:
    """The room in the file system of a directory, as it was at the last look.

    A vassal whose write fails seldom says so: its lines are lost.
    """

    def __init__(self, directory: str) -> None:
        self.full = False
        self._directory = directory

    def look(self) -> bool:
        """See whether users other than root can write nothing more; True where that is new."""
        before, self.full = self.full, self._is_full()
        return self.full and not before

    def _is_full(self) -> bool:
        try:
            room = os.statvfs(self._directory)
        except OSError:  # the directory was removed
            return False
        return room.f_blocks > 0 and room.f_bavail == 0  # without blocks it says nothing

    @property
    def text(self) -> str:
        """A text for the operator about a full file system."""
        return (
            f"{self._directory}: the file system is full, so lines of vassals' logs are lost; make"
            " room there"
        )


class LogDirectory:
    """Where the logs are.

    A log is cut at the size ``limit``, in bytes. Of what was cut away, ``keep`` older parts stay.
    No log is one of the ``locked`` files.
    """

    def __init__(
        self, path: str, limit: int, keep: int = 1, locked: LockedFiles = NO_JOURNAL
    ) -> None:
        """Raises OSError, whose text says what to do."""
        self._path = path
        self._absolute = os.path.abspath(path)
        self._limit = limit
        self._journal_files = locked
        self._rotation = LogRotation(limit, keep, locked)
        self._made = _make(path)  # by this daemon
        self._of_others = False  # logs can be other users'
        self._lock: int | None = None
        self.others = False  # another daemon keeps its logs here
        self.room = LogRoom(path)
        self._canonical = os.path.realpath(path)  # as /proc names it
        self._status = os.stat(path)

    @property
    def directory(self) -> str:
        """The path of the directory."""
        return self._path

    def path(self, vassal: str) -> str:
        return os.path.join(self._path, log_name(vassal))

    def absolute(self, vassal: str) -> str:
        """The same for a reader in another directory."""
        return f"{self._absolute}/{log_name(vassal)}"

    def give_away(self) -> None:
        """Make sure that logs in here can be other users' (tyrant mode). Raises OSError.

        Only root may make files here, so what is opened here is what we made. In a directory that
        this daemon made, each user may reach their own log by its name. The mode of any other
        directory is its maker's decision: a vassal gets its log open, and needs no way to it.
        """
        status = os.stat(self._path)
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OSError(
                f"{self._path}: logs of other users must be in a directory that only root can"
                " write to; chown and chmod it, or give another --log-directory"
            )
        self._of_others = True
        if self._made:
            os.chmod(self._path, stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            self._status = os.stat(self._path)

    def look_for_others(self) -> bool:
        """See whether another daemon keeps its logs here; True where that is new.

        The first daemon locks the directory.
        """
        before, self.others = self.others, self._lock is None and not self._locked()
        return self.others and not before

    def _locked(self) -> bool:
        """Lock the directory; False if another daemon has done so."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:  # it may be one that cannot be read
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            return error.errno != errno.EWOULDBLOCK
        self._lock = descriptor
        return True

    def close(self) -> None:
        """Leave the directory to another daemon."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def sharing(self) -> str:
        """A text for the operator of two daemons with one directory."""
        return (
            f"{self._path}: another emperor keeps its logs there too, so vassals of one name share"
            " a log; give one of them another --log-directory"
        )

    def open(self, vassal: str, owner: tuple[int, int] | None = None) -> int:
        """A descriptor to append to the vassal's log, created 0640, and its ``owner``'s.

        Without an owner it is the daemon's user's. A log of another owner becomes the older part,
        which is the daemon's and which that owner's group may read. Raises NoLog.
        """
        path = self.path(vassal)
        try:
            try:
                return self._opened(path, owner)
            except FileNotFoundError:  # the directory was removed
                self._make_again()
                return self._opened(path, owner)
        except OSError as error:
            raise NoLog(error.errno, error.strerror, error.filename or path) from error

    def _opened(self, path: str, owner: tuple[int, int] | None) -> int:
        self._rotation.set_aside(path, owner)
        flags = UNHELD | os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = self._journal_files.open(path, flags, 0o640)
        try:
            os.set_blocking(descriptor, True)  # the vassal is to have it as ever
            if owner is not None:
                os.fchown(descriptor, *owner)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _make_again(self) -> None:
        """Make the directory with the owner and mode that it had at the start. Raises OSError."""
        place = os.path.realpath(self._path)  # it may be a link whose directory was removed
        try:
            os.makedirs(place, mode=0o750)
        except FileExistsError:
            return  # another daemon has just made it
        made = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with contextlib.suppress(PermissionError):  # only root can give it to another user
                os.fchown(made, self._status.st_uid, self._status.st_gid)
            os.fchmod(made, stat.S_IMODE(self._status.st_mode))
        finally:
            os.close(made)
        self._canonical = place
        self.close()  # the lock was that of the removed directory
        log.warning("%s: the directory of logs was removed; it is made anew", self._path)

    def end(self, descriptor: int) -> tuple[LogFile, int]:
        """Which file an open log is, and the place of its end, as ``last_lines`` takes it."""
        return self._rotation.cuts.end(descriptor)

    def end_of(self, vassal: str) -> int:
        """The place of the end of a vassal's log. Raises OSError."""
        try:
            return self._rotation.cuts.end(self.path(vassal))[1]
        except FileNotFoundError:
            return 0

    def written_by(self, pid: int, vassal: str) -> LogFile | None:
        """The vassal's log that a process has as its output; None where that is not known.

        Other files can be in here: uWSGI's own log (``logto``) takes the place of its output.
        """
        name = log_name(vassal)
        for number in (1, 2):
            link = f"/proc/{pid}/fd/{number}"
            try:
                directory, base = os.path.split(os.readlink(link))
                if directory == self._canonical and base.startswith(name):
                    status = os.stat(link)
                    return LogFile.of(status)
            except OSError:
                continue
        return None

    def renamed_to(self, vassal: str, file: LogFile, pid: int | None = None) -> str | None:
        """Where the vassal's log is if it is not at its path: a path, or words.

        Its process ``pid`` may have left it for another output; then there is nothing to tell.
        """
        path = self.path(vassal)
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(path)
            if LogFile.of(status) == file:
                return None
        if pid is not None:
            with contextlib.suppress(OSError):  # it is gone, or not for us to look at
                return _output_in(pid, file)
        with contextlib.suppress(FileNotFoundError), os.scandir(self._path) as entries:
            for entry in entries:
                if entry.inode() == file.inode:
                    return entry.path
        return ELSEWHERE

    def last_lines(self, vassal: str, since: int, file: LogFile | None = None) -> str:
        """The last lines written after the place ``since``; empty if there are none.

        They are read from this ``file``, if it is in the directory under another name now. If the
        log was cut, they are read from the older part as well.
        """
        try:
            path = self.path(vassal)
            if file is not None:
                path = self.renamed_to(vassal, file) or path
            if path in (REMOVED, ELSEWHERE):
                return ""
            last = self._rotation.cuts.last_bytes(path, since, _LAST_BYTES)
        except OSError:
            return ""
        lines = last.decode(errors="backslashreplace").splitlines()
        return "\n".join(lines[-LAST_LINES:])

    def is_in_order(self, vassal: str, file: LogFile | None) -> bool:
        """Whether nothing need be done about a log: one look tells, where that is so."""
        if file is None:
            return False
        try:
            status = os.lstat(self.path(vassal))
        except FileNotFoundError:
            return False
        same = LogFile.of(status) == file
        return same and not older_parts.is_over(status, self._limit)

    def bound(self, vassal: str) -> bool:
        """Cut the log if it is over the limit; unless none is kept, its end stays as ``.1``.

        Lines that are written between the copy of that end and the cut are lost. Raises OSError:
        LinesLost if it was cut, and less of its end was kept.
        """
        return self._rotation.bound(self.path(vassal))

    def bound_held(self, path: str) -> None:
        """Cut a log or an older part on which its owner has a lease. Blocks for 45 s at most.

        Raises OSError.
        """
        self._rotation.bound_held(path)

    def bound_others(self) -> tuple[dict[str, int], OSError | None]:
        """Keep all files of other users here within bounds, whether their vassals run or not.

        The result has the paths that their owners hold by a lease, and the owners' uids. And it has
        an error of the other paths, LinesLost before others. Raises OSError if nothing is done.
        """
        if not self._of_others:
            return {}, None
        return self._rotation.bound_others(self._path)


def _make(path: str) -> bool:
    """Make the directory of logs; whether it was not there. Raises OSError with an advice."""
    reason, made = None, not os.path.lexists(path)
    try:
        os.makedirs(path, mode=0o750, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
            reason = "this user may not write there"
    except FileExistsError:
        reason = "that is no directory"
    except OSError as error:
        reason = error.strerror
    if reason is not None:
        raise OSError(
            f"{path}: logs of vassals cannot be kept there: {reason};"
            " give another --log-directory, or --log inherit"
        )
    return made


def _output_in(pid: int, file: LogFile) -> str | None:
    """The path by which a process has this file as its output; None if it has others. OSError."""
    for number in (1, 2):
        link = f"/proc/{pid}/fd/{number}"
        status = os.stat(link)
        if LogFile.of(status) == file:
            return os.readlink(link) if status.st_nlink else REMOVED
    return None
