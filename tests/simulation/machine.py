"""The simulated machine: processes, what they do, and what outlives a daemon beside them.

A vassal behaves as the first word of its config says. It is a heap of timers, not a task: it
says bytes, reacts to bytes, and ends. Processes live on when the daemon is killed; its end of a
control socket does if the keeper was entrusted with it.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from emperord.daemon.host import emperor_protocol
from emperord.daemon.keeper.link import Death, Identity

from .checker import Checker
from .kernel import DEAF, TICKS, Process, Word
from .notifying import Notifying
from .script import AWAITED

_LIMITS: Final = {"never": 0.5, "tardy": 4.0}  # seconds, as their settings say


class Machine(Notifying):
    """Processes of one machine, and the keeper's memory."""

    def __init__(
        self,
        rng: Random,
        checker: Checker,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._rng = rng
        self._checker = checker
        self._now = now
        self._later = later
        self._last_pid = 100
        self.boot = "boot 1"
        self.processes: dict[int, Process] = {}  # that live
        self.marked: dict[int, str] = {}  # pid -> mark, of all that live, strays too
        self.strangers: dict[int, int] = {}  # pid -> start time, of processes of others
        self.starved = False  # nothing can be forked
        self.busy = False  # strangers have the addresses at which no vassal listens
        self.keeper = True
        self.kept: set[str] = set()  # entrusted to the keeper
        self.deaths: dict[Identity, Death] = {}  # that the keeper knows of
        self.listening: dict[str, str] = {}  # vassal on demand -> its address
        self.opened: dict[str, set[str]] = {}  # vassal -> the sockets that are kept for it
        self.clients: set[str] = set()  # vassals for which clients wait

    def _pid(self) -> int:
        self._last_pid += 1
        return self._last_pid

    def end(self, pids: Iterable[int]) -> None:
        """Kill, and wait until they are gone."""
        for pid in pids:
            self.kill(pid)

    def kill(self, pid: int) -> None:
        """SIGKILL to any process of ours."""
        if pid in self.processes:
            self.dies(self.processes[pid], None, 9)
        elif pid in self.marked:
            del self.marked[pid]
            self._checker.died(pid)

    # The lives of vassals

    def fork(self, name: str, attempt: int, mark: str, config: str) -> Process:
        """A process begins."""
        pid = self._pid()
        process = Process(pid, int(self._now() * TICKS) + 1, name, attempt, mark, config)
        self._checker.born(pid, name, attempt)
        self._checker.approvals.runs(name, config)
        self.processes[pid] = process
        self.marked[pid] = mark
        self._begin(process, fresh=True)
        if process.behaviour == "strays":
            stray = self._pid()
            process.strays.append(stray)
            self.marked[stray] = mark
            self._checker.strayed(stray, name, attempt)
        return process

    def _begin(self, process: Process, *, fresh: bool) -> None:
        """Plan all that it does of itself from here on."""
        rng, behaviour = self._rng, process.behaviour
        ready = rng.uniform(0.01, 0.1)
        accepts = ready + rng.uniform(0.02, 0.3)
        if behaviour == "slow":
            accepts += rng.uniform(0.5, 3.0)
        if behaviour in ("crashes", "exile"):
            code = 26 if behaviour == "exile" else 1
            self._in(process, accepts * rng.random(), lambda: self.dies(process, code, None))
        if behaviour in ("worker", "once"):
            self._in(process, rng.uniform(0.05, 3.0), lambda: self.dies(process, 0, None))
        if behaviour in AWAITED:
            self._begin_awaited(process)
            return
        if process.notifies:
            self._begin_notifying(process)
            return
        if behaviour == "silent" or not process.speaks:
            process.accepting = not process.speaks
            return
        if behaviour == "fickle" and rng.random() < 0.5:
            self._in(process, accepts * rng.random(), lambda: self.dies(process, None, 11))
        if fresh:
            self._in(process, ready, lambda: self.says(process, emperor_protocol.READY))
        self._in(process, accepts, lambda: self._accepts(process))
        if behaviour == "shaky":
            soon = accepts + rng.uniform(0.01, 0.3)
            self._in(process, soon, lambda: self.dies(process, 1, None))
        if behaviour != "late":
            loyal = accepts + rng.uniform(0.5, 1.5)
            self._in(process, loyal, lambda: self.says(process, emperor_protocol.LOYAL))
        if behaviour in ("beats", "mutes"):
            self._in(process, accepts, lambda: self._beats(process))
        ends = {"late": lambda: self.dies(process, 3, None), "mutes": lambda: self.mutes(process)}
        ends["resigns"] = lambda: self.says(process, emperor_protocol.RESIGNS)
        if behaviour in ends:
            self._in(process, accepts + rng.uniform(0.3, 2.5), ends[behaviour])

    def _begin_awaited(self, process: Process) -> None:
        """A program says nothing; the host looks at it."""
        rng, behaviour = self._rng, process.behaviour
        self._checker.conditions.begins(process.pid, self._now(), _LIMITS.get(behaviour, 2.0))
        if behaviour == "never":
            return
        ready = rng.uniform(2.1, 2.8) if behaviour == "tardy" else rng.uniform(0.05, 0.6)
        self._in(process, ready, lambda: self._is_ready(process))
        if behaviour in ("sickens", "ails"):
            sick = ready + rng.uniform(0.3, 2.5)
            self._in(process, sick, lambda: self._sickens(process))
            if behaviour == "ails":
                self._in(process, sick + rng.uniform(0.1, 2.0), process.recover)

    def _is_ready(self, process: Process) -> None:
        process.accepting = True
        self._checker.conditions.is_well(process.pid)

    def _sickens(self, process: Process) -> None:
        process.sick = True
        if process.behaviour == "sickens":
            self._checker.conditions.fell_sick(process.pid, self._now(), 0.5)

    def _in(self, process: Process, seconds: float, do: Callable[[], None]) -> None:
        generation = process.generation

        def unless_over() -> None:
            if process.alive and process.generation == generation:
                do()

        self._later(seconds, unless_over)

    def _accepts(self, process: Process) -> None:
        process.accepting = True
        process.accepted = self._now()
        self.clients.discard(process.name)
        self.says(process, emperor_protocol.ACCEPTING)

    def says(self, process: Process, word: Word) -> None:
        """It writes a byte or a message."""
        if process.connected and (process.speaks or process.notifies):
            process.unread.append(word)
            if process.parent is not None:
                process.parent.heard(process, word)

    def told(self, process: Process, byte: bytes, *, signal: bool = False) -> None:
        """A byte, or the signal that stands for it, reaches it."""
        if byte == emperor_protocol.RELOAD:
            raise AssertionError("a reload comes with a config")
        self._checker.told_to_stop(process.pid, self._now())
        if process.behaviour in ("deaf", "silent") and process.config.endswith("!"):
            return
        if process.behaviour == "masterless" and process.connected and not signal:
            return
        self._later(self._rng.uniform(0.01, 0.4), lambda: self.dies(process, 0, None))

    def reload(self, process: Process, config: str) -> None:
        """It loads this config in place."""
        if process.behaviour == "masterless" and process.connected:
            process.ignored = True
            return
        if process.behaviour == "fragile":
            process.reloads = True
            self.dies(process, None, 1)
            return
        speaks = process.connected and process.speaks
        if speaks and self._now() < process.accepted + DEAF:
            return  # it hangs for longer than any test waits
        self._checker.approvals.runs(process.name, config)
        process.generation += 1
        process.config = config
        process.accepting = process.mute = False
        self._checker.conditions.speaks_again(process.pid)
        self._begin(process, fresh=False)

    def dies(self, process: Process, code: int | None, signal: int | None) -> None:
        """It ends. Its parent reaps it, and learns how it ended."""
        if not process.alive:
            return
        process.alive = process.accepting = False
        process.code, process.signal = code, signal
        del self.processes[process.pid]
        del self.marked[process.pid]
        self._checker.died(process.pid)
        known = self.keeper and not process.orphan
        self._checker.ended(process.name, process.attempt, code, signal, known=known)
        if known:  # it reaps those of a dead daemon, and is told of the others
            self.deaths[process.identity] = Death(code, signal)
        if process.parent is not None:
            process.parent.buries(process)

    # Faults and outside events

    def of(self, name: str) -> Process | None:
        """The process of a vassal, if it has one."""
        for process in self.processes.values():
            if process.name == name:
                return process
        return None

    def daemon_died(self) -> None:
        """Its children fall to the keeper; what was not entrusted to it is closed."""
        for process in self.processes.values():
            process.parent = process.child_of = None
            if not self.keeper or f"{process.attempt}:{process.name}" not in self.kept:
                process.disconnect()
                if process.notifies:  # no daemon can know any more whether it is ready
                    self._checker.conditions.is_well(process.pid)
        if not self.keeper:
            self.listening.clear()
            self.opened.clear()
            self.clients.clear()

    def keeper_died(self) -> None:
        """All that it knew is forgotten."""
        self.keeper = False
        self.kept.clear()
        self.deaths.clear()
        self._checker.forgotten()

    def succeeded(self, handed: Iterable[str]) -> None:
        """A successor's keeper holds what the daemon handed over; it is no parent yet."""
        self.keeper = True
        self.kept = set(handed)
        for process in self.processes.values():
            process.orphan = True

    def reboot(self, boot: int) -> None:
        """Nothing is left."""
        self.boot = f"boot {boot}"
        self._checker.forgotten()
        for pid in list(self.marked):
            self._checker.died(pid)
        for process in self.processes.values():
            process.alive = False
        for left in (self.processes, self.marked, self.strangers, self.listening, self.opened):
            left.clear()
        self.clients.clear()
        self.kept.clear()
        self.deaths.clear()
        self.keeper = True

    def take_pid(self, pid: int) -> None:
        """A process of others gets this number, which is free."""
        if pid not in self.marked:
            self.strangers[pid] = int(self._now() * TICKS) + 7
