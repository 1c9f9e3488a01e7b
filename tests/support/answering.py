"""A vassal that answers at the sockets that are kept for it, and clients that ask all the time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from . import clients
from .ports import free_port
from .vassals import program

# Answers with its first argument at all sockets that it was given, one client after the other.
SERVER = """
import os, selectors, signal, socket, sys
stops = []
signal.signal(signal.SIGTERM, lambda number, frame: stops.append(number))
if int(os.environ["LISTEN_PID"]) != os.getpid(): sys.exit("LISTEN_PID is not my pid")
look = selectors.DefaultSelector()
for number in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    given = socket.socket(fileno=number)
    given.setblocking(False)
    look.register(given, selectors.EVENT_READ)
while not stops:
    for key, _ in look.select(0.05):
        try: client, _ = key.fileobj.accept()
        except BlockingIOError: continue
        client.setblocking(True)
        client.recv(4096)
        client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + b'"%s"' % sys.argv[1].encode())
        client.close()
"""


def server(folder: Path, answer: str, *addresses: str, **settings: str) -> str:
    """The config of a vassal that gives this answer at the sockets that it gets."""
    path = folder / "server.py"
    path.write_text(SERVER)
    words = (sys.executable, "-IS", str(path), answer)
    return program(*words, listen=", ".join(addresses), **settings)


def tcp() -> str:
    return f"127.0.0.1:{free_port()}"


@contextmanager
def clients_at(*addresses: str) -> Iterator[list[str]]:
    """Clients that connect one after the other; the answers, and each failure."""
    told: list[str] = []
    over = Event()

    def ask(address: str) -> None:
        while not over.is_set():
            try:
                told.append(clients.ask(address))
            except (OSError, ValueError) as error:
                told.append(f"{address}: {error!r}")

    threads = [Thread(target=ask, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        over.set()
        for thread in threads:
            thread.join()
