"""kazoo, as trio's: a session with ZooKeeper whose every wait can be cancelled.

kazoo has a thread that speaks to the servers, and two that would run callbacks. Here it has only
the first: what arrives is handed to trio by that thread itself, in the order in which it came.
The order of packets is a guarantee: ZooKeeper tells of a change before it answers with the changed
data. So a client that read several znodes and was told of no change has read them as they were
together.

kazoo keeps the session alive: it goes from server to server, and gets a new session when one has
expired, which ``has_expired`` tells. We wait for that, to a limit. A request that was lost is asked
again. Watches are lost with the connection; ``epoch`` counts those.

A thread cannot be cancelled, but a socket can be shut down. That ends whatever the thread does,
so closing takes a moment, whatever the servers do.
"""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import trio
from kazoo.client import KazooClient, KazooState  # type: ignore[import-untyped]
from kazoo.exceptions import (  # type: ignore[import-untyped]
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    SessionExpiredError,
    ZookeeperError,
)
from kazoo.protocol.states import KeeperState  # type: ignore[import-untyped]
from kazoo.retry import KazooRetry  # type: ignore[import-untyped]

from ..polling import SourceFailed
from .sockets import SILENT, Handler
from .url import at

_IN_FLIGHT: Final = 64  # requests; kazoo is told of each by a byte, and 250 of these would block
_MOST_TRIES: Final = 5  # for one request, whose answer is lost with the connection
_LOST: Final = (ConnectionLoss, ConnectionClosedError, SessionExpiredError)
_PLAIN: Final = (  # answers that callers know
    BadVersionError, NoAuthError, NoChildrenForEphemeralsError, NoNodeError, NodeExistsError,
)  # fmt: skip
_FAREWELL: Final = 0.5  # seconds for ending the session in order
_LONGEST_DELAY: Final = 3.0  # seconds between tries to reach any server
_GIVEN_UP: Final = 3  # times the limit, without a connection: then all begins anew


class Down(SourceFailed):
    """No server serves us now; kazoo goes on trying."""


class Refused(SourceFailed):
    """ZooKeeper answers, and does not do what was asked."""


