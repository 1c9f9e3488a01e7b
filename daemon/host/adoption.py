"""Taking hold of a vassal's process that another daemon started."""

import os
import socket
from typing import Final

import trio

from ..core.fleet import Vassal
from ..keeper.link import KeeperLink
from . import procfs
from .emperor_protocol import ACCEPTING
from .leftovers import Leftover, Leftovers, about
from .orders import unread
from .process import Process
from .recovery import Survivor

_MOST: Final = 4096  # bytes of a socket that are looked at


def adopt(survivor: Survivor, keeper: KeeperLink) -> Process | None:
    """The process of an attempt that the journal knows; None if it has just gone."""
    vassal = survivor.vassal
    running = _hold(vassal, survivor.pid, survivor.start_time, keeper)
    if running is None:
        return None
    running.mark = survivor.mark
    running.to_reload = vassal.phase == "reloading"  # it will be ordered again
    survivor.control = _take_sockets(running, keeper, running.kept_name)
    if vassal.reload_at is not None:
        running.signalled = trio.current_time()  # by the daemon before
    if running.control is not None:
        running.orders.unsure = running.to_reload or unread(running.control) > 0
    return running


def missed(running: Process) -> list[int]:
    """The bytes that it sent, and that an older copy of the journal may not know of.

    Those that are in its socket still are left out, because they will be heard.
    """
    if running.control is None:
        return []
    try:
        waiting = running.control.recv(_MOST, socket.MSG_PEEK)
    except OSError:
        waiting = b""
    return [byte for byte in running.said if byte not in waiting]


def take_over(leftovers: Leftovers, vassal: Vassal, keeper: KeeperLink) -> Process | None:
    """A process of this vassal that the journal does not know; None if there is none.

    In tyrant mode it must run as its user, because another one can imitate its mark.
    """
    while (left := leftovers.take(vassal.name)) is not None:
        spec = vassal.running if left.spec is None else left.spec
        owned = spec is None or not vassal.own_user or procfs.owner(left.pid) in (0, spec.uid)
        running = _hold(vassal, left.pid, left.start, keeper) if owned else None
        if running is not None:
            _introduce(running, left, keeper)
            return running
    return None


def _introduce(running: Process, left: Leftover, keeper: KeeperLink) -> None:
    """Go on with a leftover as the vassal's present attempt."""
    running.mark, running.former = left.mark, left
    if left.spec is not None:
        running.heed(left.spec)
        running.speaks = "command" not in left.spec.settings
        running.uid = left.spec.uid if running.uid is not None else None
    sockets = left.kept is not None and _take_sockets(running, keeper, left.kept)
    if left.said is None and running.speaks:
        running.said = [ACCEPTING]  # one of 0.1.0: it has run for a while
    if left.kept is None or not sockets:
        return
    told = {**about(running.mark, running.spec), "said": running.said}
    told |= {"pid": running.pid, "start": running.started}
    ends = keeper.entrusted[left.kept].descriptors
    keeper.keep(running.kept_name, ends, told)
    if left.kept != running.kept_name:
        keeper.drop(left.kept)


def _hold(vassal: Vassal, pid: int, started: int, keeper: KeeperLink) -> Process | None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None  # anything else says nothing of it: taken for dead, it would run twice
    if procfs.start_time(pid) != started:
        os.close(pidfd)
        return None
    running = Process(vassal, pid, started, pidfd)
    running.accepted = trio.current_time()
    running.keepers = keeper.alive and procfs.parent(pid) == os.getppid()
    keeper.expect(running.identity)
    return running


def _take_sockets(running: Process, keeper: KeeperLink, name: str) -> bool:
    """Go on with the sockets that the keeper holds under this name; False if it holds none."""
    kept = keeper.take(name)
    if kept is None:
        return False
    ends = [socket.socket(fileno=descriptor) for descriptor in kept.descriptors]
    for end in ends:
        end.setblocking(False)
    running.hold(ends[0], ends[1] if len(ends) > 1 else None)
    running.said = [byte for byte in kept.about.get("said", ()) if isinstance(byte, int)]
    return True
