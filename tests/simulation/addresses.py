"""The addresses on demand of the simulated machine, as one daemon holds them."""

from collections import Counter
from collections.abc import Callable

import trio
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.daemon.core.inputs import HostEvent
from emperord.daemon.core.listening import addresses
from emperord.journal.events import Empty, ListenFailed, Spec
from emperord.journal.service_events import ListenOpened, ListenRefused

from .machine import Machine
from .mailbox import Mailbox


class Addresses(Mailbox):
    """Listens for vassals on demand, and tells of their first clients."""

    _machine: Machine
    _awaited: set[str]  # vassals whose first client is waited for
    _given_back: Counter[str]  # how often each vassal's addresses were closed

    _nursery: trio.Nursery | None
    _pause: Callable[[], float]

    def _listen(self, vassal: Vassal) -> None:
        if vassal.opening is not None:
            assert self._nursery is not None
            given_back = self._given_back[vassal.name]
            self._nursery.start_soon(self._open, vassal, vassal.opening, vassal.aim, given_back)
            return
        spec = vassal.running
        if spec is None or spec.socket is None:
            return
        machine, name = self._machine, vassal.name
        if machine.listening.get(name) != spec.socket:
            self._close_address(name)
            if not self._free(name, spec.socket):
                return
            machine.listening[name] = spec.socket
        self._awaited.add(name)
        self.knock(name)

    async def _open(self, vassal: Vassal, change: int, spec: Spec, given_back: int) -> None:
        """Open the addresses of a change, and tell what came of it.

        ``given_back`` is how often they had been given back when this was ordered.
        """
        await trio.sleep(20 * self._pause())
        name = vassal.name
        if self._given_back[name] == given_back and self.open_all(name, addresses(spec)):
            draft = Draft("listen_opened", ListenOpened(change=change), None, name)
        else:
            refused = ListenRefused(change=change, reason="cannot be listened at")
            draft = Draft("listen_refused", refused, None, name)
        self._say(HostEvent(draft))

    def open_all(self, name: str, wanted: tuple[str, ...]) -> bool:
        """Keep these sockets for a vassal; False if one cannot be had."""
        has = self._machine.opened.get(name, set())
        if self._machine.busy and not has.issuperset(wanted):
            return False
        if wanted:
            self._machine.opened[name] = has | set(wanted)
        return True

    def close_others(self, name: str, wanted: tuple[str, ...]) -> None:
        """Close those that it is to have no more: its process has ended."""
        if self._machine.opened.pop(name, None) is not None and wanted:
            self._machine.opened[name] = set(wanted)

    def inherit(self, fleet: Fleet) -> None:
        """Go on with those that a former daemon kept, and close what the record has no more.

        That daemon may have been killed before it carried an order to close them out.
        """
        for name, has in list(self._machine.opened.items()):
            vassal = fleet.vassals.get(name)
            wanted: set[str] = set()
            if vassal is not None and vassal.sockets:
                wanted = {*addresses(vassal.running), *addresses(vassal.aim)}
            self.close_others(name, tuple(has & wanted))

    def _free(self, name: str, address: str) -> bool:
        """Whether the address can be had; if not, that is told."""
        holders = [v for v, other in self._machine.listening.items() if other == address]
        holder = holders[0] if holders else None
        running = self._machine.processes.values()
        taken = any(p.address == address for p in running if p.name != name)
        if holder is None and not taken and not self._machine.busy:
            return True
        body = ListenFailed(
            address=address,
            reason="cannot be listened at",
            fault="busy" if holder is None else "address",
            holder=holder,
            held_as=None if holder is None else address,
        )
        self._say(HostEvent(Draft("listen_failed", body, None, name)))
        return False

    def knock(self, name: str) -> None:
        """Clients may be waiting."""
        if name in self._awaited and name in self._machine.clients:
            self._awaited.discard(name)
            self._say(HostEvent(Draft("connection_waiting", Empty(), None, name)))

    def _close_address(self, name: str) -> None:
        self._given_back[name] += 1
        self._awaited.discard(name)
        self._machine.opened.pop(name, None)
        self._machine.listening.pop(name, None)
        self._machine.clients.discard(name)

    async def unlisten_all(self) -> None:
        """The daemon stops, and no other follows at once."""
        for name in [*self._machine.listening, *self._machine.opened]:
            self._close_address(name)
