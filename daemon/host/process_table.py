"""The processes that the daemon holds: one a vassal at most."""

from collections.abc import Iterator

from .process import Process


class ProcessTable:
    """Processes by the names of their vassals.

    A worker thread may iterate over it: it gets a copy.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Process] = {}

    def get(self, vassal: str) -> Process | None:
        """The vassal's process, if it has one."""
        return self._by_name.get(vassal)

    def holds(self, process: Process) -> bool:
        """Whether this is still its vassal's process: it is not reaped yet."""
        return self._by_name.get(process.name) is process

    def is_over(self, process: Process) -> bool:
        """Whether a process is to end, or is reaped."""
        return process.end_ordered or not self.holds(process)

    def add(self, process: Process) -> None:
        """From now on this is its vassal's process."""
        self._by_name[process.name] = process

    def remove(self, process: Process) -> None:
        """Forget a process that is reaped."""
        del self._by_name[process.name]

    def __iter__(self) -> Iterator[Process]:
        return iter(list(self._by_name.values()))

    def pids(self) -> set[int]:
        """The pids of all leaders."""
        return {process.pid for process in self}
