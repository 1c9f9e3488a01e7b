"""The processes that the daemon holds: one a vassal, or two in a replacement."""

from collections import Counter
from collections.abc import Iterator

import trio

from .process import Process


class ProcessTable:
    """Processes by the names of their vassals.

    A worker thread may iterate over it: it gets a copy.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, dict[int, Process]] = {}  # vassal -> attempt -> process
        self._pids: Counter[int] = Counter()  # a pid may be another process's before ours is reaped
        self._changed: set[Process] = set()  # those that were added, or got another config
        self._any_changed = trio.Event()

    def get(self, vassal: str, attempt: int | None = None) -> Process | None:
        """The process of an attempt; without one the vassal's that is not to end, if it has one.

        Of two such processes it is the older one, which serves.
        """
        found = self._by_name.get(vassal)
        if found is None:
            return None
        if attempt is not None:
            return found.get(attempt)
        first = next(iter(found.values()))
        if len(found) == 1:
            return first
        return next((process for process in found.values() if not process.end_ordered), first)

    def holds(self, process: Process) -> bool:
        """Whether this is still the process of its attempt: it is not reaped yet."""
        return self.get(process.name, process.attempt) is process

    def is_over(self, process: Process) -> bool:
        """Whether a process is to end, or is reaped."""
        return process.end_ordered or not self.holds(process)

    def others(self, process: Process) -> list[Process]:
        """The other processes of its vassal."""
        return [each for each in self._by_name[process.name].values() if each is not process]

    def add(self, process: Process) -> None:
        """From now on this is the process of its attempt."""
        self._by_name.setdefault(process.name, {})[process.attempt] = process
        self._pids[process.pid] += 1
        self.note_change(process)

    def note_change(self, process: Process) -> None:
        """A process was added, or runs with another config from now on."""
        self._changed.add(process)
        self._any_changed.set()

    async def wait_change(self) -> None:
        """Return when there is a process that ``take_changed`` gives."""
        while not self._changed:
            self._any_changed = trio.Event()
            await self._any_changed.wait()

    def take_changed(self) -> set[Process]:
        """The processes that were added or got another config since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def remove(self, process: Process) -> None:
        """Forget a process that is reaped."""
        self._changed.discard(process)
        self._pids[process.pid] -= 1
        if not self._pids[process.pid]:
            del self._pids[process.pid]
        found = self._by_name[process.name]
        del found[process.attempt]
        if not found:
            del self._by_name[process.name]

    def __iter__(self) -> Iterator[Process]:
        return iter([each for found in list(self._by_name.values()) for each in found.values()])

    def pids(self) -> set[int]:
        """The pids of all leaders. May be called in a thread."""
        return set(self._pids)
