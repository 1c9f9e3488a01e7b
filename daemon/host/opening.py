"""One attempt to listen for a vassal, which may block on the file system of a tenant.

A socket that the service manager has passed is taken instead of a new one. A socket file that a
dead daemon left is replaced. A file that is no socket, or a socket at which
a process listens, is never touched.
"""

import contextlib
import errno
import os
import select
import socket
import threading
from collections.abc import Hashable
from typing import Final

from ...journal.events import ListenFault
from ...monitors import stale_socket
from ...monitors.names import shown
from ..keeper.refusals import PASSING
from .listen_address import CannotListen, ListenAddress, excludes, parse
from .passed_sockets import PassedSockets
from .socket_files import File, Terms, apply_terms, below, remove, suitable_folder
from .user_threads import NoAnswer, UserThreads

_LONGEST_PATH: Final = 107  # bytes of a UNIX socket's address
# Errors that may pass by themselves, without a change at the vassal's source.
_BUSY: Final = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENOENT, errno.ENOTDIR, errno.EROFS)


class Listener:
    """One vassal's socket."""

    __slots__ = ("_user", "address", "file", "how", "passed", "socket", "vassal")

    def __init__(
        self,
        vassal: str,
        address: str,
        listening: socket.socket,
        file: File | None,
        how: Terms | None = None,
        user: int | None = None,
        *,
        passed: bool = False,
    ) -> None:
        self.how = how  # None where a former daemon made it
        self.passed = passed  # the service manager's: we neither shut it down nor have its file
        self._user = user
        self.vassal = vassal
        self.address = address
        self.socket = listening
        self.file = file

    @property
    def user(self) -> int | None:
        """The tenant for whom it is kept; None outside of tyrant mode."""
        return self._user if self.how is None else self.how.user

    def in_place(self) -> bool:
        """Whether clients still find it. Blocks.

        Another program can remove a socket file. A vassal that shuts its copy of the socket down
        shuts down the daemon's, because both are one socket.
        """
        return not self.is_shut() and self.has_file()

    def is_shut(self) -> bool:
        """Whether a process has shut it down (shutdown(2)): it refuses all clients, for ever."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)  # poll(2) reports errors without being asked
        return bool(poll.poll(0))

    def has_file(self) -> bool:
        """Whether its file is where it was made, if it has one. Blocks."""
        if self.file is None:
            return True
        try:
            status = os.lstat(self.file.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.file[1:]


class Opening:
    """One attempt to listen. Only ``run`` blocks; it may be called in a worker thread.

    ``known`` is the vassal's own listener at that address, ``held`` are those of others.
    """

    def __init__(
        self,
        vassal: str,
        address: str,
        how: Terms,
        known: Listener | None,
        held: tuple[Listener, ...],
        passed: PassedSockets | None = None,
    ) -> None:
        self.vassal = vassal
        self.address = address
        self.how = how
        self.known = known
        self.made: tuple[socket.socket, File | None] | None = None
        self.is_passed = False  # ``made`` is the service manager's
        self._passed = passed
        self._held = held
        self._lock = threading.Lock()
        self._abandoned = False

    @property
    def path(self) -> str | None:
        """The socket file, if there is to be one."""
        with contextlib.suppress(CannotListen):
            return parse(self.address).path
        return None

    def run(self) -> None:
        """Listen; what listens there already goes on, if it is in place. Raises CannotListen."""
        try:
            known = self.known
            if known is not None and known.in_place():
                if known.how != self.how and not known.passed:
                    _adjust(known, self.how)
                return
            if known is not None:
                remove(known.file, known.how)
            made = self._open()
        except OSError as error:
            raise self._refusal(error) from None
        except (ValueError, TypeError, OverflowError) as error:  # bind(2) cannot take it
            reason = f"cannot listen at {shown(self.address)}: {error}"
            raise CannotListen(reason, "address") from None
        with self._lock:
            self.made = made
            if self._abandoned:
                self._undo()

    def abandon(self) -> None:
        """Give back the result, because no start waits for it any longer."""
        with self._lock:
            self._abandoned = True
            if self.made is not None:
                self._undo()

    def _undo(self) -> None:
        """Close the socket. Its file refuses clients, and the next listener there replaces it."""
        assert self.made is not None
        self.made[0].close()

    def _open(self) -> tuple[socket.socket, File | None]:
        place = parse(self.address)
        given = None if self._passed is None else self._passed.copy(place)
        if given is not None:
            return self._accept(given, place), None
        listening = socket.socket(place.family, socket.SOCK_STREAM)
        try:
            file = None
            if place.path is not None:
                file = self._bind_file(listening, place.path)
            else:
                # As uWSGI does: the connections of the one before may linger.
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(place.name)
            listening.listen(self.how.backlog)
        except BaseException:
            listening.close()
            raise
        return listening, file

    def _accept(self, given: socket.socket, place: ListenAddress) -> socket.socket:
        """Take a copy of what the service manager has passed. Raises CannotListen, OSError."""
        try:
            listener = Listener(self.vassal, self.address, given, None, passed=True)
            number = os.fstat(given.fileno()).st_ino
            for other in self._held:
                if os.fstat(other.socket.fileno()).st_ino == number:
                    raise _taken(self.address, other)
            if listener.is_shut():
                reason = f"a process has shut {shown(self.address)} down; restart its socket unit"
                raise CannotListen(reason, "busy")
            if self.how.user is not None and place.path is not None:
                _check_owner(place.path, self.how.user)
        except BaseException:
            given.close()
            raise
        self.is_passed = True
        return given

    def _bind_file(self, listening: socket.socket, path: str) -> File:
        with suitable_folder(path, self.how) as (folder, name):
            self._make_room(folder, name, path)
            short = len(os.fsencode(path)) <= _LONGEST_PATH
            # Below the open directory where a user could change the path; uWSGI likes plain ones.
            place = below(folder, name)
            listening.bind(path if short and self.how.user is None else place)
            return apply_terms(folder, name, path, self.how)

    def _make_room(self, folder: int, name: str, path: str) -> None:
        """Remove the socket that a dead daemon left; nothing else. Raises CannotListen, OSError."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        for other in self._held:
            if other.file is not None and other.file[1:] == (status.st_dev, status.st_ino):
                raise _taken(path, other)
        try:
            stale_socket.remove(below(folder, name))
        except stale_socket.NoSocket:
            reason = f"{shown(path)} is in the way and is no socket; remove it"
            raise CannotListen(reason, "address") from None
        except PermissionError:  # it cannot be told
            raise stale_socket.Served from None

    def _refusal(self, error: OSError) -> CannotListen:
        address = self.address
        if error.errno == errno.EADDRINUSE:
            place = parse(address)
            for other in self._held:
                with contextlib.suppress(CannotListen):  # as a former version could read it
                    if excludes(parse(other.address), place):
                        return _taken(address, other)
        fault: ListenFault = "address"
        more = ""
        if error.errno in _BUSY:
            fault = "busy"
            beside = None if self._passed is None else self._passed.beside(parse(address))
            if error.errno == errno.EADDRINUSE and beside is not None:
                more = f"; the service manager has passed {beside}: name that address"
        elif error.errno in PASSING:
            fault = "resources"
        resolving = isinstance(error, socket.gaierror)  # it has numbers of its own
        why = os.strerror(error.errno) if error.errno and not resolving else error.strerror
        return CannotListen(f"cannot listen at {shown(address)}: {why or error}{more}", fault)


