"""Opens the addresses that a change of a running vassal adds, before the vassal is stopped."""

from collections.abc import Awaitable, Callable
from functools import partial

from ...journal.service_events import ListenOpened, ListenRefused
from ..core.draft import Draft
from ..core.fleet import Vassal
from ..core.listening import addresses
from .context import HostContext
from .kept_sockets import KeptSockets
from .listen_address import CannotListen


class AddressChanges:
    """Opens what changes add -> ``listen_opened``, ``listen_refused``."""

    def __init__(self, context: HostContext, sockets: KeptSockets) -> None:
        self._tasks = context.tasks
        self._outbox = context.outbox
        self._sockets = sockets

    def open(self, vassal: Vassal) -> None:
        """Open them, and report what came of it. Returns at once."""
        assert vassal.opening is not None
        # Those of a process that runs stay open. One that is held has none.
        running = () if vassal.held else addresses(vassal.running)
        # An order to close them may be carried out before the task begins.
        given_back = self._sockets.given_back(vassal.name)
        opening = partial(self._sockets.open, vassal.name, vassal.aim, running, given_back)
        self._tasks.nursery.start_soon(self._open, vassal.name, vassal.opening, opening)

    async def _open(self, name: str, change: int, opening: Callable[[], Awaitable[None]]) -> None:
        with self._tasks.confined(name, "listen"):
            body: ListenOpened | ListenRefused = ListenOpened(change=change)
            try:
                await opening()
            except CannotListen as error:
                body = ListenRefused(change=change, reason=str(error))
            kind = "listen_opened" if isinstance(body, ListenOpened) else "listen_refused"
            self._outbox.report(Draft(kind, body, None, name))
