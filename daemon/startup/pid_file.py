"""``--pidfile``: the pid to which an operator or a script sends TERM and HUP.

It is the keeper's, because that one outlives daemons and upgrades. If the keeper dies, the daemon
writes its own. Root may write the file, so no symlink that another user controls leads there. The
file appears whole, by a rename. It is removed only while it has the pid that was written.
"""

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Sequence
from typing import Final

import trio

from ...monitors import trusted_folder, working_directory
from ..keeper.link import KeeperLink

log = logging.getLogger("emperor")

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LONGEST: Final = 32  # bytes of a pid file that are read


class PidFiles:
    """The pid files of one daemon. A file that cannot be written or removed ends nothing."""

    def __init__(self, paths: Sequence[str], keeper: KeeperLink) -> None:
        self.troubles: dict[str, tuple[int | None, str]] = {}  # why a file was not written
        # The working directory may be another one at the end.
        self._paths = [os.path.join(working_directory.current(), path) for path in paths]
        self._keeper = keeper
        self._pid = 0

    def write(self) -> None:
        """Write the pid of the keeper, or of this daemon where there is none."""
        self._pid = self._keeper.pid if self._keeper.alive else os.getpid()
        for path in self._paths:
            try:
                write(path, self._pid)
            except OSError as error:
                log.error("--pidfile %s cannot be written: %s", path, error.strerror)
                self.troubles[f"--pidfile {path}"] = None, f"not written: {error.strerror}"
            else:
                self.troubles.pop(f"--pidfile {path}", None)

    async def follow(self) -> None:
        """Write the daemon's own pid when the keeper dies."""
        if not self._paths or not self._keeper.alive:
            return
        try:
            keeper = os.pidfd_open(self._keeper.pid)
        except OSError:  # it died just now
            self.write()
            return
        try:
            await trio.lowlevel.wait_readable(keeper)
        finally:
            os.close(keeper)
        self.write()

    def remove(self) -> None:
        """Remove the files that still have the pid that was written."""
        for path in self._paths:
            try:
                remove(path, self._pid)
            except OSError as error:
                log.warning("--pidfile %s is not removed: %s", path, error.strerror)


def flaw(paths: Sequence[str]) -> str | None:
    """Why one of the files could not be written, None if all could. It writes none."""
    for path in paths:
        try:
            folder = trusted_folder.opened(path, judged=False)
            try:
                _refuse_special(path, folder)
                if not os.access(".", os.W_OK, dir_fd=folder, effective_ids=True):
                    raise OSError(errno.EACCES, "this user may not write to its directory")
            finally:
                os.close(folder)
        except OSError as error:
            return f"--pidfile {path} cannot be written: {error.strerror}"
    return None


def write(path: str, pid: int) -> None:
    """Put the pid into the file, in place of a former file or symlink. Raises OSError."""
    folder = trusted_folder.opened(path, judged=False)
    name = os.path.basename(path)
    beside = f".{name}.{os.getpid()}"
    try:
        _refuse_special(path, folder)
        with contextlib.suppress(FileNotFoundError):  # of a former process with our pid
            os.unlink(beside, dir_fd=folder)
        try:
            with open(os.open(beside, _NEW, 0o644, dir_fd=folder), "w") as file:
                file.write(f"{pid}\n")
            os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=folder)
            raise
    finally:
        os.close(folder)


def remove(path: str, pid: int) -> None:
    """Remove the file if it has this pid. Raises OSError."""
    folder = trusted_folder.opened(path, judged=False)
    name = os.path.basename(path)
    try:
        with open(os.open(name, _READ, dir_fd=folder), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return
            if file.read(_LONGEST).strip() == str(pid).encode():
                os.unlink(name, dir_fd=folder)
    except (FileNotFoundError, IsADirectoryError):
        return
    except OSError as error:
        if error.errno != errno.ELOOP:  # a symlink took its place: it is not ours
            raise
    finally:
        os.close(folder)


def _refuse_special(path: str, folder: int) -> None:
    """Raise OSError if a device, a pipe, a socket or a directory has the name."""
    name = os.path.basename(path)
    if name in ("", ".", ".."):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise OSError(errno.EEXIST, "something is there that is no regular file")
