"""Succession: a successor takes over from a running daemon whose keeper has died.

    successor's keeper -> successor: the journal is locked
    successor -> daemon             {"do": "take_over"} at the control socket
    daemon -> successor             {"ok": true}, and one end of a SOCK_SEQPACKET pair
    daemon -> successor, there      all that it has entrusted, as a keeper would (``protocol.py``)
    successor -> its keeper         all of it
    successor -> daemon, there      {"do": "taken"}
    the daemon leaves, with its vassals running; the successor gets the lock and adopts them

Until it hears "taken" the daemon goes on as if nothing had happened. From then on the successor's
keeper holds every socket, so no vassal notices which process dies next. No vassal is started
meanwhile: its sockets would not be handed over.
"""

import contextlib
import json
import logging
import os
import resource
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ...journal.errors import JournalLocked
from ...journal.store import Journal
from ..host import procfs
from ..keeper import protocol as keeping
from ..keeper.link import KeeperLink, Kept
from . import unix_sockets

log = logging.getLogger("emperor")

_PATIENCE: Final = 5.0  # seconds for each step of the other side
_SPARE: Final = 32  # descriptors to live on, beside those of vassals
_SILENT: Final = 1.0  # seconds in which a daemon that does not answer may turn out to be dying
_LEAVING: Final = 30.0  # seconds until the journal of a daemon that leaves is free


class Entrusted(Protocol):
    """Descriptors that this daemon has entrusted to its keeper."""

    @property
    def about(self) -> dict[str, Any]: ...

    @property
    def descriptors(self) -> list[int]: ...


class _NoAnswer(Exception):
    """The running daemon did not answer, or not to the end: it may be dying."""


def open_journal(
    path: str,
    control_path: str,
    keeper: KeeperLink,
    opener: Callable[[str], Journal] = Journal.open,
) -> Journal:
    """The journal; from a daemon that lost its keeper it is taken over, vassals and all.

    ``opener`` opens it. Raises JournalError, JournalLocked among them if its daemon does not hand
    it over.
    """
    leaves = asked = 0  # the daemon that has handed all over, and the last that was asked
    until = patience = time.monotonic() + _LEAVING
    last = until + _LEAVING
    while True:
        try:
            journal = opener(path)
        except JournalLocked as locked:
            owner, now = locked.pid or _owner(path), time.monotonic()
            if owner != asked:
                asked, patience = owner, now + _SILENT
            try:
                if owner != leaves:
                    if not keeper.alive or not _take_over(control_path, keeper):
                        raise
                    leaves, until = owner, now + _LEAVING
            except _NoAnswer as error:
                log.debug("%s: %s", control_path, error)
                # If it is dying, it leaves the journal to this daemon, or to another to be asked.
                until = patience
            if time.monotonic() > until and (procfs.start_time(owner) or time.monotonic() > last):
                raise
        else:
            # Its children are another emperor's as long as it is there (see process.foreign).
            while procfs.start_time(leaves) is not None and time.monotonic() < until:
                time.sleep(0.005)
            return journal
        time.sleep(0.02)


def from_estranged(control_path: str, keeper: KeeperLink) -> bool:
    """Take over from an estranged daemon that has no keeper; whether there was one.

    It may have no journal open, so no lock tells that it is there.
    """
    if not keeper.alive or keeping.CONTROL in keeper.kept:
        return False
    try:
        return _is_estranged(control_path) and _take_over(control_path, keeper)
    except (_NoAnswer, OSError, ValueError, LookupError):
        return False


