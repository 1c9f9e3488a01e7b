"""The messages of a vassal over its ``NOTIFY_SOCKET``, without I/O: sd_notify(3).

A message is a datagram of assignments, one a line. As systemd does, the daemon reads 4 KiB at most
and drops a message that is longer, or that has a NUL in it. It reads the assignments below; others
(``FDSTORE``, ``ERRNO``, ``BARRIER`` and so on) are passed over. Of two with one name the last
counts.

| assignment | |
|---|---|
| `READY=1` | it is up |
| `STATUS=TEXT` | a text for people |
| `WATCHDOG=1` | a heartbeat |
"""

from typing import Final, NamedTuple

LONGEST: Final = 4096  # bytes of a message, as in systemd
LONGEST_STATUS: Final = 256  # characters that are kept of a status


class Message(NamedTuple):
    """A message, as far as the daemon understands it."""

    ready: bool = False
    beat: bool = False
    status: str | None = None


def parsed(data: bytes) -> Message:
    """The message in a datagram; one that is no message says nothing."""
    if len(data) > LONGEST or b"\0" in data:
        return Message()
    found: dict[bytes, bytes] = {}
    for line in data.split(b"\n"):
        name, assigned, value = line.partition(b"=")
        if assigned:
            found[name] = value
    status = found.get(b"STATUS")
    return Message(
        ready=found.get(b"READY") == b"1",
        beat=found.get(b"WATCHDOG") == b"1",
        status=None if status is None else status.decode(errors="replace")[:LONGEST_STATUS],
    )
