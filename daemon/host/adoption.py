"""A Process object for a process that another daemon started.

The daemon gets a pidfd, and checks the start time after that, so the pid cannot have been reused.
The sockets come from the keeper. Where the keeper before has died with its daemon, there are none.
Then the pidfd is entrusted, so that the keeper knows of the process all the same.
"""

import os
import socket
from typing import Any, Final

import trio

from ..core.fleet import Vassal
from ..core.reloads import is_ordered_again
from ..keeper.link import KeeperLink
from ..keeper.protocol import PROCESS, is_process
from . import procfs
from .cgroups import Cgroups
from .emperor_protocol import ACCEPTING
from .notify_socket import NotifySocket
from .orders import unread
from .process import Process
from .recovery import Survivor
from .unjournaled import UnjournaledProcess, UnjournaledProcesses, about

_MOST: Final = 4096  # bytes of a socket that are looked at


def adopt(survivor: Survivor, keeper: KeeperLink) -> Process | None:
    """The process of an attempt that the journal knows; None if it has just gone."""
    vassal = survivor.vassal
    process = _attach(vassal, survivor.pid, survivor.start_time, keeper)
    if process is None:
        return None
    process.mark = survivor.mark
    process.notify = NotifySocket.inherited(keeper, process.mark)
    process.reload_pending = is_ordered_again(vassal)
    survivor.control = _take_sockets(process, keeper, process.kept_name)
    if not survivor.control:
        _entrust(process, keeper)
    if vassal.reload_at is not None:
        process.reload_signalled_at = trio.current_time()  # by the daemon before
    if process.control is not None:
        process.orders.unsure = vassal.phase == "reloading" or unread(process.control) > 0
    return process


def missed(process: Process) -> list[int]:
    """The bytes that it sent, and that an older copy of the journal may not know of.

    Those that are in its socket still are left out, because they will be heard.
    """
    if process.control is None:
        return []
    try:
        waiting = process.control.recv(_MOST, socket.MSG_PEEK)
    except OSError:
        waiting = b""
    return [byte for byte in process.received if byte not in waiting]


def take_over(
    unjournaled: UnjournaledProcesses, vassal: Vassal, keeper: KeeperLink
) -> Process | None:
    """A process of this vassal that the journal does not know; None if there is none.

    In tyrant mode it must run as its user, because another one can imitate its mark.
    """
    while (left := unjournaled.take(vassal.name)) is not None:
        spec = vassal.running if left.spec is None else left.spec
        owned = spec is None or not vassal.own_user or procfs.owner(left.pid) in (0, spec.uid)
        process = _attach(vassal, left.pid, left.start, keeper) if owned else None
        if process is not None:
            _take_over_unjournaled(process, left, keeper)
            return process
    return None


def find_cgroup(process: Process, cgroups: Cgroups, identity: str | None) -> None:
    """Find the cgroup in which a former daemon started a process, if it did.

    Its leader may have moved out, as container engines do; descendants can be in it still.
    """
    process.cgroup = cgroups.find(process.mark, process.pid)
    process.in_cgroup = process.cgroup is not None
    if process.cgroup is None:
        process.cgroup = cgroups.left_by(process.mark, identity)


def _take_over_unjournaled(process: Process, left: UnjournaledProcess, keeper: KeeperLink) -> None:
    """Go on with an unjournaled process as the vassal's present attempt."""
    process.mark, process.unjournaled = left.mark, left
    process.notify = NotifySocket.inherited(keeper, process.mark)
    if left.spec is not None:
        process.use_spec(left.spec)
        process.speaks = "command" not in left.spec.settings
        process.uid = left.spec.uid if process.uid is not None else None
    held = None if left.kept is None or is_process(left.kept) else left.kept
    sockets = held is not None and _take_sockets(process, keeper, held)
    if process.speaks and (held is None or left.said is None):
        process.received = [ACCEPTING]  # one of 0.1.0, or without sockets: it has run for a while
    if held is not None and sockets:
        told = {**_told(process), "said": process.received}
        keeper.keep(process.kept_name, keeper.entrusted[held].descriptors, told)
    else:
        _entrust(process, keeper, left.kept)
    if left.kept is not None and left.kept != process.kept_name:
        keeper.drop(left.kept)


def _entrust(process: Process, keeper: KeeperLink, former: str | None = None) -> None:
    """Let the keeper know of a process without sockets; ``former`` is its name there by now."""
    process.kept_name = PROCESS + process.kept_name
    known = keeper.take(former or process.kept_name)
    for descriptor in () if known is None else known.descriptors:
        os.close(descriptor)
    told = {**_told(process), "stop": process.stop_signal}
    keeper.keep(process.kept_name, [process.pidfd], told, patience=0)


def _told(process: Process) -> dict[str, Any]:
    """The facts about a process that the keeper holds."""
    return {**about(process.mark, process.spec), "pid": process.pid, "start": process.started}


def _attach(vassal: Vassal, pid: int, started: int, keeper: KeeperLink) -> Process | None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None  # anything else says nothing of it: taken for dead, it would run twice
    found = procfs.parent_and_start(pid)
    if found is None or found[1] != started:
        os.close(pidfd)
        return None
    process = Process(vassal, pid, started, pidfd)
    process.accepted_at = trio.current_time()
    process.is_up = vassal.phase in ("ready", "accepting")
    process.is_keepers_child = keeper.alive and found[0] == os.getppid()
    keeper.expect(process.identity)
    return process


def _take_sockets(process: Process, keeper: KeeperLink, name: str) -> bool:
    """Go on with the sockets that the keeper holds under this name; False if it holds none."""
    kept = keeper.take(name)
    if kept is None:
        return False
    ends = [socket.socket(fileno=descriptor) for descriptor in kept.descriptors]
    for end in ends:
        end.setblocking(False)
    process.use_sockets(ends[0], ends[1] if len(ends) > 1 else None)
    process.received = [byte for byte in kept.about.get("said", ()) if isinstance(byte, int)]
    return True