def _is_estranged(control_path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        unix_sockets.connect(connection, control_path)
        connection.sendall(b'{"do": "status"}\n')
        with connection.makefile("rb") as answer:
            status = json.loads(answer.readline(keeping.LONGEST))["status"]
    return bool(status["estranged"])


def _owner(path: str) -> int:
    """The pid of the daemon that has the journal; 0 where that is not known."""
    try:
        with open(os.path.realpath(path) + ".lock") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return 0


def _take_over(control_path: str, keeper: KeeperLink) -> bool:
    """Ask for all that the running daemon has; False if it cannot be had. Raises _NoAnswer."""
    try:
        channel = _ask(control_path)
    except (OSError, ValueError, LookupError) as error:
        raise _NoAnswer(str(error)) from None
    if channel is None:
        return False
    with channel:
        link = KeeperLink(channel)
        try:
            return _take_from(channel, link, keeper)
        finally:
            # Otherwise this process has the locks of the daemon that it is to follow.
            for kept in link.kept.values():
                kept.close()


def _take_from(channel: socket.socket, link: KeeperLink, keeper: KeeperLink) -> bool:
    """Have the keeper take all that comes over the link; False if it cannot. Raises _NoAnswer.

    Descriptors that are not taken are left in ``link.kept``.
    """
    link.receive_all()
    if not link.complete and not link.lost:
        raise _NoAnswer("it broke off while it handed over")
    if not link.complete or not _can_hold(link):
        return False
    passed = [name for name in link.kept if not _comes_twice(name, keeper)]
    for name in passed:
        pass_on(keeper, name, link.kept.pop(name))
    if not keeper.deliver():
        log.error("not taking over: the keeper of this emperor did not take the processes")
        for name in passed:
            keeper.drop(name)
            keeper.kept.pop(name).close()
        return False
    log.info("taking over from the running daemon, whose keeper died")
    keeper.replaces = True
    channel.setblocking(True)
    with contextlib.suppress(OSError):  # it has died meanwhile, and all is here
        channel.send(keeping.encode({"do": "taken"}))
    return True


def pass_on(keeper: KeeperLink, name: str, kept: Kept) -> None:
    """Entrust what another daemon hands over, to be taken when its turn comes.

    Duplicates of the same that the keeper has told before are closed.
    """
    former = keeper.kept.pop(name, None)
    keeper.keep(name, kept.descriptors, kept.about)
    keeper.kept[name] = keeper.entrusted.pop(name)
    if former is not None:
        former.close()


def _comes_twice(name: str, keeper: KeeperLink) -> bool:
    """Whether our own service manager has passed a socket as well."""
    return name.startswith(keeping.PASSED) and name in keeper.kept


def _can_hold(link: KeeperLink) -> bool:
    """Whether there are descriptors enough here for what another daemon lives with."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # For each vassal one more will tell when it dies.
    needed = len(os.listdir("/proc/self/fd")) + len(link.kept) + _SPARE
    if not link.lost and (soft == resource.RLIM_INFINITY or needed <= soft):
        return True
    log.error(
        "not taking over from the running daemon: it has more than %d open files allow here; start"
        " emperor with a higher limit (ulimit -n)",
        soft,
    )
    return False


def _ask(control_path: str) -> socket.socket | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        unix_sockets.connect(connection, control_path)
        connection.sendall(b'{"do": "take_over"}\n')
        line, descriptors, _, _ = socket.recv_fds(connection, keeping.LONGEST, 1)
        if not line:
            raise ConnectionResetError("the connection was closed")
        if not descriptors:
            return None  # refused: its keeper lives
        channel = socket.socket(fileno=descriptors[0])
        if json.loads(line)["ok"] is not True:
            channel.close()
            return None
        return channel


def hand_over(channel: socket.socket, entrusted: Mapping[str, Entrusted]) -> bool:
    """Give a successor all this; True when it has it. Blocks, for a worker thread."""
    memory = keeping.Memory(lambda _: None)
    memory.kept = {name: (kept.about, kept.descriptors) for name, kept in entrusted.items()}
    channel.setblocking(True)
    channel.settimeout(_PATIENCE)
    try:
        for packet, descriptors in memory.greeting():
            socket.send_fds(channel, [keeping.encode(packet)], descriptors)
        return keeping.decode(channel.recv(keeping.LONGEST)).get("do") == "taken"
    except (OSError, keeping.BadPacket) as error:
        log.warning("the emperor that wanted to take over did not: %s", error)
        return False
