"""HTTP clients that ask without a pause, while something else happens to an application."""

import http.client
import threading
from contextlib import closing

from support.vassals import Application

# Answers with a length, so that a connection can be kept.
FAST = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


class Client:
    """One connection that is kept, with a request under way at all times."""

    def __init__(self, app: Application) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
        self._connection.connect()
        self.local = self._connection.sock.getsockname()
        self._port = app.port
        self.answers = 0
        self.error: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> "Client":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()

    def moved_on(self, since: int) -> bool:
        """Whether more was answered than so many, or nothing ever will."""
        return self.answers > since or self.error is not None

    def _go(self) -> None:
        try:
            while not self._over.is_set():
                self._connection.request("GET", "/")
                answer = self._connection.getresponse()
                assert answer.status == 200
                answer.read()
                assert self._connection.sock.getsockname() == self.local  # never made anew
                self.answers += 1
        except BaseException as error:
            self.error = error


class NewClients(Client):
    """A new connection for each request, as a browser's visitors make them."""

    def _go(self) -> None:
        try:
            while not self._over.is_set():
                with closing(
                    http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
                ) as new:
                    new.request("GET", "/")
                    answer = new.getresponse()
                    assert answer.status == 200
                    answer.read()
                    self.answers += 1
        except BaseException as error:
            self.error = error
