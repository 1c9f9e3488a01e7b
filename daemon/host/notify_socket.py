"""The ``NOTIFY_SOCKET`` of an attempt: a datagram socket of its own.

It has a path, no abstract name. A file has an owner and a mode, so the kernel refuses messages of
other users. An abstract name can be found and flooded by each user, and it does not exist in
another network namespace. The file is in ``notify`` in the runtime directory:

    RUNTIME_DIRECTORY/notify/JOURNAL.ATTEMPT    hashes of the journal's identity and the mark, short
                                                as an address has 107 bytes at most

The keeper holds the socket under a name of its own. So a message stays in it when the daemon dies,
and a daemon that does not know such sockets closes it.
"""

import base64
import contextlib
import errno
import hashlib
import os
import socket
import struct
from collections.abc import Collection
from typing import Final, NamedTuple

from ...journal.events import Spec
from ...journal.leaky_bucket import Bucket
from ...journal.places import runtime_directory
from ...monitors import readiness
from ..keeper.link import KeeperLink
from ..keeper.refusals import PASSING
from . import descriptors, main_process, runtime_folder
from .command import CannotRun
from .main_process import MainProcess
from .notify_messages import LONGEST
from .read_limit import ReadLimit
from .users import User

KEPT: Final = "notify:"  # prefix of the names under which the keeper holds them
_BURST: Final = 10
_LONGEST_PATH: Final = 107  # bytes, see unix(7)
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ROOM: Final = socket.CMSG_LEN(_CREDENTIALS.size)  # none for descriptors: they are not looked at


class Datagram(NamedTuple):
    """The first message that waits, and its sender as the kernel knows it."""

    data: bytes
    pid: int
    uid: int


class NotifySocket:
    """The daemon's end. ``path`` is where the vassal sends to."""

    def __init__(self, end: socket.socket, path: str, kept_name: str) -> None:
        end.setblocking(False)
        self.end = end
        self.path = path
        self.kept_name = kept_name
        self.read_limit = ReadLimit()
        self.waits = False  # a message was taken in whose events are not durable yet
        self.records = Bucket(_BURST, 1.0)  # messages of which each is an event
        self.reloaded_at = (
            0  # when it got its last reload signal, in microseconds (CLOCK_MONOTONIC)
        )
        self.says_reloads = (
            False  # it says when it reloads, so READY=1 without that is an older one
        )
        self.reloads = 0  # the reload of which it has said so
        self.main: MainProcess | None = None  # which gets the signals of the vassal
        self.status = ""  # the last one that the vassal sent
        self.is_telling = False  # the keeper is about to be told of it

    @classmethod
    def make(
        cls, keeper: KeeperLink, mark: str, identity: str | None, user: User | None
    ) -> "NotifySocket":
        """A socket for the attempt with this mark, which the keeper holds. Blocks.

        Raises CannotRun, and OSError for what may pass.
        """
        try:
            path = os.path.join(runtime_folder.made("notify", user), _file_name(mark, identity))
            end = _bound(path, user)
        except OSError as error:
            if error.errno in PASSING:
                raise
            raise CannotRun(
                f"its NOTIFY_SOCKET cannot be made in {runtime_directory()}: {error.strerror}; give"
                " the daemon another RUNTIME_DIRECTORY"
            ) from None
        made = cls(end, path, KEPT + mark)
        keeper.keep(made.kept_name, [end.fileno()], {"path": path})
        return made

    @classmethod
    def inherited(cls, keeper: KeeperLink, mark: str) -> "NotifySocket | None":
        """The socket of an attempt that a former daemon started; None if it has none."""
        kept = keeper.take(KEPT + mark)
        if kept is None:
            return None
        found = cls(
            socket.socket(fileno=kept.descriptors[0]), str(kept.about.get("path")), KEPT + mark
        )
        found.status = str(kept.about.get("status", ""))
        pid, start = kept.about.get("main", (0, 0))
        if pid:
            found.main = main_process.found(pid, lambda _, started: started == start)
        return found

    def variables(self, required_heartbeat: float) -> dict[str, str]:
        """The variables by which the vassal finds it, and sends heartbeats often enough.

        ``WATCHDOG_PID`` is left out, as there is no pid yet: each process of the vassal may send.
        """
        usec = str(int(required_heartbeat * 1_000_000))
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": usec}

    def peek(self) -> Datagram | None:
        """The first message, which stays; None if there is none. Raises OSError.

        Of one that is too long there is one byte more than allowed. One without credentials has
        pid 0.
        """
        try:
            data, more, _, _ = self.end.recvmsg(LONGEST + 1, _ROOM, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        for level, kind, sent in more:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid, uid, _ = _CREDENTIALS.unpack(sent[: _CREDENTIALS.size])
                return Datagram(data, pid, uid)
        return Datagram(data, 0, -1)

    def consume(self) -> None:
        """Remove the first message; descriptors that came with it are closed. Raises OSError."""
        descriptors.take(self.end, 1)

    def tell_status(self, keeper: KeeperLink) -> None:
        """Have the keeper know the status, for the next daemon."""
        keeper.tell_about(self.kept_name, {"status": self.status})

    def use_main(self, keeper: KeeperLink, main: MainProcess | None) -> None:
        """Have this process get the signals of the vassal; None: its leader."""
        former, self.main = self.main, main
        if former is not None:
            former.close()
        told = (0, 0) if main is None else (main.pid, main.started)
        keeper.tell_about(self.kept_name, {"main": told})

    def close(self) -> None:
        """Leave it to the keeper."""
        self.end.close()
        if self.main is not None:
            self.main.close()

    def discard(self, keeper: KeeperLink) -> None:
        """The attempt is over: take in no message any more, and remove the file."""
        with contextlib.suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)
            while True:  # an OSError ends it: there is no message left
                self.consume()
        keeper.drop(self.kept_name)
        self.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def is_wanted(spec: Spec) -> bool:
    """Whether a program with these settings notifies."""
    settings = spec.settings
    return "command" in settings and settings.get("ready") == readiness.NOTIFY


def is_of(name: str, marks: Collection[str]) -> bool:
    """Whether the keeper holds under this name the socket of an attempt with one of the marks."""
    return name.startswith(KEPT) and name.removeprefix(KEPT) in marks


def paths(keeper: KeeperLink) -> list[str]:
    """The paths of the sockets that the keeper holds."""
    return [
        str(kept.about.get("path"))
        for name, kept in keeper.entrusted.items()
        if name.startswith(KEPT)
    ]


def sweep(kept: Collection[str], identity: str | None) -> None:
    """Remove the files of attempts of this journal that have gone. Blocks.

    ``kept`` are the paths of the others.
    """
    directory = os.path.join(runtime_directory(), "notify")
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if name.startswith(f"{_hash(identity or '')}.") and path not in kept:
                os.unlink(path)


def _file_name(mark: str, identity: str | None) -> str:
    return f"{_hash(identity or '')}.{_hash(mark)}"


def _hash(text: str) -> str:
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=6).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _bound(path: str, user: User | None) -> socket.socket:
    """A socket at this path, which only the user and root can send to. Raises OSError."""
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        end.bind(path)
        os.chmod(path, 0o600)
        if user is not None:
            os.chown(path, user.uid, user.gid)
    except BaseException:
        end.close()
        raise
    return end
