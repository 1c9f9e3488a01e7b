"""The keeper's protocol, without I/O: packets, and what the keeper remembers.

Keeper and daemon talk over a SOCK_SEQPACKET pair, a packet at a time: a JSON object, and
descriptors beside it (SCM_RIGHTS). The daemon *entrusts* descriptors under a name, so that they
stay open when it dies; the keeper gives them all to the next daemon.

    daemon -> keeper   {"do": "keep", "name": N, "about": {...}} + descriptors
                       {"do": "drop", "name": N}
                       {"do": "ack", "pid": P}
                       {"do": "hear"}    signals may be handed on from now
    keeper -> daemon   {"say": "kept", "name": N, "about": {...}} + descriptors
                       {"say": "died", "pid": P, "code": C or null, "signal": S or null}
                       {"say": "all"}    that was all that is kept; from here on it is news

A death is told until it is acknowledged, to one daemon after the other. Both sides import only
this and the standard library's small modules: the keeper must stay small.
"""

import json
from typing import Any

CHANNEL = "EMPERORD_KEEPER_FD"  # in the daemon's environment: its end of the pair
RENEW = 75  # exit code of a daemon that is to be replaced in place
LONGEST = 65_536  # bytes of a packet
MOST_DESCRIPTORS = 16  # beside one packet


class BadPacket(Exception):
    """The other side sent something that is no packet of this protocol."""


def encode(packet: dict[str, Any]) -> bytes:
    """The bytes of a packet."""
    return json.dumps(packet, separators=(",", ":")).encode()


def decode(data: bytes) -> dict[str, Any]:
    """The packet of these bytes, whatever is in it. Raises BadPacket."""
    try:
        packet = json.loads(data)
    except (ValueError, RecursionError):
        raise BadPacket("not JSON") from None
    if not isinstance(packet, dict):
        raise BadPacket("not an object")
    return packet


def death(pid: int, code: int | None, signal: int | None) -> dict[str, Any]:
    return {"say": "died", "pid": pid, "code": code, "signal": signal}


class Memory:
    """What the keeper keeps. ``close`` is called with descriptors that nobody needs any more."""

    def __init__(self, close: Any) -> None:
        self._close = close
        self.kept: dict[str, tuple[dict[str, Any], list[int]]] = {}
        self.deaths: dict[int, dict[str, Any]] = {}

    def told(self, packet: dict[str, Any], descriptors: list[int]) -> None:
        """Take in a packet of the daemon's. Raises BadPacket; no descriptor leaks then."""
        try:
            self._told(packet, descriptors)
        except BadPacket:
            self._release(descriptors)
            raise

    def _told(self, packet: dict[str, Any], descriptors: list[int]) -> None:
        do, name, pid = packet.get("do"), packet.get("name"), packet.get("pid")
        if do == "keep" and isinstance(name, str) and descriptors:
            about = packet.get("about", {})
            if not isinstance(about, dict):
                raise BadPacket("about is no object")
            self._drop(name)
            self.kept[name] = (about, descriptors)
            return
        if descriptors:
            raise BadPacket(f"descriptors beside {do!r}")
        if do == "drop" and isinstance(name, str):
            self._drop(name)
        elif do == "ack" and isinstance(pid, int):
            self.deaths.pop(pid, None)
        elif do != "hear":
            raise BadPacket(f"unknown order {do!r}")

    def died(self, pid: int, code: int | None, signal: int | None) -> dict[str, Any]:
        """Remember a death until it is acknowledged; the packet that tells it."""
        self.deaths[pid] = packet = death(pid, code, signal)
        return packet

    def greeting(self) -> list[tuple[dict[str, Any], list[int]]]:
        """What a new daemon is told first, with the descriptors that go with each packet."""
        told: list[tuple[dict[str, Any], list[int]]] = [
            ({"say": "kept", "name": name, "about": about}, descriptors)
            for name, (about, descriptors) in self.kept.items()
        ]
        told += [(packet, []) for packet in self.deaths.values()]
        return [*told, ({"say": "all"}, [])]

    def _drop(self, name: str) -> None:
        _, descriptors = self.kept.pop(name, ({}, []))
        self._release(descriptors)

    def _release(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            self._close(descriptor)