def _taken(address: str, other: Listener) -> CannotListen:
    reason = f"cannot listen at {shown(address)}: it is {shown(other.vassal)}'s address"
    if other.address != address:
        reason += f" ({shown(other.address)})"
    return CannotListen(reason, "address", other.vassal, other.address)


def _check_owner(path: str, user: int) -> None:
    """Raise CannotListen if a tenant asks for a passed socket file of another user."""
    if os.lstat(path).st_uid != user:
        reason = f"{shown(path)} is the service manager's; its unit needs SocketUser={user}"
        raise CannotListen(reason, "address")


def _adjust(listener: Listener, how: Terms) -> None:
    """Have a socket that goes on, maybe a former daemon's, be as it would be made now.

    Raises CannotListen, OSError.
    """
    if listener.file is not None:
        path = listener.file.path
        with suitable_folder(path, how) as (folder, name):
            apply_terms(folder, name, path, how, listener.file)
    listener.socket.listen(how.backlog)


def thread_key(path: str | None, how: Terms | None) -> Hashable:
    """The key of its thread: the user who chose the file, else the directory."""
    if path is None:
        return None
    if how is not None and how.user is not None and os.path.dirname(path) != how.directory:
        return how.user
    return os.path.dirname(path)


async def run_opening(threads: UserThreads, opening: Opening) -> None:
    """Listen. Raises CannotListen; the caller abandons the opening then."""
    if opening.path is None:
        opening.run()
        return
    try:
        await threads.run(thread_key(opening.path, opening.how), opening.run)
    except NoAnswer as error:
        reason = f"cannot listen at {shown(opening.address)}: its file system gives {error}"
        raise CannotListen(reason, "busy") from None
