"""The sockets of vassals on demand: bound and kept by the daemon, served by the vassals.

The daemon listens at a vassal's address and never accepts. The first connection that waits starts
the vassal, which gets the socket as its standard input. The daemon keeps its own copy of the
socket, so clients of a vassal that dies wait in the backlog and are not refused. The keeper has
another copy, so the same holds when the daemon dies.

| address | |
|---|---|
| `/run/app.sock`, `app.sock` | a UNIX socket; a relative path starts at the daemon's directory |
| `@name` | an abstract UNIX socket |
| `:8000`, `*:8000` | TCP, every IPv4 address of the machine |
| `127.0.0.1:8000`, `localhost:8000` | TCP, this one |
| `[::1]:8000`, `[::]:8000` | TCP over IPv6 |

Names of hosts are not looked up: that takes time, and may come out differently the next time.

A socket file that a dead daemon left is replaced. A file that is no socket, or a socket at which
a process listens, is never touched. In tyrant mode the directory of a socket file must belong to
the vassal's user: otherwise a user could have root make files where the user cannot. The daemon
opens the directory first and works below it, so a path that is changed meanwhile has no effect.
"""

import contextlib
import errno
import ipaddress
import logging
import os
import re
import select
import socket
import stat
import threading
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from ...journal import quantities
from ...journal.events import ListenFault, Spec
from ...journal.policy import Policy
from ...monitors.names import shown
from ...monitors.tenant import Tenant, rights_of
from ..keeper.link import KeeperLink, Kept
from ..keeper.protocol import LEFT
from ..keeper.refusals import PASSING
from . import descriptors

log = logging.getLogger("emperor.host")

_LONGEST_PATH: Final = 107  # bytes of a UNIX socket's address
_LONGEST_ADDRESS: Final = 4095  # characters, as of a path (PATH_MAX)
_LOOKED_AT: Final = 1 << 16  # bytes of a config in which a line that binds is looked for
_KEPT: Final = "listener:"  # prefix of the names under which the keeper holds them
_SHORTHANDS: Final = {"": "0.0.0.0", "*": "0.0.0.0", "localhost": "127.0.0.1"}  # noqa: S104  # asked for
# Errors that may pass by themselves, without a change at the vassal's source.
_BUSY: Final = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENOENT, errno.ENOTDIR, errno.EROFS)


# Options with which uWSGI binds an address, as .ini, YAML, JSON and XML write them; and comments in
# these formats.
_BINDING: Final = re.compile(
    rb"""(?<![\w-])(?:(?:[sp]?uwsgi|https?|http11|fastcgi(?:-nph)?|scgi(?:-nph)?|raw|shared)-)?"""
    rb"""(?:socket|https?|stats)["']?\s*[=:>]\s*["']?([^\s"'<>,]+)"""
)
# A comment that is not closed ends with the text: otherwise a text with many takes quadratic time.
_COMMENT: Final = re.compile(rb"(?m:^[ \t]*[;#].*$)|(?s:<!--.*?(?:-->|\Z))")


