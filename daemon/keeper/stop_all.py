"""Ends vassals that no daemon can stop: the keeper was told to stop all, and none starts.

Each vassal is told as the daemon would tell it: by byte 0 on its control socket. A program gets its
stop signal as well. One without sockets gets the signal only. After a while, or when the keeper is
told once more, all that is left is killed: vassals and what they started. No event records that.
The next daemon finds processes of its journal that are gone, as after a crash of the machine.
"""

import contextlib
import functools
import os
import select
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from . import stdio
from .protocol import is_process

MERCY = 10.0  # seconds from the order to stop to SIGKILL
_LAST = 5.0  # seconds until a process that was killed has ended
_LOOK = 0.1  # seconds between looks
_STOP = b"\0"  # the order to stop in the emperor protocol
log = functools.partial(stdio.log, "emperor.keeper")


class _SignalPipe(Protocol):
    def fileno(self) -> int: ...
    def read(self) -> bytes: ...


class Vassal(NamedTuple):
    """A process as the daemon has told the keeper of it."""

    name: str
    pid: int
    start: int
    control: int | None  # the daemon's end of its control socket
    signal: int | None  # by which it stops, if that is no byte

    def lives(self) -> bool:
        """Whether it runs, and is no later process with its pid."""
        fields = _stat(self.pid)
        return bool(fields) and fields[0] not in b"ZX" and int(fields[19]) == self.start

    def stop(self) -> None:
        """Tell it to stop."""
        if self.control is not None:
            with contextlib.suppress(OSError):  # it has closed its end, or reads nothing
                os.set_blocking(self.control, False)
                os.write(self.control, _STOP)
        if self.signal is not None:
            _send(self.pid, self.signal)

    def kill(self) -> None:
        """Kill it and its process group, which it leads."""
        if self.lives():
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)


def vassals(kept: Mapping[str, tuple[dict[str, Any], list[int]]]) -> list[Vassal]:
    """The processes of vassals that run, by what is kept for them."""
    found: dict[int, Vassal] = {}
    for name, (about, descriptors) in kept.items():
        pid, start = about.get("pid"), about.get("start")
        if isinstance(pid, int) and isinstance(start, int):
            control = None if is_process(name) else descriptors[0]
            each = Vassal(name.rpartition(":")[2], pid, start, control, _stop_signal(about))
            if each.lives():
                found.setdefault(pid, each)
    return list(found.values())


def end_all(
    kept: Mapping[str, tuple[dict[str, Any], list[int]]],
    signal_pipe: _SignalPipe,
    stops: Collection[int],
) -> None:
    """End all vassals for which something is ``kept``, and say so."""
    running = vassals(kept)
    log(
        f"told to stop all, but no daemon does it: the keeper ends {len(running)} vassals itself,"
        " which no event records",
        stdio.ERROR,
    )
    left = end(running, signal_pipe, stops)
    if left:
        pids = ", ".join(map(str, left))
        log(f"{len(left)} processes could not be ended and run on: {pids}", stdio.ERROR)


def end(running: Collection[Vassal], signal_pipe: _SignalPipe, stops: Collection[int]) -> list[int]:
    """End these vassals and all children of this process; the pids of those that are left.

    One of the signals ``stops`` ends the wait.
    """
    for vassal in running:
        vassal.stop()
    until = time.monotonic() + MERCY
    while any(each.lives() for each in running) and time.monotonic() < until:
        if _woken(signal_pipe) & set(stops):
            break
    until = time.monotonic() + _LAST
    while left := {each.pid for each in running if each.lives()} | _below(os.getpid()):
        if time.monotonic() > until:
            return sorted(left)
        for each in running:
            each.kill()
        for pid in left:
            _send(pid, signal.SIGKILL)
        _woken(signal_pipe)
    return []


def _woken(signal_pipe: _SignalPipe) -> set[int]:
    """The signals that came in a moment. All dead children are reaped."""
    poll = select.poll()
    poll.register(signal_pipe, select.POLLIN)
    poll.poll(_LOOK * 1000)
    numbers = set(signal_pipe.read())
    with contextlib.suppress(ChildProcessError):  # there is none
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return numbers


def _stop_signal(about: Mapping[str, Any]) -> int | None:
    """The signal that stops a program. uWSGI heeds the byte, and reloads on TERM."""
    if isinstance(number := about.get("stop"), int):
        return number
    spec = about.get("spec")
    settings = spec.get("settings") if isinstance(spec, dict) else None
    if not isinstance(settings, dict) or "command" not in settings:
        return None
    name = str(settings.get("stop-signal", "TERM")).upper().removeprefix("SIG")
    if name.isdecimal():
        return int(name)
    return getattr(signal, f"SIG{name}", signal.SIGTERM)


def _below(root: int) -> set[int]:
    """The living processes below one."""
    parents = dict(_parents())
    found: set[int] = set()
    layer = {root}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer} - found
        found |= layer
    return found


def _parents() -> Iterator[tuple[int, int]]:
    try:
        names = os.listdir("/proc")
    except OSError:  # not for now
        return
    for name in names:
        if name.isdecimal() and (fields := _stat(int(name))) and fields[0] not in b"ZX":
            yield int(name), int(fields[1])


def _stat(pid: int) -> list[bytes]:
    """The fields of proc(5) from the state on; nothing where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # it has ended, or there is no such signal
        os.kill(pid, number)
