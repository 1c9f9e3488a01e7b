"""The keeper's answer to clients of the control socket while it waits to start the next daemon.

The keeper holds the socket, so the kernel lets clients connect without a daemon. A client of a
daemon that is replaced or restarted soon waits for the next one. Where the next start is further
away, the keeper tells each client so, and closes the connection:

    {"ok": false, "no_daemon": true, "error": "..."}
"""

import contextlib
import json
import os
import select
import socket

from .protocol import CONTROL, Memory
from .restarts import Restarts

_SOON = 1.0  # seconds until a start for which clients wait
_MOST = 64  # clients that are answered before the keeper does other work
_REQUEST = 65_536  # bytes that are read of a request


class NoDaemon:
    """Answers clients after a daemon has ended. ``how`` it ended is part of the answer."""

    def __init__(self, memory: Memory, restarts: Restarts) -> None:
        self._memory = memory
        self._restarts = restarts
        self._how = ""
        self._at_limit = False  # the kernel gave no descriptor; clients wait for the next daemon

    def ended(self, how: str) -> None:
        """A daemon has ended in this way."""
        self._how, self._at_limit = how, False

    def register(self, poll: select.poll) -> None:
        """Have a poll(2) wake when a client is to be answered."""
        if self._answers():
            poll.register(self._memory.kept[CONTROL][1][0], select.POLLIN)

    def answer(self) -> None:
        """Answer the clients that have connected."""
        if not self._answers():
            return
        # The daemons' socket object is gone, so nothing but this call uses the descriptor.
        listener = socket.socket(fileno=self._memory.kept[CONTROL][1][0])
        try:
            listener.setblocking(False)
            for _ in range(_MOST):
                self._tell(listener.accept()[0])
        except BlockingIOError:
            pass
        except OSError:
            self._at_limit = True
        finally:
            listener.detach()

    def _answers(self) -> bool:
        # A start is due later only while no daemon runs.
        return (
            bool(self._how)
            and not self._at_limit
            and CONTROL in self._memory.kept
            and self._restarts.left > _SOON
        )

    def _tell(self, client: socket.socket) -> None:
        refusal = {"ok": False, "no_daemon": True, "error": self._text()}
        with client, contextlib.suppress(OSError):
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.recv(_REQUEST)  # closed with unread bytes, the client's end is reset
            client.send(json.dumps(refusal).encode() + b"\n")

    def _text(self) -> str:
        vassals = "vassals run on, and " if self._memory.of_vassals() else ""
        return (
            f"no daemon runs: the last one ended {self._how}, and its log says why; {vassals}"
            f"the keeper (pid {os.getpid()}) starts the next one in {self._restarts.left:.0f} s;"
            f" 'kill -USR2 {os.getpid()}' starts it now"
        )
