"""Private copies of config texts, from the journal: for preflights, and for former texts of files.

    FOLDER/DIGEST/NAME.ext          of a vassal whose name is the name of a file
    FOLDER/DIGEST/HASH/NAME.ext     of another one; the hash is of the rest of its name

The name stays, because uWSGI makes other values of it (``%n``). Only the vassal's user can read a
copy. All directories belong to the daemon, so no user can change what is at that path. A copy is
kept as long as an attempt or a check holds it.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ...monitors import preflight
from . import command
from .users import User

Holder = tuple[str, int]
"""A vassal, and the number of its attempt or check."""

_LONGEST_NAME: Final = 200  # bytes
NOT_THERE: Final = "its text is not in the journal as it was recorded"


class ConfigCopies:
    """Makes and removes copies below ``folder``. ``config_text`` finds a text by its digest."""

    def __init__(self, folder: str | None, config_text: Callable[[str], bytes | None]) -> None:
        self._folder = None if folder is None else os.path.abspath(folder)
        self._config_text = config_text
        self._held: dict[Holder, str] = {}
        self._lock = threading.Lock()

    def path(self, vassal: str, digest: str) -> str:
        """The path of a copy. Raises CannotRun where there is no folder for copies."""
        if self._folder is None:
            raise command.CannotRun("this daemon has no folder for copies of configs")
        rest, name = os.path.split(vassal)
        plain = 0 < len(os.fsencode(name)) <= _LONGEST_NAME and name not in (".", "..")
        parts = [] if plain and not rest else [_short(vassal)]
        return os.path.join(self._folder, digest, *parts, name if plain else "config")

    def make(
        self, holder: Holder, digest: str | None, user: User | None, *, to_run: bool = False
    ) -> str:
        """Make the copy for this holder; its path. Blocks. Raises CannotRun, OSError.

        One that is ``to_run`` must mean the same as its file did. A journal of a former version
        does not say so.
        """
        text = None if digest is None else self._config_text(digest)
        if digest is None or text is None:
            raise command.CannotRun(NOT_THERE)
        if to_run and (bound := preflight.bound_by(text)):
            raise command.CannotRun(
                f"its former text has {bound}, which means another thing in a copy; change its"
                " config so that its preflight passes"
            )
        path = self.path(holder[0], digest)
        with self._lock:
            self._held[holder] = path
            try:
                self._write(path, text, user)
            except BaseException:
                self._held.pop(holder)
                self._remove(f"{path}.new")  # else a full disk gets no room back
                raise
        if user is not None:
            _check_way(path, user)
        return path

    def hold(self, holder: Holder, digest: str | None) -> None:
        """A process that another daemon started runs from the copy of this text."""
        if digest is not None and self._folder is not None:
            self._held[holder] = self.path(holder[0], digest)

    def release(self, holder: Holder) -> None:
        """This attempt or check is over. Blocks."""
        with self._lock:
            path = self._held.pop(holder, None)
            if path is not None and path not in self._held.values():
                self._remove(path)

    def sweep(self) -> None:
        """Remove all copies that are not held, as a former daemon may have left some. Blocks."""
        if self._folder is None:
            return
        with self._lock:
            held = set(self._held.values())
            for path in [each for each in _files(self._folder) if each not in held]:
                self._remove(path)

    def _write(self, path: str, text: bytes, user: User | None) -> None:
        assert self._folder is not None
        mode = 0o700 if user is None else 0o711
        for folder in _folders(self._folder, path):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, mode)
            if user is not None:
                os.chmod(folder, mode)
        new = f"{path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        with open(descriptor, "wb") as file:
            if user is not None:
                os.fchown(file.fileno(), user.uid, user.gid)
            file.write(text)
        os.rename(new, path)

    def _remove(self, path: str) -> None:
        """Remove a copy, and the directories that are empty then."""
        assert self._folder is not None
        with contextlib.suppress(OSError):
            os.unlink(path)
            for folder in reversed(list(_folders(self._folder, path))):
                os.rmdir(folder)


def _short(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def _folders(top: str, path: str) -> Iterator[str]:
    """The directories from ``top`` to the one with the file, the outermost first."""
    yield top
    parts = os.path.relpath(os.path.dirname(path), top).split(os.sep)
    for count in range(1, len(parts) + 1):
        yield os.path.join(top, *parts[:count])


def _files(top: str) -> Iterable[str]:
    for folder, _, names in os.walk(top):
        yield from (os.path.join(folder, name) for name in names)


def _check_way(path: str, user: User) -> None:
    """Raise CannotRun where this user may not pass a directory above a copy."""
    folder = os.path.dirname(path)
    while folder != os.path.dirname(folder):
        status = os.stat(folder)
        shift = 0
        if status.st_uid == user.uid:
            shift = 6
        elif status.st_gid in (user.gid, *user.groups):
            shift = 3
        if not (status.st_mode >> shift) & 1:
            raise command.CannotRun(
                f"uid {user.uid} cannot reach the copy of its config in {folder}: chmod o+x it, or"
                " let the journal be in another directory"
            )
        folder = os.path.dirname(folder)
