"""The keeper's protocol, without I/O: packets, and what the keeper remembers.

Keeper and daemon talk over a SOCK_SEQPACKET pair, a packet at a time: a JSON object, and
descriptors beside it (SCM_RIGHTS). The daemon *entrusts* descriptors under a name, so that they
stay open when it dies; the keeper gives them all to the next daemon.

    daemon -> keeper   {"do": "keep", "name": N, "about": {...}} + descriptors
                       {"do": "about", "name": N, "about": {...}}   version 2: what changed of it
                       {"do": "drop", "name": N}
                       {"do": "died", "pid": P, "start": T, "code": C, "signal": S}
                       {"do": "ack", "pid": P, "start": T}
                       {"do": "several", "packets": [P, ...]}   version 3: packets without
                                         descriptors, as if each had come by itself
                       {"do": "sync"}    say "synced" when all that has died by now was told
                       {"do": "hear", "version": V, "log": F, "file": P}    signals may be handed on
                                         from now; the daemon writes its log in the form F, and to
                                         the file P if that is no null
                       {"do": "pass"}    as "hear"; and it only prints something, so there is no
                                         daemon to start again when it ends
                       {"do": "hold", "signals": [N, ...]}    version 4: signals wait from now for
                                         the next daemon, because this one leaves; say "held". It
                                         did not take these, so the next one is told them first
    keeper -> daemon   {"say": "kept", "name": N, "about": {...}} + descriptors
                       {"say": "died", "pid": P, "start": T, "code": C or null, "signal": S or null}
                       {"say": "all", "version": V, "ended": E}    that was all that is kept; the
                                         rest is news. E tells how the daemon before has ended
                       {"say": "synced"}
                       {"say": "held"}

E is {"pid": P, "code": C or null, "signal": S or null, "at": T}. It is absent where the keeper has
seen no daemon that recorded events. T is in nanoseconds by CLOCK_BOOTTIME.

Either side may be of another release than the other: the daemon's after an upgrade, the keeper's
where it could not execute itself anew. So each gives the version of the protocol that it knows; 1
where it gives none. Neither sends a packet that the other's version does not have.

Under the name JOURNAL the daemon entrusts the lock of its journal's identity. Beside it stands the
last event that is durable, which the daemon tells after each commit. So the keeper knows whether
the journal that the next daemon finds is the one that the vassals were started for. A daemon of
version 1 drops all that it does not know; that name it cannot drop.

The keeper itself keeps sockets that the service manager has passed to it, under names that begin
with PASSED. No daemon can drop them.

A process that has no socket to the daemon is entrusted by its pidfd, under a name that begins with
PROCESS. So the keeper can end it, and tries on to start a daemon for it. Other daemons drop it.

The keeper tells a death until it is acknowledged, to one daemon after the other. The daemon
entrusts the deaths of its own children too, before it reaps them, until they are in the journal. A
process is known by pid and start time (clock ticks since boot), as pids come again. Both sides
import only this and the standard library's small modules: the keeper must stay small.
"""

import errno
import json
import sys
from typing import Any

CHANNEL = "EMPERORD_KEEPER_FD"  # in the daemon's environment: its end of the pair
RENEW = 75  # exit code of a daemon that is to be replaced in place
BACKGROUND = 76  # exit code of a daemon that is to run in the background, and has done nothing yet
FOREGROUND = "EMPERORD_FOREGROUND"  # in the daemon's environment where it may end with that code
VERSION = 4  # of this protocol
JOURNAL = "journal"  # under which name the identity of the journal is kept
CONTROL = "control"  # the name under which the control socket is kept
PROCESS = "process:"  # prefix of the name of a process without sockets; kept is its pidfd
PASSED = "passed:"  # prefix of the name of a socket that the service manager has passed (passed.py)
_OF_DAEMON = (JOURNAL, CONTROL)
LEFT = "left:"  # prefix of a name that was given for a journal that is lost
LONGEST = 65_536  # bytes of a packet
MOST_DESCRIPTORS = 16  # beside one packet
# The kernel takes no more descriptors on their way, or has no memory, for now: unix(7), send(2).
CONGESTED = (errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM)
_written = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make one each time


class BadPacket(Exception):
    """The other side sent something that is no packet of this protocol."""


def encode(packet: dict[str, Any]) -> bytes:
    """The bytes of a packet."""
    return _written(packet).encode()


def decode(data: bytes) -> dict[str, Any]:
    """The packet of these bytes, whatever is in it. Raises BadPacket."""
    try:
        packet = _read(data.decode())
    except (ValueError, RecursionError):
        raise BadPacket("not JSON") from None
    if not isinstance(packet, dict):
        raise BadPacket("not an object")
    return packet


def packets_of(packet: dict[str, Any]) -> list[dict[str, Any]]:
    """The packets that came as one. Raises BadPacket."""
    if packet.get("do") != "several":
        return [packet]
    packets = packet.get("packets")
    if not isinstance(packets, list) or not packets:
        raise BadPacket("several packets without any")
    if not all(isinstance(each, dict) and each.get("do") != "several" for each in packets):
        raise BadPacket("several packets, one of which is none")
    return packets


def _with_shared_keys(table: dict[str, Any]) -> dict[str, Any]:
    """The table with one copy of each key in memory: the keeper holds a table for each vassal."""
    return {sys.intern(key): value for key, value in table.items()}


_read = json.JSONDecoder(object_hook=_with_shared_keys).decode


