"""The descriptors of all processes in one epoll set: control and config sockets, and pidfds.

One task waits for the set, so a thousand vassals cost a thousand table entries and no tasks.
Control sockets are edge-triggered, because bytes stay in them until they are durable
(``mailbox.py``): a level-triggered socket would wake the daemon until then.
"""

import select
from typing import Final

from .epoll import Epoll
from .process import Process

EDGE: Final = select.EPOLLIN | select.EPOLLET


class ProcessWatch:
    """Which process each descriptor in the set belongs to."""

    def __init__(self, epoll: Epoll) -> None:
        self._epoll = epoll
        self._by_fd: dict[int, Process] = {}

    def __contains__(self, fd: int) -> bool:
        return fd in self._by_fd

    def process_of(self, fd: int) -> Process | None:
        """The process of a descriptor; None if it is no process's."""
        return self._by_fd.get(fd)

    def add(self, fd: int, process: Process, mask: int = select.EPOLLIN) -> None:
        """Wait for a descriptor."""
        self._by_fd[fd] = process
        self._epoll.register(fd, mask)

    def remove(self, fd: int) -> None:
        """Wait for it no longer, if it is waited for. Call this before it is closed."""
        if self._by_fd.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def add_process(self, process: Process) -> None:
        """Wait for a process to end, and for its bytes."""
        self.add(process.pidfd, process)
        if process.control is not None:
            self.add_control(process)

    def add_control(self, process: Process) -> None:
        """Wait for bytes of a process."""
        assert process.control is not None
        self.add(process.control.fileno(), process, EDGE)

    def remove_control(self, process: Process) -> None:
        """Read nothing more of a process: an error would come again with each byte."""
        if process.control is not None:
            self.remove(process.control.fileno())

    def remove_config(self, process: Process) -> None:
        """Send no more of its config."""
        if process.config is not None:
            self.remove(process.config.fileno())

    def read_again(self, process: Process) -> None:
        """Wake up again, as after a new byte, because bytes are left that were not looked at."""
        assert process.control is not None
        self._epoll.modify(process.control.fileno(), EDGE)

    def put_off(self, process: Process, error: OSError) -> None:
        """Wait for its bytes again when the machine allows it. Raises the error if it lasts."""
        assert process.control is not None
        self._epoll.put_off(process.control.fileno(), EDGE, error)
