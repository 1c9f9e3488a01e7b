"""A client for each of many ports, all in one thread: which text is served when, and what is lost.

A request has a connection of its own. A client pauses between two requests, so that the clients of
100 ports take a small part of one core.
"""

import contextlib
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field

REQUEST = b"GET / HTTP/1.0\r\n\r\n"
PAUSE = 0.1  # seconds between two requests of a port
PATIENCE = 60.0  # seconds that a client waits for an answer


@dataclass
class _Port:
    number: int
    due: float
    link: socket.socket | None = None
    began: float = 0.0
    sent: bool = False
    answer: bytes = b""


@dataclass
class Count:
    """Since the last ``begin``: what was served when, and what was lost."""

    wanted: str
    began: float
    served: dict[int, float] = field(default_factory=dict)  # by port, seconds
    requests: int = 0
    lost: int = 0
    last_lost: float = 0.0  # seconds after the begin


class Clients:
    """They ask from the first moment on, also where no one listens yet."""

    def __init__(self, ports: list[int]) -> None:
        now = time.monotonic()
        step = PAUSE / len(ports)
        self._ports = [_Port(number, now + at * step) for at, number in enumerate(ports)]
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._count = Count("", now)
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> "Clients":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        for port in self._ports:
            if port.link is not None:
                port.link.close()
        self._selector.close()

    def begin(self, wanted: str) -> None:
        """Count anew, until each port serves this text."""
        with self._lock:
            self._count = Count(wanted, time.monotonic())

    def count(self) -> Count:
        with self._lock:
            now = self._count
            return Count(
                now.wanted, now.began, dict(now.served), now.requests, now.lost, now.last_lost
            )

    def _go(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.005):
                self._step(key.data)
            now = time.monotonic()
            for port in self._ports:
                if port.link is None and now >= port.due:
                    self._connect(port, now)
                elif port.link is not None and now > port.began + PATIENCE:
                    self._done(port, good=False)

    def _connect(self, port: _Port, now: float) -> None:
        port.link = socket.socket()
        port.link.setblocking(False)
        port.began, port.sent, port.answer = now, False, b""
        port.link.connect_ex(("127.0.0.1", port.number))
        self._selector.register(port.link, selectors.EVENT_WRITE, port)

    def _step(self, port: _Port) -> None:
        assert port.link is not None
        try:
            if not port.sent:
                port.link.sendall(REQUEST)
                port.sent = True
                self._selector.modify(port.link, selectors.EVENT_READ, port)
            elif part := port.link.recv(4096):
                port.answer += part
            else:
                self._done(
                    port, good=port.answer.startswith(b"HTTP/1.") and b" 200 " in port.answer
                )
        except BlockingIOError:
            return
        except OSError:
            self._done(port, good=False)

    def _done(self, port: _Port, *, good: bool) -> None:
        assert port.link is not None
        self._selector.unregister(port.link)
        with contextlib.suppress(OSError):
            port.link.close()
        port.link, now = None, time.monotonic()
        port.due = now + PAUSE
        with self._lock:
            count = self._count
            count.requests += 1
            if not good:
                count.lost += 1
                count.last_lost = now - count.began
            elif port.answer.endswith(f"\r\n\r\n{count.wanted}".encode()):
                count.served.setdefault(port.number, now - count.began)