def version_of(packet: dict[str, Any]) -> int:
    """The version that the other side gives in its greeting; 1 if it gives none."""
    version = packet.get("version", 1)
    return version if isinstance(version, int) else 1


def signals_of(packet: dict[str, Any]) -> list[int]:
    """The numbers of signals that a leaving daemon gives back. Raises BadPacket."""
    signals = packet.get("signals")
    if not isinstance(signals, list) or not all(type(number) is int for number in signals):
        raise BadPacket("signals are no numbers")
    return signals


def is_process(name: str) -> bool:
    """Whether a pidfd is kept under this name, and no sockets."""
    while name.startswith(LEFT):
        name = name.removeprefix(LEFT)
    return name.startswith(PROCESS)


def death(pid: int, start: int, code: int | None, signal: int | None) -> dict[str, Any]:
    return {"say": "died", "pid": pid, "start": start, "code": code, "signal": signal}


def _number_or_none(value: Any) -> bool:
    return value is None or isinstance(value, int)


class Memory:
    """All that the keeper keeps. ``close`` is called with descriptors that are needed no more."""

    def __init__(self, close: Any) -> None:
        self._close = close
        self.kept: dict[str, tuple[dict[str, Any], list[int]]] = {}
        self.deaths: dict[tuple[int, int], dict[str, Any]] = {}  # by pid and start time
        self.version = 1  # the daemon's, as long as it has not told
        self.ended: dict[str, Any] | None = None  # how the daemon before has ended
        self._records = False  # the daemon has told of an event that is durable

    def heard(self, data: bytes, descriptors: list[int], cut: bool) -> list[dict[str, Any]]:
        """The packets that came, to be told. Raises BadPacket; no descriptor leaks then."""
        try:
            if cut:
                raise BadPacket("cut short; are there no descriptors left?")
            packets = packets_of(decode(data))
            if descriptors and len(packets) > 1:
                raise BadPacket("descriptors beside several packets")
        except BadPacket:
            self._release(descriptors)
            raise
        return packets

    def told(self, packet: dict[str, Any], descriptors: list[int]) -> None:
        """Take in a packet of the daemon's. Raises BadPacket; no descriptor leaks then."""
        try:
            self._told(packet, descriptors)
        except BadPacket:
            self._release(descriptors)
            raise

    def _told(self, packet: dict[str, Any], descriptors: list[int]) -> None:
        do, name = packet.get("do"), packet.get("name")
        self._records = self._records or name == JOURNAL
        pid, start = packet.get("pid"), packet.get("start")
        if do == "keep" and isinstance(name, str) and descriptors:
            about = packet.get("about", {})
            if not isinstance(about, dict):
                raise BadPacket("about is no object")
            self._drop(name)
            self.kept[name] = (about, descriptors)
            return
        if descriptors:
            raise BadPacket(f"descriptors beside {str(do)[:40]!r}")
        if do == "drop" and isinstance(name, str):
            if not name.startswith(PASSED) and (name != JOURNAL or self.version >= 2):
                self._drop(name)
        elif do == "about" and isinstance(name, str) and isinstance(packet.get("about"), dict):
            self._amend(name, packet["about"])
        elif do == "hear":
            self.version = version_of(packet)
        elif do in ("ack", "died") and isinstance(pid, int) and isinstance(start, int):
            self._note(do, pid, start, packet.get("code"), packet.get("signal"))
        elif do == "hold":
            signals_of(packet)
        elif do not in ("pass", "sync"):
            raise BadPacket(f"no order, or one without what it needs: {str(do)[:40]!r}")

    def _note(self, do: str, pid: int, start: int, code: Any, signal: Any) -> None:
        if do == "ack":
            self.deaths.pop((pid, start), None)
        elif _number_or_none(code) and _number_or_none(signal):
            self.died(pid, start, code, signal)
        else:
            raise BadPacket("a death without code and signal")

    def of_vassals(self) -> bool:
        """Whether anything is kept for vassals. The rest is of no use without a daemon."""
        return any(name not in _OF_DAEMON and not name.startswith(PASSED) for name in self.kept)

    def died(self, pid: int, start: int, code: int | None, signal: int | None) -> dict[str, Any]:
        """Remember a death until it is acknowledged; the packet that tells it."""
        self.deaths[pid, start] = packet = death(pid, start, code, signal)
        return packet

    def daemon_ended(self, ended: dict[str, Any], worked: bool) -> None:
        """Remember how a daemon ended that has recorded events: others did not start.

        One of version 1 does not tell of its events. It counts if it ``worked``: it took signals.
        """
        if self._records or (worked and self.version == 1):
            self.ended = ended

    def greeting(self) -> list[tuple[dict[str, Any], list[int]]]:
        """The first packets for a new daemon, each with its descriptors."""
        self.version = 1
        self._records = False
        told: list[tuple[dict[str, Any], list[int]]] = [
            ({"say": "kept", "name": name, "about": about}, descriptors)
            for name, (about, descriptors) in self.kept.items()
        ]
        told += [(packet, []) for packet in self.deaths.values()]
        ended = {} if self.ended is None else {"ended": self.ended}
        return [*told, ({"say": "all", "version": VERSION, **ended}, [])]

    def _amend(self, name: str, about: dict[str, Any]) -> None:
        if name in self.kept:
            known, descriptors = self.kept[name]
            self.kept[name] = ({**known, **about}, descriptors)

    def _drop(self, name: str) -> None:
        _, descriptors = self.kept.pop(name, ({}, []))
        self._release(descriptors)

    def _release(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            self._close(descriptor)