class Connection:
    """One session. All of it runs in trio, but for what is said to run in kazoo's thread.

    ``limit``: seconds until an answer is overdue. The session may be away for half of it before
    that is a failure, and is asked to last as long. ``told`` is called with the path of every znode
    that was changed and watched; ``lost`` when all watches are lost.
    """

    def __init__(
        self,
        addresses: Iterable[tuple[str, int]],
        credentials: Iterable[str],
        limit: float,
        told: Callable[[str], None],
        lost: Callable[[], None],
    ) -> None:
        self.is_up = False
        self.epoch = 0
        self.has_expired = False  # a session did, since the last reading set it to False
        self._limit = limit
        self._told = told
        self._lost = lost
        self._credentials = [("digest", each) for each in credentials]
        self._token = trio.lowlevel.current_trio_token()
        self._turns = trio.Semaphore(_IN_FLIGHT)
        self._news = trio.Event()
        self._since = trio.current_time()
        self._was_up = False
        self._addresses = [at(*address) for address in addresses]
        self._troubles: dict[str, str] = {}
        self._flaw = ""  # of what a server sent
        self._end: str | None = None  # of kazoo's thread, and why
        self._is_refused = False
        self._handler = Handler(self._note, self._note_end, self._patience())
        retry = KazooRetry(
            max_tries=-1, max_delay=_LONGEST_DELAY, sleep_func=self._handler.sleep_func
        )
        self._kazoo = KazooClient(
            ",".join(self._addresses),
            timeout=limit,
            handler=self._handler,
            auth_data=self._credentials,
            connection_retry=retry,
            logger=_silent(),
        )
        self._kazoo.add_listener(self._on_state)

    def _patience(self) -> float:
        """Seconds for one server, so that another has its turn before that is a failure."""
        return self._limit * max(0.4 / len(self._addresses), 0.2)

    # Its life

    def start(self) -> None:
        """Have kazoo connect."""
        self._kazoo.start_async()

    async def close(self) -> None:
        """End the session, in order if that takes only a moment; leave no thread behind."""
        with trio.CancelScope(shield=True):
            ended = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop, ended)
                with trio.move_on_after(_FAREWELL if self.is_up else 0):
                    await ended.wait()
                while not ended.is_set():
                    self._handler.hang_up()
                    with trio.move_on_after(0.05):
                        await ended.wait()

    async def _stop(self, ended: trio.Event) -> None:
        await trio.to_thread.run_sync(self._kazoo.stop)
        self._kazoo.close()
        ended.set()

    @property
    def session(self) -> int | None:
        """The number of the session, as in the owner of an ephemeral znode; None without a
        connection."""
        identity = self._kazoo.client_id
        return None if identity is None else int(identity[0]) or None

    # News

    async def changed(self) -> None:
        """Return when we are told of something, or a connection came or went."""
        await self._news.wait()

    def check(self) -> None:
        """Raise SourceFailed when kazoo has given up."""
        if self._end is not None:
            raise SourceFailed(self._end)

    # How

    async def _ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        async with self._turns:
            began = trio.current_time()
            for _ in range(_MOST_TRIES):
                await self._be_up()
                epoch = self.epoch
                with contextlib.suppress(*_LOST):
                    return await self._outcome(getattr(self._kazoo, method)(*arguments, **named))
                if trio.current_time() - began > self._limit:
                    break
                # The answer may be here before the news that the connection is not.
                await self._be_up(after=epoch)
            flaw = f"; {self._flaw}" if self._flaw else ""
            raise SourceFailed(
                f"the connection was lost time and again before a request was answered{flaw}"
            )

    async def _ask_once(self, method: str, *arguments: Any) -> bool:
        """Whether the answer came before the connection was lost."""
        async with self._turns:
            await self._be_up()
            with contextlib.suppress(*_LOST):
                await self._outcome(getattr(self._kazoo, method)(*arguments))
                return True
        return False

    async def _outcome(self, result: Any) -> Any:
        done = trio.Event()
        before = self._handler.received
        result.rawlink(lambda _: self._soon(done.set))
        with trio.move_on_after(self._limit):
            await done.wait()
        if not result.ready():
            size = (self._handler.received - before) >> 10
            meanwhile = f", and sent {size:,} KiB of something else meanwhile" if size else ""
            raise SourceFailed(f"ZooKeeper did not answer for {self._limit:g} s{meanwhile}")
        try:
            return result.get_nowait()
        except (*_LOST, *_PLAIN):
            raise
        except ZookeeperError as error:
            raise Refused(f"ZooKeeper answered with {type(error).__name__}") from None
        except Exception as error:  # of kazoo, struct, a codec: whatever nonsense leads to
            raise SourceFailed(f"ZooKeeper answered with {type(error).__name__}") from None

    async def _be_up(self, after: int = -1) -> None:
        """Wait for a connection, a later one than ``after``. Raises SourceFailed."""
        started = trio.current_time()
        while not (self.is_up and self.epoch > after):
            self.check()
            since = started if self.is_up else self._since
            left = since + self._limit / 2 - trio.current_time()
            if left <= 0 or self._is_hopeless():
                raise self._down()
            with trio.move_on_after(left):
                await self._news.wait()

    def _is_hopeless(self) -> bool:
        """Whether no server was ever there: then there is no outage that could be a short one."""
        return not self._was_up and all(
            self._troubles.get(each, SILENT) != SILENT for each in self._addresses
        )

    def _down(self) -> SourceFailed:
        told = [
            f"{each} {self._troubles[each]}" for each in self._addresses if each in self._troubles
        ]
        reason = "no server serves us: " + ("; ".join(told) or "they do not answer")
        if trio.current_time() - self._since > _GIVEN_UP * self._limit:
            return SourceFailed(reason)
        return Down(reason)

    def _ring(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _change(self, path: str) -> None:
        self._told(path)
        self._ring()

    def _set_state(self, is_up: bool, has_expired: bool) -> None:
        self.has_expired |= has_expired
        if is_up:
            self._was_up = True
            self._troubles.clear()
        else:
            if self.is_up:
                self._since = trio.current_time()
            self.epoch += 1
            self._lost()
        self.is_up = is_up
        self._ring()

    def _set_trouble(self, address: str, what: str, is_flaw: bool = False) -> None:
        if is_flaw:
            self._flaw = f"{address} {what}"
        if not self.is_up:
            self._troubles[address] = what
        self._ring()

    def _set_end(self, reason: str) -> None:
        self._end = reason
        self._ring()

    # In kazoo's thread

    def _soon(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *arguments)

    def _on_event(self, event: Any) -> None:
        if event.path is not None:  # else the connection is lost, and we hear of it as a state
            self._soon(self._change, event.path)

    def _on_state(self, state: str) -> None:
        if self._kazoo.client_state == KeeperState.AUTH_FAILED:
            self._is_refused = True
        self._handler.is_greeting = False
        has_expired = self._kazoo.client_state == KeeperState.EXPIRED_SESSION
        self._soon(self._set_state, state == KazooState.CONNECTED, has_expired)

    def _note(self, address: str, what: str, is_flaw: bool = False) -> None:
        self._soon(self._set_trouble, address, what, is_flaw)

    def _note_end(self, error: Exception | None) -> None:
        reason = "kazoo has ended" if error is None else f"what answers is no ZooKeeper ({error})"
        if self._is_refused:
            reason = "ZooKeeper takes no such credentials"
        self._soon(self._set_end, reason)


def _silent() -> logging.Logger:
    """kazoo's errors are told as the monitor's failure, because its log may have credentials."""
    logger = logging.Logger("kazoo", logging.CRITICAL + 1)
    logger.addHandler(logging.NullHandler())
    return logger


async def look_up(hosts: Iterable[tuple[str, int]], limit: float) -> list[tuple[str, int]]:
    """The addresses of servers. Raises SourceFailed if none has one."""
    found: list[tuple[str, int]] = []
    troubles: list[str] = []
    for host, port in hosts:
        with _noting(host, troubles), trio.move_on_after(limit) as scope:
            answer = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend((str(address[0]), port) for *_, address in answer)
        if scope.cancelled_caught:
            troubles.append(f"{host}: no name server answers")
    if not found:
        raise SourceFailed("; ".join(troubles))
    return list(dict.fromkeys(found))


@contextlib.contextmanager
def _noting(host: str, troubles: list[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # socket.gaierror
        troubles.append(f"{host}: {error.strerror}")
