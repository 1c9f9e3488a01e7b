"""A private ZooKeeper, and three of them that are a quorum."""

import contextlib
import socket
from collections.abc import Mapping
from typing import Any, ClassVar

from support.ports import free_port

from .base import Server

_TICK = 200  # ms; a session lasts two of these at least

_CONFIG = """\
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
tickTime={tick}
initLimit=50
syncLimit=25
maxSessionTimeout=60000
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
forceSync=no
preAllocSize=1024
snapCount=100000
"""


class ZooKeeper(Server):
    """One that stands alone, or is a member of a quorum. Each client may do anything in it."""

    name = "zookeeper"
    packages = ("zookeeper",)
    user = "zookeeper"
    forming = False  # the others are not there yet, so that it cannot serve

    def prepare(self) -> None:
        self.run("mkdir", "data")
        config = _CONFIG.format(folder=self.folder, port=self.port, tick=_TICK)
        (self.folder / "zoo.cfg").write_text(config)

    def join(self, number: int, members: Mapping[int, tuple[int, int]]) -> None:
        """Be one of several; they are known by their ports, for the quorum and for elections."""
        lines = (f"server.{n}=127.0.0.1:{ports[0]}:{ports[1]}\n" for n, ports in members.items())
        with (self.folder / "zoo.cfg").open("a") as config:
            config.writelines(lines)
        (self.folder / "data" / "myid").write_text(f"{number}\n")

    def command(self) -> list[str]:
        script = "/usr/share/zookeeper/bin/zkServer.sh"
        return [script, "start-foreground", str(self.folder / "zoo.cfg")]

    def environment(self) -> Mapping[str, str]:
        return {
            "JMXDISABLE": "true",
            # Quick to start and content with little: a test machine has better to do.
            "JVMFLAGS": "-Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:CICompilerCount=1",
        }

    def is_ready(self) -> bool:
        return self._mode() == b"rw" or (self.forming and self._mode() is not None)

    def _mode(self) -> bytes | None:
        """Whether it serves ("rw"); None if it does not even listen."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as s,
        ):
            s.settimeout(1)
            try:
                s.sendall(b"isro")
                return s.recv(100)
            except OSError:
                return b""
        return None

    def address(self) -> dict[str, Any]:
        return {"port": self.port, "hosts": f"127.0.0.1:{self.port}"}


class Quorum(Server):
    """Three that elect a leader. Each can be ordered about: zookeeper-1, -2 and -3."""

    name = "zookeeper-quorum"
    packages = ZooKeeper.packages
    size: ClassVar[int] = 3

    def prepare(self) -> None:
        numbers = range(1, self.size + 1)
        ports = {number: (free_port(), free_port()) for number in numbers}
        self.members: dict[str, ZooKeeper] = {}
        for number in numbers:
            self.members[f"zookeeper-{number}"] = member = ZooKeeper()
            member.join(number, ports)

    def start(self) -> None:
        for member in self.members.values():
            member.forming = True
            member.start()
            member.forming = False
        self._wait_for("elect", lambda: all(each.is_ready() for each in self.members.values()))

    def stop(self) -> None:
        for member in self.members.values():
            member.stop()

    def kill(self) -> None:
        for member in self.members.values():
            member.kill()

    def freeze(self) -> None:
        for member in self.members.values():
            member.freeze()

    def thaw(self) -> None:
        for member in self.members.values():
            member.thaw()

    def remove(self) -> None:
        for member in self.members.values():
            member.remove()
        super().remove()

    def address(self) -> dict[str, Any]:
        members = [f"127.0.0.1:{member.port}" for member in self.members.values()]
        return {"hosts": ",".join(members), "ports": [m.port for m in self.members.values()]}

    def _log_end(self) -> str:
        return "\n".join(member._log_end() for member in self.members.values())
