"""The addresses on demand of the simulated machine, as one daemon holds them."""

from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.core.inputs import HostEvent
from emperord.journal.events import (
    Empty,
    ListenFailed,
)

from .machine import Machine
from .mailbox import Mailbox


class Addresses(Mailbox):
    """Listens for vassals on demand, and tells of their first clients."""

    _machine: Machine
    _awaited: set[str]  # vassals whose first client is waited for

    def _listen(self, vassal: Vassal) -> None:
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
        self._awaited.discard(name)
        self._machine.listening.pop(name, None)
        self._machine.clients.discard(name)

    async def unlisten_all(self) -> None:
        """The daemon stops, and no other follows at once."""
        for name in list(self._machine.listening):
            self._close_address(name)
