"""HTTP clients of one port: one connection a request, and how each of them ended."""

import socket
import threading
import time
from dataclasses import dataclass, field

REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
PATIENCE = 60.0  # seconds that a client waits, in the backlog too
PAUSE = 0.004  # seconds between two requests: a port has only so many connections a minute


@dataclass
class Count:
    """The requests of one port since the last reset."""

    requests: int = 0
    refused: int = 0  # not connected
    cut: int = 0  # connected, but no whole answer came
    wrong: int = 0  # an answer that is not 200
    gap: float = 0.0  # seconds, the longest without an answer to any client
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return self.refused + self.cut + self.wrong


class Clients:
    """So many clients that ask one port without end."""

    def __init__(self, port: int, number: int = 2) -> None:
        self._address = ("127.0.0.1", port)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._count = Count()
        self._answered = time.monotonic()
        self._threads = [threading.Thread(target=self._go) for _ in range(number)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def begin(self) -> None:
        """Count anew."""
        with self._lock:
            self._count, self._answered = Count(), time.monotonic()

    def end(self) -> Count:
        """The requests that have ended since, and the longest gap, one that goes on included."""
        with self._lock:
            count = self._count
            count.gap = max(count.gap, time.monotonic() - self._answered)
            self._count = Count()
            return count

    def answers(self) -> int:
        with self._lock:
            return self._count.requests - self._count.failed

    def _go(self) -> None:
        while not self._over.is_set():
            kind, error = self._ask()
            with self._lock:
                self._note(kind, error)
            self._over.wait(PAUSE)

    def _note(self, kind: str, error: str) -> None:
        count, now = self._count, time.monotonic()
        count.requests += 1
        if kind == "good":
            count.gap = max(count.gap, now - self._answered)
            self._answered = now
            return
        setattr(count, kind, getattr(count, kind) + 1)
        count.errors[error] = count.errors.get(error, 0) + 1

    def _ask(self) -> tuple[str, str]:
        """How a request ended: "good", "refused", "cut" or "wrong", and the error."""
        try:
            client = socket.create_connection(self._address, PATIENCE)
        except OSError as error:
            return "refused", f"connect: {type(error).__name__}"
        answer = b""
        with client:
            try:
                client.sendall(REQUEST)
                while part := client.recv(4096):
                    answer += part
            except OSError as error:
                return "cut", f"after connect: {type(error).__name__}"
        if not answer.endswith(b"\r\n\r\nok"):
            return (
                ("wrong", answer[:15].decode("ascii", "replace"))
                if answer
                else ("cut", "no answer")
            )
        return ("good", "") if answer[9:12] == b"200" else ("wrong", answer[:15].decode())
