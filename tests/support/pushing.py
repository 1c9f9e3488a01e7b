"""A client of zmq://, as users write it."""

from pathlib import Path
from typing import Final, Self

import zmq
from emperord.monitors.contract import Monitor
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor

from .ports import free_port

_SENT_AWAY: Final = (
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.DISCONNECTED
)


class Pusher:
    """A PUSH socket connected to an endpoint; ``keys`` are server, public and secret for CURVE.

    A client that gets nowhere must not make a test wait. So nothing lingers, and a send that cannot
    be taken in ``patience`` seconds raises zmq.Again. ``heartbeat`` is in milliseconds.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        keys: tuple[bytes, bytes, bytes] | None = None,
        queue: int = 1000,
        patience: float = 20,
        heartbeat: int = 0,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.PUSH)
        self.socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        self.socket.setsockopt(zmq.SNDHWM, queue)
        self.socket.setsockopt(zmq.SNDTIMEO, int(patience * 1000))
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, heartbeat)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 20_000)
        if keys is not None:
            self.socket.curve_serverkey, self.socket.curve_publickey = keys[:2]
            self.socket.curve_secretkey = keys[2]
        self._events = self.socket.get_monitor_socket(_SENT_AWAY)
        self.socket.connect(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.disable_monitor()
        self._context.destroy(linger=0)

    def send(self, *frames: bytes | str) -> None:
        """Send one message."""
        self.socket.send_multipart([f.encode() if isinstance(f, str) else f for f in frames])

    def touch(self, name: str, config: str = "", *more: str) -> None:
        """Have a vassal run, or reload."""
        self.send("touch", name, config, *more)

    def destroy(self, name: str) -> None:
        """Have a vassal end."""
        self.send("destroy", name)

    def sent_away(self) -> bool:
        """Whether the server has hung up since this was asked last."""
        hung_up = False
        while self._events.poll(0):
            self._events.recv_multipart()
            hung_up = True
        return hung_up


class ZmqSource:
    """An endpoint, and a client of it."""

    def __init__(self, _: Path | None = None) -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self._pusher = Pusher(self.endpoint)

    def close(self) -> None:
        """Hang up."""
        self._pusher.__exit__()

    def monitor(self, options: MonitorOptions) -> Monitor:
        """A monitor that listens there."""
        return open_monitor(f"zmq://{self.endpoint}", options)

    def name(self, file: str) -> str:
        """As it is."""
        return file

    def put(self, file: str, content: str) -> None:
        """Have it run, or reload."""
        self._pusher.touch(file, content)

    def remove(self, file: str) -> None:
        """Have it end."""
        self._pusher.destroy(file)
