"""zmq:// as a row. It has no server: it is one."""

from pathlib import Path

import zmq
import zmq.auth
from emperord.monitors.contract import Monitor
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from support.ports import free_port
from support.pushing import Pusher
from support.services import Service

from .row import Guarded, Row


class ZmqRow(Row):
    """An endpoint, and a client of it."""

    checked = "  reached; it announces its vassals, so there is nothing to read beforehand"
    removal = "vassal_destroyed"
    tells_all = True
    most_goes = 500  # the library's thread hands messages over while they are told
    padding = 500

    def __init__(self, folder: Path, server: Service | None) -> None:
        super().__init__(folder, server)
        self._endpoint = f"tcp://127.0.0.1:{free_port()}"
        self._pusher = Pusher(self._endpoint)

    def close(self) -> None:
        self._pusher.__exit__()

    def again(self) -> None:
        """Connect anew: what is written to a connection that has just ended is lost."""
        self._pusher.__exit__()
        self._pusher = Pusher(self._endpoint)

    @property
    def url(self) -> str:
        return f"zmq://{self._endpoint}"

    def monitor(
        self, options: MonitorOptions, limit: float = 1, port: int | None = None
    ) -> Monitor:
        return open_monitor(self.url, options)

    def put(self, name: str, config: str) -> None:
        self._pusher.touch(name, config)

    def remove(self, name: str) -> None:
        self._pusher.destroy(name)

    def put_bad(self) -> dict[str, str]:
        self.put("bad", "x")
        self.put("long.ini", "#" * 65536)
        return {"bad": "extension", "long.ini": "65536 bytes"}

    def guarded(self) -> Guarded:
        files = []
        for name, mode in (("good", 0o600), ("bad", 0o644)):
            _, file = zmq.auth.create_certificates(self.folder, name)
            Path(file).chmod(mode)
            files.append(file)
        key, secret = zmq.auth.load_certificate(files[0])
        _, other = zmq.auth.load_certificate(files[1])
        assert secret is not None
        assert other is not None
        self._pusher.__exit__()
        self._pusher = Pusher(self._endpoint, keys=(key, *zmq.curve_keypair()))
        good = f"{self.url}?curve_secretkey_file={files[0]}"
        bad = f"zmq://tcp://127.0.0.1:{free_port()}?curve_secretkey_file={files[1]}"
        reason = f"others can read or change it; chmod 600 {files[1]}"
        return Guarded([good, bad], [secret, other], reason, 1)
