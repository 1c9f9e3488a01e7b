"""Looks whether the ``ready`` of a program is met. Then it counts as if it had sent byte 5.

The fold decides how long that may take, and has the process killed when it takes longer. A daemon
that adopts a process which has not come so far looks anew, as the condition itself is the record of
it. After a reload by signal the program is looked at again as soon as that counts as carried out.

A tenant names the address, but the daemon asks. So link-local addresses need
``--allow-link-local``, and an answer tells no more than whether it came.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Final

import trio

from ...journal.policy import Policy
from ...monitors import readiness
from ...monitors.link_local import flaw_of_address
from ..core.inputs import VassalByte
from .accounts import NotAnswered
from .context import HostContext
from .emperor_protocol import ACCEPTING
from .lookups import look_up
from .process import Process

_PAUSE: Final = 0.25  # seconds between two looks
_TRY: Final = 2.0  # seconds that one look may take
_COMMAND_PAUSE: Final = 1.0  # seconds between the end of a command and its next run
_COMMAND_TRY: Final = 10.0  # seconds that a command may take
_RELOADED: Final = 1.0  # seconds from the reload signal until it counts as carried out
_HEAD: Final = 256  # bytes of an answer that are read


class Readiness:
    """Watches the programs that are starting."""

    def __init__(self, context: HostContext) -> None:
        self._policy = context.policy
        self._processes = context.processes
        self._tasks = context.tasks
        self._outbox = context.outbox
        self._commands = context.exec_checks
        self._listening = context.listening
        self._lookups = context.lookups

    def watch(self, process: Process) -> None:
        """Look at a process that was started or adopted, where it has a ``ready``."""
        if condition_of(process) is not None:
            self._tasks.start("ready", process, self._watch)

    def watch_reload(self, process: Process) -> None:
        """Look at a process again that has just got its reload signal."""
        if condition_of(process) is not None:
            self._tasks.start("ready", process, self._watch_reload)

    async def _watch_reload(self, process: Process) -> None:
        await trio.sleep(_RELOADED + _PAUSE)
        await self._watch(process)

    async def _watch(self, process: Process) -> None:
        condition = condition_of(process)
        reloads = process.reloads
        if condition is None:
            return
        if condition.seconds is not None:
            await trio.sleep(condition.seconds)
        else:
            while not await self._is_met(process, condition):
                await trio.sleep(_COMMAND_PAUSE if condition.command else _PAUSE)
                if self._is_over(process, reloads):
                    return
        if not self._is_over(process, reloads):
            process.is_up = True
            met = VassalByte(process.name, process.attempt, ACCEPTING, process.reloads)
            self._outbox.put(met)

    async def _is_met(self, process: Process, condition: readiness.Condition) -> bool:
        if condition.command:
            with contextlib.suppress(NotAnswered):  # it is asked again
                return await self._commands.passes(process, condition.command, _COMMAND_TRY)
            return False
        if condition.listens:
            return await self._listening.takes_clients(process)
        return await answers(condition, self._policy, self._lookups.of(process.uid))

    def _is_over(self, process: Process, reloads: int) -> bool:
        """Whether it has ended or is to end, or a later reload is looked at."""
        ends = process.end_ordered or not self._processes.holds(process)
        return ends or process.reloads != reloads


def condition_of(process: Process) -> readiness.Condition | None:
    """The condition on which a process counts as up; None where there is none to look at."""
    return None if process.speaks else readiness.parsed(process.spec.settings.get("ready", "spawn"))


async def answers(
    condition: readiness.Condition,
    policy: Callable[[], Policy],
    limiter: trio.CapacityLimiter,
    seconds: float = _TRY,
) -> bool:
    """Whether the address of a condition answers as it should, within so many seconds.

    The ``limiter`` has the threads in which its name is looked up.
    """
    with trio.move_on_after(seconds), contextlib.suppress(OSError, trio.BrokenResourceError):
        found = await look_up(condition.host, condition.port, limiter)
        stream = await _connected(found, allow_link_local=policy().allow_link_local)
        if stream is None:
            return False
        async with stream:
            return condition.path is None or await _is_well(stream, condition)
    return False


def is_allowed(address: str, *, allow_link_local: bool) -> bool:
    """Whether the daemon may connect to this numeric address."""
    return allow_link_local or flaw_of_address(address) is None


async def _connected(found: list[Any], *, allow_link_local: bool) -> trio.SocketStream | None:
    """A connection to the first of these addresses that takes one. Raises OSError."""
    for family, kind, protocol, _, address in found:
        if not is_allowed(str(address[0]), allow_link_local=allow_link_local):
            continue
        connecting = trio.socket.socket(family, kind, protocol)
        try:
            await connecting.connect(address)
        except OSError:
            connecting.close()
            continue
        except BaseException:
            connecting.close()
            raise
        return trio.SocketStream(connecting)
    return None


async def _is_well(stream: trio.SocketStream, condition: readiness.Condition) -> bool:
    """Whether a GET gets a status from 200 to 399 (RFC 9110). No redirect is followed."""
    host = f"[{condition.host}]" if ":" in condition.host else condition.host
    request = (
        f"GET {condition.path} HTTP/1.1\r\nHost: {host}:{condition.port}\r\n"
        "User-Agent: emperord\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    await stream.send_all(request.encode())
    head = b""
    while b"\n" not in head and len(head) < _HEAD:
        part = await stream.receive_some(_HEAD)
        if not part:
            break
        head += part
    words = head.partition(b"\n")[0].split()
    return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1][:1] in (b"2", b"3")
