"""A Process object for a process that another daemon started.

The daemon gets a pidfd, and checks the start time after that, so the pid cannot have been reused.
The sockets come from the keeper.
"""

import os
import socket
from typing import Final

import trio

from ..core.fleet import Vassal
from ..keeper.link import KeeperLink
from . import procfs
from .cgroups import Cgroups
from .emperor_protocol import ACCEPTING
from .leftovers import Leftover, Leftovers, about
from .orders import unread
from .process import Process
from .recovery import Survivor

_MOST: Final = 4096  # bytes of a socket that are looked at


def adopt(survivor: Survivor, keeper: KeeperLink) -> Process | None:
    """The process of an attempt that the journal knows; None if it has just gone."""
    vassal = survivor.vassal
    process = _attach(vassal, survivor.pid, survivor.start_time, keeper)
    if process is None:
        return None
    process.mark = survivor.mark
    process.reload_pending = vassal.phase == "reloading"  # it will be ordered again
    survivor.control = _take_sockets(process, keeper, process.kept_name)
    if vassal.reload_at is not None:
        process.reload_signalled_at = trio.current_time()  # by the daemon before
    if process.control is not None:
        process.orders.unsure = process.reload_pending or unread(process.control) > 0
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


def take_over(leftovers: Leftovers, vassal: Vassal, keeper: KeeperLink) -> Process | None:
    """A process of this vassal that the journal does not know; None if there is none.

    In tyrant mode it must run as its user, because another one can imitate its mark.
    """
    while (left := leftovers.take(vassal.name)) is not None:
        spec = vassal.running if left.spec is None else left.spec
        owned = spec is None or not vassal.own_user or procfs.owner(left.pid) in (0, spec.uid)
        process = _attach(vassal, left.pid, left.start, keeper) if owned else None
        if process is not None:
            _take_over_leftover(process, left, keeper)
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


def _take_over_leftover(process: Process, left: Leftover, keeper: KeeperLink) -> None:
    """Go on with a leftover as the vassal's present attempt."""
    process.mark, process.leftover = left.mark, left
    if left.spec is not None:
        process.use_spec(left.spec)
        process.speaks = "command" not in left.spec.settings
        process.uid = left.spec.uid if process.uid is not None else None
    sockets = left.kept is not None and _take_sockets(process, keeper, left.kept)
    if left.said is None and process.speaks:
        process.received = [ACCEPTING]  # one of 0.1.0: it has run for a while
    if left.kept is None or not sockets:
        return
    told = {**about(process.mark, process.spec), "said": process.received}
    told |= {"pid": process.pid, "start": process.started}
    ends = keeper.entrusted[left.kept].descriptors
    keeper.keep(process.kept_name, ends, told)
    if left.kept != process.kept_name:
        keeper.drop(left.kept)


def _attach(vassal: Vassal, pid: int, started: int, keeper: KeeperLink) -> Process | None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None  # anything else says nothing of it: taken for dead, it would run twice
    if procfs.start_time(pid) != started:
        os.close(pidfd)
        return None
    process = Process(vassal, pid, started, pidfd)
    process.accepted_at = trio.current_time()
    process.is_keepers_child = keeper.alive and procfs.parent(pid) == os.getppid()
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
