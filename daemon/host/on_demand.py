"""Addresses on demand: listened at, watched for a first client, and given back, all in order.

A tenant says where its socket file is, and so on which file system. So a thread of its user does
everything about that file (``user_threads.py``), and the event loop goes on meanwhile. Orders for
one vassal are carried out one after the other. Other vassals do not wait for them.

A socket is watched only until its first client was reported. Then it is not watched until the fold
orders to listen again: the vassal that starts takes its clients.
"""

import contextlib
import logging
import select
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from functools import partial

import trio

from ...journal.events import Empty, ListenFailed
from ...journal.policy import Policy
from ...monitors.names import shown
from ..core.draft import Draft
from ..keeper.link import KeeperLink
from .accounts import Accounts
from .epoll import Epoll
from .kept_files import LOOK_AFTER, SHARE
from .kept_sockets import KeptSockets
from .listen_address import CannotListen
from .listeners import Listeners
from .opening import Listener, Opening, run_opening, thread_key
from .passed_sockets import PassedSockets
from .socket_files import Terms, remove
from .user_threads import NoAnswer, UserThreads
from .vassal_tasks import lasting

log = logging.getLogger("emperor.host")

Tell = Callable[[Draft], None]
Fail = Callable[[str, str, BaseException], None]
Step = Callable[[], Awaitable[None]]