class CannotListen(Exception):
    """The address cannot be had. ``holder`` is the vassal that has it, at ``held_as``."""

    def __init__(
        self,
        reason: str,
        fault: ListenFault,
        holder: str | None = None,
        held_as: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.fault = fault
        self.holder = holder
        self.held_as = held_as


class Terms(NamedTuple):
    """How to listen. ``user`` is whose the directory of a socket file must be; None: anybody's.

    It may also be ``directory``, the one for all vassals, if only root can write there. ``group``
    is the group of that user.
    """

    mode: int
    uid: int  # of the socket file; -1 leaves it as it is
    gid: int
    backlog: int
    user: int | None = None
    directory: str | None = None
    group: int | None = None


class File(NamedTuple):
    """A socket file that was made: where, and which one it is."""

    path: str
    device: int
    inode: int


class Listener:
    """One vassal's socket."""

    __slots__ = ("address", "file", "how", "socket", "vassal")

    def __init__(
        self,
        vassal: str,
        address: str,
        listening: socket.socket,
        file: File | None,
        how: Terms | None = None,
    ) -> None:
        self.how = how  # None where a former daemon made it
        self.vassal = vassal
        self.address = address
        self.socket = listening
        self.file = file

    def in_place(self) -> bool:
        """Whether clients still find it. Blocks.

        A socket file can be removed behind our back, and a vassal that shuts its copy of the
        socket down shuts down ours: it is one and the same.
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


def terms(spec: Spec, policy: Policy) -> Terms:
    """How to listen for a vassal of this spec."""
    uid = gid = -1
    if policy.on_demand_owner is not None:
        uid, gid = policy.on_demand_owner
    elif policy.tyrant:
        assert spec.uid is not None
        assert spec.gid is not None
        uid, gid = spec.uid, spec.gid
    elif policy.user is not None:
        uid, gid = policy.user
    user, group = (spec.uid, spec.gid) if policy.tyrant else (None, None)
    backlog, directory = policy.on_demand_backlog, policy.on_demand_directory
    return Terms(policy.on_demand_mode, uid, gid, backlog, user, directory, group)


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
    ) -> None:
        self.vassal = vassal
        self.address = address
        self.how = how
        self.known = known
        self.made: tuple[socket.socket, File | None] | None = None
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
                if known.how != self.how:
                    _suit(known, self.how)
                return
            if known is not None:
                remove(known.file)
            made = self._open()
        except OSError as error:
            raise self._explain(error) from None
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

    def _bind_file(self, listening: socket.socket, path: str) -> File:
        with _suitable_folder(path, self.how) as (folder, name):
            self._make_room(folder, name, path)
            short = len(os.fsencode(path)) <= _LONGEST_PATH
            # Below the open directory where a user could change the path; uWSGI likes plain ones.
            below = _below(folder, name)
            listening.bind(path if short and self.how.user is None else below)
            return _dress(folder, name, path, self.how)

    def _make_room(self, folder: int, name: str, path: str) -> None:
        """Remove the socket that a dead daemon left; nothing else. Raises CannotListen."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(status.st_mode):
            reason = f"{shown(path)} is in the way and is no socket; remove it"
            raise CannotListen(reason, "address")
        for other in self._held:
            if other.file is not None and other.file[1:] == (status.st_dev, status.st_ino):
                raise _taken(path, other)
        if _answers(_below(folder, name)):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        os.unlink(name, dir_fd=folder)

    def _explain(self, error: OSError) -> CannotListen:
        address = self.address
        if error.errno == errno.EADDRINUSE:
            place = parse(address)
            for other in self._held:
                with contextlib.suppress(CannotListen):  # as a former version could read it
                    if _excludes(parse(other.address), place):
                        return _taken(address, other)
        fault: ListenFault = "address"
        if error.errno in _BUSY:
            fault = "busy"
        elif error.errno in PASSING:
            fault = "resources"
        resolving = isinstance(error, socket.gaierror)  # it has numbers of its own
        why = os.strerror(error.errno) if error.errno and not resolving else error.strerror
        return CannotListen(f"cannot listen at {shown(address)}: {why or error}", fault)


class Listeners:
    """The sockets that there are, one a vassal at most. Nothing here blocks, unless it says so."""

    def __init__(self, keeper: KeeperLink) -> None:
        self._keeper = keeper
        self._by_vassal: dict[str, Listener] = {}

    def get(self, vassal: str) -> Listener | None:
        return self._by_vassal.get(vassal)

    def vassals(self) -> list[str]:
        """Those that have a socket."""
        return list(self._by_vassal)

    def known(self, vassal: str) -> Listener | None:
        """The vassal's listener, or the one that was set aside for it."""
        return self._by_vassal.get(vassal) or self._reclaim(vassal)

    def opening(self, vassal: str, address: str, how: Terms) -> Opening:
        """An attempt to listen there for the vassal, to be run by the caller."""
        known = self._by_vassal.get(vassal)
        held = tuple(each for each in self._by_vassal.values() if each is not known)
        return Opening(vassal, address, how, known, held)

    def conclude(self, opening: Opening) -> Listener:
        """The listener that came of it; one before it has been forgotten."""
        if opening.made is None:
            assert opening.known is not None
            opening.known.how = opening.how
            return opening.known
        vassal, address = opening.vassal, opening.address
        listening, file = opening.made
        listener = self._by_vassal[vassal] = Listener(vassal, address, listening, file, opening.how)
        about: dict[str, Any] = {"address": address, "file": file}
        self._keeper.keep(_KEPT + vassal, [listening.fileno()], about)
        return listener

    def forget(self, vassal: str) -> None:
        """Close the vassal's socket; its file stays."""
        listener = self._by_vassal.pop(vassal, None)
        if listener is not None:
            descriptors.empty(listener.socket)
            self._keeper.drop(_KEPT + vassal)
            listener.socket.close()

    def _reclaim(self, vassal: str) -> Listener | None:
        """Go on with the socket that was set aside, if there is one."""
        kept = self._keeper.take(LEFT + _KEPT + vassal)
        if kept is None:
            return None
        listener = self._by_vassal[vassal] = _revive(vassal, kept)
        self._keeper.keep(_KEPT + vassal, kept.descriptors, kept.about)
        self._keeper.drop(LEFT + _KEPT + vassal)
        return listener

    @staticmethod
    def set_aside(keeper: KeeperLink) -> None:
        """Keep what former daemons entrusted, although the journal does not know of it."""
        for name in [name for name in keeper.kept if name.startswith(_KEPT)]:
            keeper.rename(name, LEFT + name)

    @staticmethod
    def is_aside(name: str) -> bool:
        """Whether this is the name of a listening socket that was set aside."""
        return name.startswith(LEFT + _KEPT)

    def inherit(self, wanted: dict[str, str]) -> list[Listener]:
        """Take over what former daemons entrusted; ``wanted`` is vassal -> address.

        Gives those that are not wanted any longer, closed. Their files are still there.
        """
        unwanted: list[Listener] = []
        for vassal, address in wanted.items():
            aside = self._keeper.kept.get(LEFT + _KEPT + vassal)
            if aside is not None and aside.about["address"] == address:
                self._reclaim(vassal)
        for name in [name for name in self._keeper.kept if name.startswith(_KEPT)]:
            kept = self._keeper.take(name)
            assert kept is not None
            vassal = name.removeprefix(_KEPT)
            try:
                listener = _revive(vassal, kept)
                self._by_vassal[vassal] = listener
                if wanted.get(vassal) != listener.address:
                    self.forget(vassal)
                    unwanted.append(listener)
            except Exception:  # it is bound anew when its vassal is to listen
                log.exception("%s: its socket cannot be gone on with", shown(vassal))
        return unwanted

    def close(self) -> None:
        """Close our copies of the sockets. Vassals and the keeper have their own."""
        for listener in self._by_vassal.values():
            listener.socket.close()
        self._by_vassal.clear()


def _taken(address: str, other: Listener) -> CannotListen:
    reason = f"cannot listen at {shown(address)}: it is {shown(other.vassal)}'s address"
    if other.address != address:
        reason += f" ({shown(other.address)})"
    return CannotListen(reason, "address", other.vassal, other.address)


class ListenAddress(msgspec.Struct, frozen=True):
    """Where an address is. ``path`` is that of a socket file, ``port`` TCP's."""

    family: socket.AddressFamily
    name: Any  # as bind(2) takes it
    path: str | None = None
    port: int | None = None


def parse(address: str) -> ListenAddress:
    """Where this address is. Raises CannotListen."""
    if len(address) > _LONGEST_ADDRESS or "\0" in address:
        raise CannotListen(
            f"{shown(address[:40])}… is too long for an address, or has a NUL", "address"
        )
    if address.startswith("@"):
        return ListenAddress(socket.AF_UNIX, b"\0" + os.fsencode(address[1:]))
    host, colon, port = address.rpartition(":")
    if not colon or address.startswith("/"):
        return ListenAddress(socket.AF_UNIX, None, path=os.path.abspath(address))
    at = quantities.port(port)
    if at is None:
        raise CannotListen(f"{shown(address)} has no port from 1 to 65535", "address")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    bare = _SHORTHANDS.get(bare, bare)
    try:
        where = ipaddress.ip_address(bare)
    except ValueError:
        reason = f"{shown(address)}: {shown(bare)} is no IP address; names are not looked up"
        raise CannotListen(reason, "address") from None
    where = getattr(where, "ipv4_mapped", None) or where  # ::ffff:127.0.0.1
    family = socket.AF_INET if where.version == 4 else socket.AF_INET6
    return ListenAddress(family, (str(where), at), port=at)


def _excludes(held: ListenAddress, wanted: ListenAddress) -> bool:
    """Whether a socket at the one address keeps others from listening at the other one."""
    if held.port is None or wanted.port is None:
        return held.name is not None and held.name == wanted.name
    hosts = (held.name[0], wanted.name[0])
    return held.port == wanted.port and (
        hosts[0] == hosts[1]
        or "::" in hosts  # every address of IPv4, too
        or ("0.0.0.0" in hosts and held.family == wanted.family)  # noqa: S104  # asked for
    )


def binds_itself(config: bytes, address: str) -> bool:
    """Whether a config of any format seems to have uWSGI bind this address, and so steal it."""
    with contextlib.suppress(CannotListen):  # a text that is no address needs no check
        wanted = parse(address)
        text = _COMMENT.sub(b"", config[:_LOOKED_AT])
        return any(_binds(value, wanted) for value in _BINDING.findall(text))
    return False


def _binds(value: bytes, wanted: ListenAddress) -> bool:
    with contextlib.suppress(CannotListen):
        held = parse(value.decode("utf-8", "surrogateescape"))
        return _excludes(held, wanted) or (held.path is not None and held.path == wanted.path)
    return False


# Socket files


def _check_folder(folder: int, path: str, how: Terms) -> None:
    """Make sure that the vassal's user may have a socket made in this directory.

    Raises CannotListen.
    """
    status = os.fstat(folder)
    if how.user is None or status.st_uid == how.user:
        return
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if path != how.directory:
        reason = (
            f"{shown(path)} does not belong to uid {how.user}; a socket on demand must be in a"
            " directory of its vassal's user"
        )
    elif status.st_uid != 0 or others:
        reason = f"others than root can write to {shown(path)}; chown or chmod it"
    else:
        return
    raise CannotListen(reason, "address")


def _check_reach(path: str, how: Terms) -> None:
    """Raise the OSError that the vassal's user gets at this directory, if there is one.

    A tenant names the directory, so a failure there must not tell what only root can see.
    """
    if how.user is None or how.group is None or path == how.directory:
        return
    with rights_of(Tenant(how.user, how.group, (how.group,))):
        os.stat(os.path.join(path, "."))


@contextlib.contextmanager
def _folder(path: str) -> Iterator[tuple[int, str]]:
    """The open directory of a path, and the name in it. Raises OSError."""
    head, name = os.path.split(path)
    folder = os.open(head or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder, name
    finally:
        os.close(folder)


@contextlib.contextmanager
def _suitable_folder(path: str, how: Terms) -> Iterator[tuple[int, str]]:
    """As ``_folder``, if a socket may be made there. Raises CannotListen, OSError."""
    with contextlib.ExitStack() as stack:
        try:
            folder, name = stack.enter_context(_folder(path))
            _check_folder(folder, os.path.dirname(path), how)
        except (OSError, CannotListen):
            _check_reach(os.path.dirname(path), how)
            raise
        yield folder, name


def _below(folder: int, name: str) -> str:
    return f"/proc/self/fd/{folder}/{name}"


def _suit(listener: Listener, how: Terms) -> None:
    """Have a socket that goes on, maybe a former daemon's, be as it would be made now.

    Raises CannotListen, OSError.
    """
    if listener.file is not None:
        path = listener.file.path
        with _suitable_folder(path, how) as (folder, name):
            _dress(folder, name, path, how, listener.file)
    listener.socket.listen(how.backlog)


def _dress(folder: int, name: str, path: str, how: Terms, known: File | None = None) -> File:
    """Give a socket file its owner and mode: a new one, or the one that is ``known``.

    It is held, so nothing else can take its place.
    """
    file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISSOCK(status.st_mode) or status.st_nlink != 1:
            raise CannotListen(f"{shown(path)} was replaced while it was made", "busy")
        if known is not None and (status.st_dev, status.st_ino) != known[1:]:
            raise CannotListen(f"{shown(path)} was replaced just now", "busy")
        itself = f"/proc/self/fd/{file}"
        if (how.uid, how.gid) != (-1, -1):
            os.chown(itself, how.uid, how.gid)
        os.chmod(itself, how.mode)
    finally:
        os.close(file)
    return File(path, status.st_dev, status.st_ino)


def _answers(path: str) -> bool:
    """Whether a process has the socket of a socket file.

    The probe is of another type than the socket, so it does not become a client. A client would
    wake the vassal of another emperor. The kernel refuses the connection if no process has the
    socket, and else says that the type is wrong (unix(7)).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # of another type, or not for us
            return True
    return True


def remove(file: File | None) -> None:
    """Remove a socket file, if it is still the one that was made."""
    if file is None:
        return
    with contextlib.suppress(OSError), _folder(file.path) as (folder, name):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (status.st_dev, status.st_ino) == (file.device, file.inode):
            os.unlink(name, dir_fd=folder)


def _revive(vassal: str, kept: Kept) -> Listener:
    file = kept.about["file"]
    listening = socket.socket(fileno=kept.descriptors[0])
    return Listener(vassal, kept.about["address"], listening, None if file is None else File(*file))
