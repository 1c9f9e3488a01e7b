"""Clients that ask a vassal all the time, while it is replaced."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

PATIENCE = 20.0  # seconds for an answer
PAUSE = 0.01  # seconds between two requests of one client


class Clients:
    """The answers that they got, in the order in which they came, and each failure."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = Event()
        self.answers: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        """Ask until it is over, with a new connection each time."""
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                text = response.read().decode()
                where = self.answers if response.status == 200 else self.failures
                where.append(text)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            finally:
                connection.close()
            self._over.wait(PAUSE)

    def stop(self) -> None:
        """It is over."""
        self._over.set()


@contextmanager
def asking(port: int, count: int = 2) -> Iterator[Clients]:
    """So many clients of this port, until the end of the block."""
    clients = Clients(port)
    threads = [Thread(target=clients.run) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.stop()
        for thread in threads:
            thread.join()
