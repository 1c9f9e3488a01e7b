"""The messages of a vassal over its ``NOTIFY_SOCKET``, without I/O: sd_notify(3).

A message is a datagram of assignments, one a line. As systemd does, the daemon reads 4 KiB at most
and drops a message that is longer, or that has a NUL in it. It reads the assignments below; others
(``FDSTORE``, ``ERRNO``, ``BARRIER`` and so on) are passed over. Of two with one name the last
counts.

| assignment | |
|---|---|
| `READY=1` | it is up |
| `STATUS=TEXT` | a text for people |
| `WATCHDOG=1`, `WATCHDOG=trigger` | a heartbeat; it hangs |
| `RELOADING=1` | it reloads; `MONOTONIC_USEC` tells when it said so |
| `STOPPING=1` | it ends by itself |
| `MAINPID=PID` | the process that gets its signals |
| `EXTEND_TIMEOUT_USEC=N` | it needs up to so many microseconds more to start, reload or stop |
"""

from typing import Final, NamedTuple

LONGEST: Final = 4096  # bytes of a message, as in systemd
MOST_TIME: Final = 86_400_000_000  # microseconds that one message may ask for: a day
_HIGHEST_PID: Final = 1 << 30  # above those that there can be
LONGEST_STATUS: Final = 256  # characters that are kept of a status


class Message(NamedTuple):
    """A message, as far as the daemon understands it."""

    ready: bool = False
    beat: bool = False
    hangs: bool = False
    status: str | None = None
    reloading: bool = False
    at: int | None = None  # in microseconds by CLOCK_MONOTONIC
    stopping: bool = False
    more: int = 0  # microseconds
    main_pid: int = 0


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
        hangs=found.get(b"WATCHDOG") == b"trigger",
        reloading=found.get(b"RELOADING") == b"1",
        at=_number(found.get(b"MONOTONIC_USEC")),
        stopping=found.get(b"STOPPING") == b"1",
        main_pid=min(_number(found.get(b"MAINPID")) or 0, _HIGHEST_PID),
        more=min(_number(found.get(b"EXTEND_TIMEOUT_USEC")) or 0, MOST_TIME),
        status=None if status is None else status.decode(errors="replace")[:LONGEST_STATUS],
    )


def _number(text: bytes | None) -> int | None:
    """A number of microseconds; None for anything else."""
    return int(text) if text is not None and len(text) <= 20 and text.isdigit() else None
