"""Private copies of config texts, from the journal: for preflights, and for former texts of files.

    FOLDER/DIGEST/NAME.ext          of a vassal whose name is the name of a file
    FOLDER/DIGEST/HASH/NAME.ext     of another one; the hash is of the rest of its name

The name stays, because uWSGI makes other values of it (``%n``). Only the vassal's user can read a
copy. All directories belong to the daemon, so no user can change what is at that path. A copy is
kept as long as an attempt or a check holds it.

There are two such folders. One is beside the journal, where other users often cannot get to. So
copies for other users are in the runtime directory, which the daemon lets them pass.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ...journal.places import COPIES
from ...monitors import preflight
from . import command, runtime_folder
from .users import User

Holder = tuple[str, int]
"""A vassal, and the number of its attempt or check."""

_LONGEST_NAME: Final = 200  # bytes
NOT_THERE: Final = "its text is not in the journal as it was recorded"


class ConfigCopies:
    """Makes and removes copies. ``config_text`` finds a text by its digest.

    ``folders`` are that of copies for the daemon's own user, and that of copies for others.
    """

    def __init__(
        self, folders: tuple[str, str] | None, config_text: Callable[[str], bytes | None]
    ) -> None:
        self._folders = None if folders is None else tuple(map(os.path.abspath, folders))
        self._config_text = config_text
        self._held: dict[Holder, str] = {}
        self._lock = threading.Lock()

    def path(self, vassal: str, digest: str, *, of_other: bool = False) -> str:
        """The path of a copy. Raises CannotRun where there is no folder for copies.

        ``of_other``: another user than the daemon's reads it.
        """
        if self._folders is None:
            raise command.CannotRun("this daemon has no folder for copies of configs")
        rest, name = os.path.split(vassal)
        plain = 0 < len(os.fsencode(name)) <= _LONGEST_NAME and name not in (".", "..")
        parts = [] if plain and not rest else [_short(vassal)]
        return os.path.join(self._folders[of_other], digest, *parts, name if plain else "config")

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
        path = self.path(holder[0], digest, of_other=user is not None)
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
        if digest is None or self._folders is None:
            return
        paths = [self.path(holder[0], digest, of_other=each) for each in (False, True)]
        self._held[holder] = next(filter(os.path.exists, paths), paths[0])

    def release(self, holder: Holder) -> None:
        """This attempt or check is over. Blocks."""
        with self._lock:
            path = self._held.pop(holder, None)
            if path is not None and path not in self._held.values():
                self._remove(path)

    def sweep(self) -> None:
        """Remove all copies that are not held, as a former daemon may have left some. Blocks."""
        with self._lock:
            held = set(self._held.values())
            for folder in self._folders or ():
                for path in [each for each in _files(folder) if each not in held]:
                    self._remove(path)

    def _write(self, path: str, text: bytes, user: User | None) -> None:
        mode = 0o700
        if user is not None:
            runtime_folder.made(COPIES, user)
            mode = 0o711
        for folder in _folders(self._top(path), path):
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
        with contextlib.suppress(OSError):
            os.unlink(path)
            for folder in reversed(list(_folders(self._top(path), path))):
                os.rmdir(folder)

    def _top(self, path: str) -> str:
        """The folder that has this copy."""
        assert self._folders is not None
        return next(each for each in self._folders if path.startswith(f"{each}{os.sep}"))


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
                f"uid {user.uid} cannot reach the copy of its config, as it may not pass {folder}:"
                " chmod o+x it, or give the daemon another RUNTIME_DIRECTORY"
            )
        folder = os.path.dirname(folder)