class OnDemand:
    """The addresses of vassals. ``tell`` takes events, ``fail`` an error about one vassal.

    ``serves`` says whether a former daemon's process of a vassal still runs. ``kept`` are the
    sockets that vassals have besides, by their ``listen``; ``accounts`` looks up their owners.
    """

    def __init__(
        self,
        keeper: KeeperLink,
        epoll: Epoll,
        threads: UserThreads,
        tell: Tell,
        fail: Fail,
        serves: Callable[[str], bool],
        policy: Callable[[], Policy],
        accounts: Accounts,
    ) -> None:
        self.passed = PassedSockets(keeper)
        self.listeners = Listeners(keeper, lambda: self.kept.all(), self.passed)
        self.kept = KeptSockets(keeper, threads, policy, self.listeners.all, self.passed, accounts)
        self._epoll = epoll
        self._threads = threads
        self._tell = tell
        self._fail = fail
        self._serves = serves
        self._nursery: trio.Nursery | None = None
        self._watched: dict[int, Listener] = {}  # by fd: those whose vassal does not run
        self._steps: dict[str, deque[Step]] = {}  # orders that wait for the one that is under way
        self._settled: dict[str, trio.Event] = {}

    def begin(self, nursery: trio.Nursery) -> None:
        """From now on orders can be carried out."""
        self._nursery = nursery
        self.kept.begin(nursery)
        nursery.start_soon(lasting, "looking at sockets", self._watch_files)

    # Orders: they return at once

    def listen(
        self,
        vassal: str,
        address: str,
        how: Terms,
        after: Callable[[Listener], None] = lambda _: None,
    ) -> None:
        """Listen at its address, then call ``after``, and report when the first client waits."""
        self._order(vassal, partial(self._listen, vassal, address, how, after))

    def unlisten(self, vassal: str) -> None:
        """Give its addresses back, if it has some."""
        self.kept.give_back(vassal)
        if vassal in self._steps:
            self._order(vassal, partial(self._release, vassal))
            return
        # At once: another vassal may be about to have the address.
        listener = self._close(vassal)
        if listener is not None and listener.file is not None:
            self._order(vassal, partial(self._remove, listener))

    async def settled(self, vassal: str) -> None:
        """Return when what was ordered for this vassal has been done."""
        while vassal in self._steps:
            await self._settled.setdefault(vassal, trio.Event()).wait()

    async def unlisten_all(self) -> None:
        """Give all addresses back: the daemon stops, and no other follows at once."""
        closed = [self._close(vassal) for vassal in self.listeners.vassals()]
        for listener in closed:
            if listener is not None:
                await self._remove(listener)
        await self.kept.give_back_all()

    async def inherit(self, wanted: dict[str, str]) -> None:
        """Go on with the sockets that a former daemon entrusted; vassal -> address."""
        for listener in self.listeners.inherit(wanted):
            await self._remove(listener)

    def close(self) -> None:
        """Close our copies of the sockets. Vassals and the keeper have their own."""
        self.listeners.close()
        self.kept.close()
        self.passed.close()

    def given(self, vassal: str) -> list[Listener]:
        """The sockets of a vassal, which its process has from its start on."""
        own = self.listeners.get(vassal)
        return self.kept.held(vassal) if own is None else [*self.kept.held(vassal), own]

    # Clients

    def client_waits(self, fd: int) -> None:
        """Report a first client, once. The fold orders to listen again."""
        listener = self._unwatch(fd)
        if listener is not None:
            self._report_client(listener.vassal)

    def _report_client(self, vassal: str) -> None:
        """Have a vassal that listens started, or taken over."""
        self._tell(Draft("connection_waiting", Empty(), None, vassal))

    def ignore_clients(self, vassal: str) -> None:
        """Report none from now on, if it is listened for."""
        listener = self.listeners.get(vassal)
        if listener is not None:
            self.unwatch(listener)

    def unwatch(self, listener: Listener) -> None:
        """Report no client of it: they wait until there is an order to listen again."""
        self._unwatch(listener.socket.fileno())

    def _unwatch(self, fd: int) -> Listener | None:
        """Clients that connect now wait until this process accepts them."""
        listener = self._watched.pop(fd, None)
        if listener is not None:
            self._epoll.unregister(fd)
        return listener

    # The orders for one vassal, one after the other

    def _order(self, vassal: str, step: Step) -> None:
        assert self._nursery is not None
        steps = self._steps.get(vassal)
        if steps is not None:
            steps.append(step)
            return
        self._steps[vassal] = deque([step])
        self._nursery.start_soon(self._carry_out, vassal)

    async def _carry_out(self, vassal: str) -> None:
        steps = self._steps[vassal]
        while steps:
            try:
                await steps.popleft()()
            except Exception as error:
                self._fail(vassal, "listen", error)
        del self._steps[vassal]
        if (event := self._settled.pop(vassal, None)) is not None:
            event.set()

    async def _listen(
        self, vassal: str, address: str, how: Terms, after: Callable[[Listener], None]
    ) -> None:
        known = self.listeners.known(vassal)
        if known is not None and (known.address != address or known.is_shut()):
            await self._release(vassal)
        opening = self.listeners.opening(vassal, address, how)
        try:
            listener = await self._open(opening)
        except CannotListen as error:
            await self._release(vassal)  # a former daemon's address may not be allowed now
            if error.fault == "busy" and self._serves(vassal):
                # Its own process has the address, and no keeper has the socket. It is taken over
                # without one, as after recovery. The address is bound anew when it has ended.
                self._report_client(vassal)
                return
            body = ListenFailed(
                address=address,
                reason=str(error),
                fault=error.fault,
                holder=error.holder,
                held_as=error.held_as,
            )
            self._tell(Draft("listen_failed", body, None, vassal))
            return
        fd = listener.socket.fileno()
        if fd not in self._watched:
            self._watched[fd] = listener
            self._epoll.register(fd, select.EPOLLIN)
        after(listener)

    async def _open(self, opening: Opening) -> Listener:
        """Listen, in a thread if there is a socket file. Raises CannotListen."""
        try:
            await run_opening(self._threads, opening)
            if opening.made is not None:
                self._close(opening.vassal)
            return self.listeners.finish(opening)
        except BaseException:
            opening.abandon()
            raise

    async def _release(self, vassal: str) -> None:
        listener = self._close(vassal)
        if listener is not None:
            await self._remove(listener)

    def _close(self, vassal: str) -> Listener | None:
        """Forget the listener; its file is still there."""
        listener = self.listeners.get(vassal)
        if listener is not None:
            self._unwatch(listener.socket.fileno())
            self.listeners.forget(vassal)
        return listener

    async def _remove(self, listener: Listener) -> None:
        """Remove the file of a socket, if it has one and it is still that."""
        if listener.file is not None:
            with contextlib.suppress(NoAnswer):  # the next listener there replaces it
                await self._threads.run(
                    thread_key(listener.file.path, listener.how),
                    remove,
                    listener.file,
                    listener.how,
                )

    # Sockets that are lost

    async def _watch_files(self) -> None:
        """Listen anew where a socket is lost: jobs that tidy up directories remove socket files."""
        rest = LOOK_AFTER
        while True:
            await trio.sleep(rest)
            began = trio.current_time()
            by_key: dict[Hashable, list[Listener]] = {}
            for listener in self._watched.values():
                if listener.how is not None and self._is_settled(listener):
                    path = None if listener.file is None else listener.file.path
                    by_key.setdefault(thread_key(path, listener.how), []).append(listener)
            for key, listeners in by_key.items():
                # A look may take seconds, in which others are given back, and closed.
                held = [each for each in listeners if self._is_settled(each)]
                for listener in await self._lost(key, held):
                    self._listen_anew(listener)
            rest = max(LOOK_AFTER, SHARE * (trio.current_time() - began))

    def _is_settled(self, listener: Listener) -> bool:
        """Whether it is its vassal's, and no order for that is under way."""
        vassal = listener.vassal
        return self.listeners.get(vassal) is listener and vassal not in self._steps

    async def _lost(self, key: Hashable, listeners: list[Listener]) -> list[Listener]:
        """Those that clients do not find any longer."""
        shut = [listener for listener in listeners if listener.is_shut()]
        if all(listener.file is None for listener in listeners):
            return shut
        try:
            removed = await self._threads.run(
                key, lambda: [each for each in listeners if not each.has_file()]
            )
        except NoAnswer:
            removed = []
        return list(dict.fromkeys([*shut, *removed]))

    def _listen_anew(self, listener: Listener) -> None:
        if listener.how is not None and self._is_settled(listener):
            log.warning("%s: its socket is lost; making it anew", shown(listener.vassal))
            self.listen(listener.vassal, listener.address, listener.how)
