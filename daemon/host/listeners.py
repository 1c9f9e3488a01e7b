"""The sockets of vassals on demand: bound and kept by the daemon, served by the vassals.

The daemon listens at a vassal's address and never accepts. The first connection that waits starts
the vassal, which gets the socket as its standard input. The daemon keeps its own copy of the
socket, so clients of a vassal that dies wait in the backlog and are not refused. The keeper has
another copy, so the same holds when the daemon dies.
"""

import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from ...monitors.names import shown
from ..keeper.link import KeeperLink, Kept
from ..keeper.protocol import LEFT
from . import descriptors
from .opening import Listener, Opening
from .passed_sockets import PassedSockets
from .socket_files import File, Terms

log = logging.getLogger("emperor.host")

_KEPT: Final = "listener:"  # prefix of the names under which the keeper holds them
ALWAYS: Final = "listen:"  # prefix of those of sockets that are none on demand (kept_sockets.py)


class Listeners:
    """The sockets that there are, one a vassal at most. Nothing here blocks, unless it says so."""

    def __init__(
        self,
        keeper: KeeperLink,
        others: Callable[[], list[Listener]] = list,
        passed: PassedSockets | None = None,
    ) -> None:
        self._keeper = keeper
        self._passed = passed
        self._others = others
        self._by_vassal: dict[str, Listener] = {}

    def get(self, vassal: str) -> Listener | None:
        return self._by_vassal.get(vassal)

    def vassals(self) -> list[str]:
        """Those that have a socket."""
        return list(self._by_vassal)

    def all(self) -> list[Listener]:
        """All sockets."""
        return list(self._by_vassal.values())

    def known(self, vassal: str) -> Listener | None:
        """The vassal's listener, or the one that was set aside for it."""
        return self._by_vassal.get(vassal) or self._take_back(vassal)

    def opening(self, vassal: str, address: str, how: Terms) -> Opening:
        """An attempt to listen there for the vassal, to be run by the caller."""
        known = self._by_vassal.get(vassal)
        held = tuple(each for each in self._by_vassal.values() if each is not known)
        return Opening(vassal, address, how, known, (*held, *self._others()), self._passed)

    def finish(self, opening: Opening) -> Listener:
        """The listener that came of it; one before it has been forgotten."""
        if opening.made is None:
            assert opening.known is not None
            opening.known.how = opening.how
            return opening.known
        vassal, address = opening.vassal, opening.address
        listening, file = opening.made
        listener = Listener(vassal, address, listening, file, opening.how, passed=opening.is_passed)
        self._by_vassal[vassal] = listener
        about: dict[str, Any] = {"address": address, "file": file}
        self._keeper.keep(_KEPT + vassal, [listening.fileno()], about)
        return listener

    def forget(self, vassal: str) -> None:
        """Close the vassal's socket; its file stays."""
        listener = self._by_vassal.pop(vassal, None)
        if listener is not None:
            if not listener.passed:
                descriptors.empty(listener.socket)
            self._keeper.drop(_KEPT + vassal)
            listener.socket.close()

    def _take_back(self, vassal: str) -> Listener | None:
        """Go on with the socket that was set aside, if there is one."""
        kept = self._keeper.take(LEFT + _KEPT + vassal)
        if kept is None:
            return None
        listener = self._by_vassal[vassal] = from_kept(vassal, kept, self._passed)
        self._keeper.keep(_KEPT + vassal, kept.descriptors, kept.about)
        self._keeper.drop(LEFT + _KEPT + vassal)
        return listener

    @staticmethod
    def set_aside(keeper: KeeperLink) -> None:
        """Keep what former daemons entrusted, although the journal does not know of it."""
        for name in [name for name in keeper.kept if name.startswith((_KEPT, ALWAYS))]:
            keeper.rename(name, LEFT + name)

    @staticmethod
    def is_aside(name: str) -> bool:
        """Whether this is the name of a listening socket that was set aside."""
        return name.startswith((LEFT + _KEPT, LEFT + ALWAYS))

    def inherit(self, wanted: dict[str, str]) -> list[Listener]:
        """Take over what former daemons entrusted; ``wanted`` is vassal -> address.

        Gives those that are not wanted any longer, closed. Their files are still there.
        """
        unwanted: list[Listener] = []
        for vassal, address in wanted.items():
            aside = self._keeper.kept.get(LEFT + _KEPT + vassal)
            if aside is not None and aside.about["address"] == address:
                self._take_back(vassal)
        for name in [name for name in self._keeper.kept if name.startswith(_KEPT)]:
            kept = self._keeper.take(name)
            assert kept is not None
            vassal = name.removeprefix(_KEPT)
            try:
                listener = from_kept(vassal, kept, self._passed)
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


def from_kept(vassal: str, kept: Kept, passed: PassedSockets | None = None) -> Listener:
    """The socket of a vassal that the keeper holds."""
    about, place = kept.about, kept.about["file"]
    listening = socket.socket(fileno=kept.descriptors[0])
    file = None if place is None else File(*place)
    is_passed = passed is not None and passed.owns(listening)
    return Listener(
        vassal,
        about["address"],
        listening,
        None if is_passed else file,
        user=about.get("user"),
        passed=is_passed,
    )
