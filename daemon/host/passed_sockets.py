"""Sockets that a service manager has passed, for vassals that ask for their addresses.

The keeper has them (``daemon/keeper/passed.py``). A vassal whose ``listen``, or whose address on
demand, names the address of one is given a copy of it, and nothing is bound. The socket is the
manager's. It is never shut down, and its backlog, its file and its owner are left alone. It stays
open when the vassal gives it back. So clients wait there while vassal or emperor are stopped.

`ListenStream=8000` of systemd is ``[::]:8000``, which takes clients of IPv4 as well unless the
machine says otherwise. So a vassal that asks for ``:8000`` is given that one, too.
"""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from ...monitors.names import shown
from ..keeper.link import KeeperLink
from ..keeper.protocol import PASSED
from .listen_address import CannotListen, ListenAddress, excludes, parse

log = logging.getLogger("emperor.host")

_ANY: Final = ("0.0.0.0", "::")  # noqa: S104  # addresses, to compare with


class PassedSocket(msgspec.Struct, frozen=True):
    """One that listens. ``number`` is the kernel's."""

    kept: str  # under which name
    name: str  # that the manager gave it
    descriptor: int
    number: int
    place: ListenAddress
    for_both: bool  # clients of IPv4 as well

    @property
    def title(self) -> str:
        """The socket in words."""
        return f"{self.address} ({shown(self.name)})" if self.name else self.address

    @property
    def address(self) -> str:
        """Its address, as a config names it."""
        return address_of(self.place)


class PassedSockets:
    """The sockets. ``copy`` and ``owns`` may be called in a thread."""

    def __init__(self, keeper: KeeperLink) -> None:
        self._keeper = keeper
        self._sockets: list[PassedSocket] = []
        self._lock = threading.Lock()

    def take_in(self) -> None:
        """Go on with what the keeper has; one that no vassal can have is told once."""
        for name in [name for name in self._keeper.kept if name.startswith(PASSED)]:
            kept = self._keeper.take(name)
            assert kept is not None
            told = str(kept.about.get("name", ""))
            try:
                found = _look(name, told, kept.descriptors[0])
            except _Unfit as error:
                which = f"socket {shown(told)}" if told else "a socket"
                self._tell_once(name, f"{which} of the service manager is left alone: {error}")
            else:
                with self._lock:
                    self._sockets.append(found)

    def copy(self, place: ListenAddress) -> socket.socket | None:
        """A copy of the socket at an address; None where none was passed. Raises OSError."""
        with self._lock:
            found = _best(self._sockets, place)
        if found is None:
            return None
        return socket.socket(fileno=os.dup(found.descriptor))

    def owns(self, listening: socket.socket) -> bool:
        """Whether this is one of them, or a copy."""
        with self._lock:
            if not self._sockets:
                return False
            number = os.fstat(listening.fileno()).st_ino
            return any(each.number == number for each in self._sockets)

    def beside(self, place: ListenAddress) -> str | None:
        """The title of one that keeps others from listening at an address."""
        with self._lock:
            return next((e.title for e in self._sockets if excludes(e.place, place)), None)

    def tell_unasked(self, asked: Iterable[str]) -> None:
        """Say which ones no vassal asks for, once of each."""
        if not self._sockets:
            return
        wanted = {each.kept for each in self._asked(asked)}
        for each in self._sockets:
            if each.kept not in wanted:
                text = f"no vassal listens at {each.title}, which the service manager has passed"
                self._tell_once(each.kept, f"{text}; its clients wait, and nothing answers them")

    def _asked(self, addresses: Iterable[str]) -> Iterator[PassedSocket]:
        for address in addresses:
            with contextlib.suppress(CannotListen):
                found = _best(self._sockets, parse(address))
                if found is not None:
                    yield found

    def _tell_once(self, name: str, text: str) -> None:
        """Log this, unless a daemon of this keeper has done so."""
        if not self._keeper.entrusted[name].about.get("told"):
            log.warning("%s", text)
            self._keeper.tell_about(name, {"told": True})

    def close(self) -> None:
        """Close our copies."""
        with self._lock:
            gone, self._sockets = self._sockets, []
        for each in gone:
            os.close(each.descriptor)


class _Unfit(Exception):
    """No vassal can have it."""


def _look(kept: str, name: str, descriptor: int) -> PassedSocket:
    """A descriptor as a socket that listens. Raises _Unfit."""
    try:
        copy = socket.socket(fileno=os.dup(descriptor))
    except OSError as error:
        raise _Unfit(f"it cannot be looked at: {error.strerror}") from None
    with copy:
        number = os.fstat(descriptor).st_ino
        if copy.type != socket.SOCK_STREAM:
            raise _Unfit("it is no stream (ListenStream=), and vassals get no others")
        if not copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise _Unfit("it does not listen (Accept=no is needed)")
        place, for_both = _place(copy)
    return PassedSocket(kept, name, descriptor, number, place, for_both)


def _place(listening: socket.socket) -> tuple[ListenAddress, bool]:
    """Where it listens, and whether clients of IPv4 come there as well. Raises _Unfit."""
    name: Any = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        if not name:
            raise _Unfit("it has no address")
        if isinstance(name, bytes):
            return ListenAddress(socket.AF_UNIX, name), False
        return ListenAddress(socket.AF_UNIX, None, path=os.path.abspath(name)), False
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        raise _Unfit("it is of no family that vassals may have (IPv4, IPv6, UNIX)")
    host, port = name[:2]
    for_both = False
    if listening.family == socket.AF_INET6:
        only = listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        for_both = host == "::" and not only
    return ListenAddress(listening.family, (host, port), port=port), for_both


def _best(passed: Iterable[PassedSocket], place: ListenAddress) -> PassedSocket | None:
    """The one at this address, else one for all addresses of both families."""
    spare = None
    for each in passed:
        if (each.place.family, each.place.name, each.place.path) == (
            place.family,
            place.name,
            place.path,
        ):
            return each
        if each.for_both and place.port == each.place.port and place.name[0] in _ANY:
            spare = spare or each
    return spare


def address_of(place: ListenAddress) -> str:
    """An address as a config names it."""
    if place.path is not None:
        return shown(place.path)
    if place.port is None:
        return "@" + shown(os.fsdecode(place.name[1:]))
    host, port = place.name
    return f"[{host}]:{port}" if place.family == socket.AF_INET6 else f"{host}:{port}"
