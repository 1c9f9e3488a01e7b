"""Vassals that flood a socket of the daemon's, or pass connections over it that linger."""

import os
import socket
import struct
from typing import Final

from .daemon import Daemon
from .hostile_descendants import ask

LINGER: Final = 600  # seconds
_PASSING: Final = f"""\
listener = socket.create_server(("127.0.0.1", 0))
passed = socket.create_connection(listener.getsockname())
passed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, {LINGER}))
peer, _ = listener.accept()
passed.setblocking(False)
try:
    while True: passed.send(bytes(1 << 16))
except BlockingIOError: pass
"""
_PASSED: Final = """\
passed.close()  # which waits, if the daemon did not take it
time.sleep(10000)
"""


def passing(send: str) -> str:
    """A script that passes a connection that lingers, ``passed``, by these lines."""
    return f"{_PASSING}{send}{_PASSED}"


def flood(send: str) -> str:
    """A script that sends more than a daemon takes at once, by this line."""
    return f'{send}\nopen("flooded", "w").close()\ntime.sleep(10000)\n'


def lingering() -> tuple[socket.socket, list[socket.socket]]:
    """A connection whose close waits for a peer that does not read, and what keeps it so."""
    listener = socket.create_server(("127.0.0.1", 0))
    passed = socket.create_connection(listener.getsockname())
    passed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
    peer, _ = listener.accept()
    passed.setblocking(False)
    try:
        while True:
            passed.send(bytes(1 << 16))
    except BlockingIOError:
        return passed, [listener, peer]


def closing_all(kept: list[socket.socket]) -> None:
    for each in kept:
        each.close()


def touch(daemon: Daemon) -> None:
    """Another vassal's change is taken."""
    after = daemon.last_seq()
    os.utime(daemon.vassals / "good.ini")
    daemon.event("vassal_changed", "good.ini", after=after)


def told_once(daemon: Daemon, says: str) -> None:
    """A flood waits in its socket: it is said once, and costs no other vassal its turn."""
    daemon.until(lambda: says in daemon.log(), "the flood is said")
    touch(daemon)
    daemon.until(
        lambda: "reading was paused 2 times" in _flooding(daemon), "it is read again, and not"
    )
    assert daemon.log().count("it sends more than") == 1
    assert not (daemon.folder / "flooded").exists()
    daemon.stop()


def _flooding(daemon: Daemon) -> str:
    """The floods that ``status`` tells."""
    attention = ask(daemon, "status")["status"]["attention"]
    floods = [each for each in attention if each["what"] == "flooding"]
    return " ".join(each["reason"] for each in floods if each["vassal"] == "bad.ini")
