"""The part of ``bare_start.py`` that stops its vassals, and records each end.

One event has the order to all. Each vassal gets byte 0. Those that are seen dead together are told
to the process that holds their sockets, then killed with their groups, reaped, and closed. An event
for each is appended. Then the children are looked at once, and the end is recorded.
"""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from emperord.daemon.host import procfs
from emperord.journal.events import Body, Empty, Exited

MOST = 300  # deaths in a packet


class Running(NamedTuple):
    """A vassal that runs."""

    name: str
    attempt: int
    pid: int
    pidfd: int
    control: socket.socket


class Record(Protocol):
    """As ``bare_start.py`` has it."""

    def add(self, kind: str, body: Body, vassal: str | None = None) -> None: ...
    def commit(self) -> None: ...
    def wait(self) -> None: ...


def watch(vassals: Sequence[Running]) -> select.epoll:
    """Wait for the ends of all."""
    poll = select.epoll()
    for each in vassals:
        poll.register(each.pidfd, select.EPOLLIN)
    return poll


def stop(
    vassals: Sequence[Running], poll: select.epoll, record: Record, keeper: socket.socket
) -> None:
    """Stop all, and return when that is durable."""
    record.add("daemon_stopping", Empty())
    record.commit()
    record.wait()
    for each in vassals:
        each.control.send(b"\0")
    left = {each.pidfd: each for each in vassals}
    while left:
        dead = [left.pop(fd) for fd, _ in poll.poll()]
        told = [_death(each) for each in dead]
        for at in range(0, len(told), MOST):
            keeper.send(b'{"do":"several","packets":[%b]}' % b",".join(told[at : at + MOST]))
        for each in dead:
            _end(each)
            record.add("exited", Exited(attempt=each.attempt, code=0), each.name)
    procfs.children()
    record.commit()
    record.add("daemon_stopped", Empty())
    record.commit()
    record.wait()


def _death(each: Running) -> bytes:
    os.waitid(os.P_PIDFD, each.pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    return b'{"do":"died","pid":%d,"start":1234567,"code":0,"signal":null}' % each.pid


def _end(each: Running) -> None:
    _signal_group(each.pid, signal.SIGKILL)
    os.waitid(os.P_PIDFD, each.pidfd, os.WEXITED | os.WNOHANG)
    _signal_group(each.pid, 0)
    os.close(each.pidfd)
    each.control.close()


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
