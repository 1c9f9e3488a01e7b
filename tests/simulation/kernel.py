"""Simulated processes, as the kernel shows them to a daemon that recovers."""

from typing import Final, Protocol

from emperord.daemon.core.inputs import Notice
from emperord.daemon.host.procfs import Processes
from emperord.daemon.keeper.link import Identity

from .script import NOTIFYING, OWN

DEAF: Final = 0.5  # seconds after its first worker accepts in which others may not hear a reload
TICKS: Final = 100  # a second, as start times are counted


Word = int | Notice  # a byte, or a message that is none
Key = tuple[str, int]
"""A vassal and the number of an attempt."""


class Parent(Protocol):
    """The daemon that listens to a process."""

    def heard(self, process: "Process", word: "Word") -> None: ...

    def buries(self, process: "Process") -> None: ...


class Process:
    """The leader of a vassal's tree."""

    def __init__(
        self, pid: int, started: int, name: str, attempt: int, mark: str, config: str
    ) -> None:
        self.pid = pid
        self.started = started
        self.name = name
        self.attempt = attempt
        self.mark = mark
        self.config = config  # the text that it runs
        self.alive = True
        self.code: int | None = None
        self.signal: int | None = None
        self.parent: Parent | None = None  # which reads its bytes
        self.child_of: object = None  # which reaps it; None: the subreaper does
        self.orphan = False  # it came from another keeper: no process here will reap it
        self.connected = True  # its control socket leads somewhere
        self.unread: list[Word] = []  # in that socket
        self.address: str | None = None  # on demand: its standard input listens there
        self.accepting = False
        self.accepted = -DEAF  # when it began to
        self.asked = False  # it was told to end
        self.sick = False  # its checks fail
        self.mute = False  # it sends no heartbeats
        self.reloads = False  # it died of the signal that was to reload it
        self.ignored = False  # there is an order that it has not read
        self.strays: list[int] = []
        self.generation = 0  # reloads; what an older one was about to do is not done

    @property
    def identity(self) -> Identity:
        """Pid and start time, which no other process has, now or later."""
        return self.pid, self.started

    @property
    def key(self) -> Key:
        """The attempt that it runs."""
        return self.name, self.attempt

    @property
    def behaviour(self) -> str:
        """How it behaves: the first word of its config."""
        return self.config.partition(" ")[0]

    @property
    def speaks(self) -> bool:
        """Whether it uses its control socket."""
        return self.behaviour not in OWN

    @property
    def notifies(self) -> bool:
        """Whether it uses its NOTIFY_SOCKET."""
        return self.behaviour in NOTIFYING

    def recover(self) -> None:
        """Its checks succeed again."""
        self.sick = False

    def disconnect(self) -> None:
        """Its control socket leads nowhere from now on."""
        self.connected = False
        self.unread.clear()


class Kernel:
    """Tells of processes that live."""

    processes: dict[int, Process]
    marked: dict[int, str]  # pid -> mark, of all that live, strays too
    strangers: dict[int, int]  # pid -> start time, of processes of others

    def all_of(self, name: str) -> list[Process]:
        """The processes of a vassal, the oldest first: two in a replacement."""
        return [process for process in self.processes.values() if process.name == name]

    def all_processes(self) -> Processes:
        """All that lives and has a mark."""
        marked: dict[str, list[int]] = {}
        for pid, mark in sorted(self.marked.items()):
            marked.setdefault(mark, []).append(pid)
        return Processes(marked, {}, {})

    def start_time(self, pid: int) -> int | None:
        """Of a process that lives."""
        if pid in self.processes:
            return self.processes[pid].started
        return self.strangers.get(pid)

    def session(self, pid: int) -> int | None:
        """A leader's own; a stray's is another."""
        return pid if pid in self.processes else None

    def owner(self, pid: int) -> int | None:
        """Say root: there are no other users here."""
        return 0 if pid in self.processes else None

    def remnants(
        self,
        all_: Processes,
        mark: str,
        leader: int | None,
        started: int | None,
        uid: int | None = None,
    ) -> list[int]:
        """The living processes of an attempt's tree beside its leader."""
        return [pid for pid in all_.marked.get(mark, ()) if pid != leader]
