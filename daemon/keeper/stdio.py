"""Standard input, output and error, where the parent process has closed or does not read them.

The next file that a process opens gets the lowest free number. If 2 was closed, that may be a
socket or the journal, and the interpreter or a library writes its error message there.

A pipe or a terminal that is not read becomes full. A process that writes to it then waits.
"""

import contextlib
import errno
import json
import os
import select
import stat
import time
from collections.abc import Callable
from typing import Final

from ...monitors import trusted_folder

# In the environment of the keeper and its daemon: the file that standard error is appended to.
FILE: Final = "EMPERORD_STDERR"
# There as well: the form of lines that was chosen.
FORM: Final = "EMPERORD_LOG_FORM"
# There as well: the file of --log-file or --daemonize.
FOLLOWED: Final = "EMPERORD_LOG_FILE"
FORMS: Final = ("text", "json", "journal")
ERROR: Final = 3  # a priority of syslog(3), as the next
WARNING: Final = 4
_APPEND: Final = (
    os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)
_NO_RIGHTS: Final = "this user cannot write there"
STREAMS: Final = ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "-")
LEVELS: Final = {2: "critical", 3: "error", 4: "warning", 6: "info", 7: "debug"}  # by priority


def hold() -> None:
    """Put the null device where nothing is. Called before anything else is opened."""
    while not all(map(_is_open, (0, 1, 2))):  # the lowest free number is the one that it gets
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError as error:
        return error.errno != errno.EBADF
    return True


def is_journal() -> bool:
    """Whether standard error leads to the systemd journal (JOURNAL_STREAM in systemd.exec(5))."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def choose(form: object) -> None:
    """Have lines written in this form; anything else means that which fits standard error."""
    if form in FORMS:
        os.environ[FORM] = str(form)
    else:
        os.environ.pop(FORM, None)


def form() -> str:
    """The form in which the daemon's and the keeper's own lines are written."""
    return os.environ.get(FORM) or ("journal" if is_journal() else "text")


def stamp(at: float) -> str:
    """This Unix time as lines of the log give it."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{seconds}.{int(at * 1000) % 1000:03d}Z"


def written(
    name: str, priority: int, text: str, at: str | None = None, how: str | None = None
) -> str:
    """A line of the log, without its end. The priority is syslog(3)'s, ``at`` a stamp.

    ``how`` is its form, where the caller has asked for that already.
    """
    how = how or form()
    if how == "journal":  # sd-daemon(3); journald adds the time
        return f"<{priority}>{name}: {text}"
    at = stamp(time.time()) if at is None else at
    if how == "json":
        line = {"at": at, "level": LEVELS[priority], "logger": name, "message": text}
        return json.dumps(line)
    return f"{at} {name}: {text}"


def log(name: str, text: str, priority: int = WARNING) -> None:
    """Write a line of the log."""
    say(f"{written(name, priority, text)}\n".encode())


def has_room(number: int, patience: float = 0.0) -> bool:
    """Whether the file takes a line within ``patience`` seconds, so that a write does not wait.

    False where the kernel cannot tell, as without memory: no line of a log is worth its writer.
    """
    waiting = select.poll()
    waiting.register(number, select.POLLOUT)
    with contextlib.suppress(OSError):
        return bool(waiting.poll(patience * 1000))
    return False


def say(line: bytes) -> None:
    """Write to standard error. A reader that is gone or slow neither ends nor delays us."""
    with contextlib.suppress(OSError):
        if has_room(2):
            os.write(2, line)


def remember() -> None:
    """Note which file standard error is, unless the parent has noted it: it may be renamed."""
    try:
        status = os.fstat(2)
        if not stat.S_ISREG(status.st_mode):
            os.environ.pop(FILE, None)
        elif FILE not in os.environ:
            path = os.readlink("/proc/self/fd/2")
            if os.path.samestat(os.stat(path), status):
                os.environ[FILE] = path
    except OSError:
        return


def follow(path: str) -> None:
    """Append standard output and error to this file, which is made if need be. Raises OSError.

    A symlink is refused, because another user may have made it. The names of the standard streams
    mean those that there are.
    """
    os.environ.pop(FOLLOWED, None)
    if path in STREAMS:
        return
    path = os.path.abspath(path)
    opened = _opened(path, 0o640)
    try:
        os.set_blocking(opened, True)
        os.dup2(opened, 1)
        os.dup2(opened, 2)
    finally:
        os.close(opened)
    os.environ[FILE] = os.environ[FOLLOWED] = path


def _opened(path: str, mode: int) -> int:
    """A log, opened to append to it, or made with this mode. Raises OSError with the path.

    As root, no other user can have chosen what it is.
    """
    try:
        folder = trusted_folder.opened(path)
        try:
            opened = os.open(os.path.basename(path) or ".", _APPEND, mode, dir_fd=folder)
            try:
                _judge(os.fstat(opened), shared=trusted_folder.is_shared(folder))
            except BaseException:
                os.close(opened)
                raise
        finally:
            os.close(folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    return opened


def _judge(status: os.stat_result, *, shared: bool) -> None:
    """Raise OSError unless a file may be the log. Its directory may be ``shared`` by all users."""
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISCHR(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    if os.geteuid() == 0 and shared and (status.st_uid != 0 or status.st_nlink > 1):
        raise OSError(
            errno.EPERM, "another user may have put it there; name one in a directory of root's"
        )


def flaw(path: str) -> str | None:
    """Why a file cannot be the log, None if it can. It makes none."""
    name = os.path.basename(path)
    try:
        folder = trusted_folder.opened(os.path.abspath(path))
        try:
            return _flaw_of(name, folder)
        finally:
            os.close(folder)
    except OSError as error:
        return error.strerror


def _flaw_of(name: str, folder: int) -> str | None:
    """The same of a name in a directory. Raises OSError."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        name = "."
    else:
        if stat.S_ISLNK(status.st_mode):
            return "it is a symlink; give the path that it leads to"
        _judge(status, shared=trusted_folder.is_shared(folder))
    if not os.access(name, os.W_OK, dir_fd=folder, effective_ids=True):
        return _NO_RIGHTS
    return None


def not_by_name() -> str | None:
    """Why standard error is not the file that has its path now; None if it is.

    The file was renamed, and SIGUSR1 has not come or could not help.
    """
    path = os.environ.get(FILE)
    if path is None:
        return None
    try:
        there = os.stat(path)
    except OSError:
        there = None
    if there is not None and os.path.samestat(there, os.fstat(2)):
        return None
    if (why := flaw(path)) is not None and why != _NO_RIGHTS:
        return f"it is not written to {path}: {why}"
    place = path if there is not None else os.path.dirname(path)
    if not os.access(place, os.W_OK, effective_ids=True):
        return (
            f"it is not written to {path}, because this user may not write to {place}; chown it, or"
            " give logrotate nocreate, and send USR1"
        )
    return f"it was renamed, so it is not written to {path}; send USR1"


def reopen(complain: Callable[[str], None]) -> bool:
    """Append to the file that has the path of standard error now; whether that is another one.

    Standard output follows if it is the same file.
    """
    path = os.environ.get(FILE)
    if path is None:
        return False
    old = os.fstat(2)
    try:
        opened = _opened(path, stat.S_IMODE(old.st_mode))
    except OSError as error:
        complain(f"the log cannot be reopened: {path}: {error.strerror}")
        return False
    try:
        if os.path.samestat(os.fstat(opened), old):
            return False
        both = os.path.samestat(os.fstat(1), old)
        os.set_blocking(opened, True)
        for number in (1, 2) if both else (2,):
            os.dup2(opened, number)
    finally:
        os.close(opened)
    return True
