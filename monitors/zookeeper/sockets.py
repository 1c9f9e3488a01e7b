"""The operations that kazoo needs of a system: sockets, a thread, and a taker of results.

A server that claims an answer of any length is no reason to wait for that, or to hold it.
"""

import contextlib
import functools
import select
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from kazoo.handlers.threading import (  # type: ignore[import-untyped]
    SequentialThreadingHandler,
)

from .url import at

_LONGEST: Final = 8 << 20  # bytes of one answer
_CHUNK: Final = 1 << 16  # bytes that are received at a time
SILENT: Final = "takes connections and gives no session: it has no quorum, or it hangs"


class Handler(SequentialThreadingHandler):  # type: ignore[misc]
    """The operations that kazoo needs of a system: sockets, a thread, and a taker of results."""

    def __init__(
        self,
        note: Callable[..., None],
        note_end: Callable[[Exception | None], None],
        patience: float,
    ) -> None:
        super().__init__()
        self.completion_queue = self.callback_queue = _AtOnce()
        self._note = note
        self._note_end = note_end
        self._patience = patience  # seconds to connect to one server, and to get a session
        self.is_greeting = False
        self.received = 0  # bytes
        self._wire: _LimitedSocket | None = None
        self._is_over = False

    def start(self) -> None:
        """Nothing needs to be started."""
        self._running = True

    def stop(self) -> None:
        """Nor stopped."""
        self._running = False

    def spawn(self, func: Callable[..., None], *args: Any, **kwargs: Any) -> threading.Thread:
        """A thread, which says how it ended."""

        def run() -> None:
            failure: Exception | None = None
            try:
                func(*args, **kwargs)
            except Exception as error:
                failure = error
            self._note_end(failure)

        thread = threading.Thread(target=run, name="kazoo", daemon=True)
        thread.start()
        return thread

    def create_connection(
        self, address: tuple[str, int], timeout: float | None = None, **_: object
    ) -> "_LimitedSocket":
        """Connect to an address, which is a number."""
        label = at(*address)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._wire = wire = _LimitedSocket(family, socket.SOCK_STREAM)
        wire.on_nonsense = functools.partial(self._note, label, is_flaw=True)
        wire.on_received = self._count
        try:
            if self._is_over:
                raise ConnectionAbortedError
            wire.settimeout(self._patience)
            wire.connect(address)
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            wire.close()
            self._note(label, f"cannot be reached ({error.strerror or 'no answer'})")
            raise
        self._note(label, SILENT)
        self.is_greeting = True
        return wire

    def _count(self, count: int) -> None:
        self.received += count

    def hang_up(self) -> None:
        """Break off what the thread waits for. Called in trio's thread."""
        self._is_over = True
        if self._wire is not None:
            with contextlib.suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)

    def select(self, rlist: list[Any], wlist: list[Any], xlist: list[Any], timeout: float) -> Any:
        """As select.select."""
        if self.is_greeting:
            timeout = min(timeout, self._patience)
        return poll_sockets(rlist, wlist, xlist, timeout)


def poll_sockets(
    rlist: list[Any], wlist: list[Any], _: list[Any], timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """As select.select. kazoo's own makes an epoll each time, three times for each answer."""
    poll = select.poll()
    for each in rlist:
        poll.register(each, select.POLLIN)
    for each in wlist:
        poll.register(each, select.POLLOUT)
    ready = {descriptor for descriptor, _ in poll.poll(None if timeout is None else timeout * 1000)}
    return (
        [each for each in rlist if each.fileno() in ready],
        [each for each in wlist if each.fileno() in ready],
        [],
    )


class _AtOnce:
    """Looks to kazoo like the queue of a thread that runs callbacks."""

    @staticmethod
    def put(function: Callable[[], None]) -> None:
        """Run it; ours only hand over."""
        function()


class _LimitedSocket(socket.socket):
    """A socket that is asked for a reasonable number of bytes only."""

    on_nonsense: Callable[[str], None]
    on_received: Callable[[int], None]

    def recv(self, count: int, flags: int = 0, /) -> bytes:
        """As the base. The number is what the other side says will come."""
        if count > _LONGEST:
            self.on_nonsense(
                f"is no ZooKeeper, or one of its answers is too long: it claims {count} bytes,"
                f" {_LONGEST} are allowed"
            )
            raise ConnectionAbortedError
        received = super().recv(min(count, _CHUNK), flags)
        self.on_received(len(received))
        return received
