"""A way to a server that can be shut, cut, slowed down, or made to lead nowhere."""

import contextlib
import math
import socket
import threading
import time
from typing import Self

from .ports import free_port


class Gate:
    """A loopback port (``port``, or one of ours) that leads to another one, while it is open."""

    def __init__(self, behind: int, port: int = 0) -> None:
        self._behind = behind
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.silent = False  # connections are accepted and kept, and nothing gets through
        self.silent_after = math.inf  # bytes that clients are sent before it is
        self.rate = math.inf  # bytes a second that clients are sent
        self.passed = bytearray()  # sent by clients
        self.port = port or free_port()
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.shut()
        for thread in self._threads:
            thread.join(10)

    def open(self) -> None:
        """Let connections in, at the same port as ever."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accepting = self._start(self._accept, self._listener)

    def shut(self) -> None:
        """Refuse connections and break off those there are."""
        if self._listener is not None and self._accepting is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._accepting.join()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Break off all connections."""
        with self._lock:
            ends = set(self._ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _start(self, task: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=task, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        with listener, contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                self._start(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        with near, socket.socket() as far:
            try:
                far.connect(("127.0.0.1", self._behind))
            except OSError:
                return
            with self._lock:
                self._ends |= {near, far}
            back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
            back.start()
            self._pump(near, far, self.passed)
            back.join()
            with self._lock:
                self._ends -= {near, far}

    def _slow_down(self, count: int) -> None:
        self.silent_after -= count
        self.silent |= self.silent_after < 0
        time.sleep(count / self.rate)  # a line of so many bytes a second is what it stands for

    def _pump(
        self, source: socket.socket, drain: socket.socket, passed: bytearray | None = None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                if passed is None:
                    self._slow_down(len(data))
                else:
                    passed += data
                if not self.silent:
                    drain.sendall(data)
        # Nor does the end of one side get through to the other.
        for end in (source,) if self.silent else (source, drain):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
