"""The emperor protocol: the bytes that go over a vassal's control socket.

Each vassal inherits one end of a stream socket pair as ``UWSGI_EMPEROR_FD``; single bytes go
both ways. A vassal with an inline config inherits a second pair as ``UWSGI_EMPEROR_FD_CONFIG``. The
text goes over it in one frame: right after the spawn, and each time that the vassal asks (it asks
while it reloads). Source: uWSGI's ``core/emperor.c`` and ``core/io.c``.
"""

import struct
from typing import Final

from ..core.fleet import Vassal

# To the vassal
STOP: Final = b"\x00"
RELOAD: Final = b"\x01"
STOP_GRACEFULLY: Final = b"\x02"

# From the vassal
READY: Final = 1
WANTS_CONFIG: Final = 2
ACCEPTING: Final = 5
LOYAL: Final = 17
RESIGNS: Final = 22
HEARTBEAT: Final = 26
WANTS_HELP: Final = 30

LONGEST_CONFIG: Final = 0xFFFF  # bytes; the frame's length field has 16 bits


def config_frame(text: bytes) -> bytes:
    """The frame that carries a config: u8 115, u16 little-endian length, u8 0, the text."""
    assert len(text) <= LONGEST_CONFIG
    return struct.pack("<BHB", 115, len(text), 0) + text


def news(vassal: Vassal, byte: int) -> str | None:
    """The kind of event that this byte is, or None where it changes nothing.

    Vassals repeat themselves. uWSGI says again that it accepts when its first worker is replaced,
    and a heartbeat comes every few seconds. A repetition is no event.
    """
    phase = vassal.phase
    if phase == "stopping":
        return None
    if byte == READY and phase == "starting":
        return "vassal_ready"
    if byte == ACCEPTING and phase in ("starting", "ready", "reloading"):
        return "vassal_accepting"
    if byte == LOYAL and not vassal.loyal:
        return "vassal_loyal"
    if byte == RESIGNS:
        return "vassal_resigned"
    # One that comes during a reload is the last of the program that is being replaced.
    if byte == HEARTBEAT and not vassal.heartbeat and phase != "reloading":
        return "heartbeat_started"
    return None
