"""Waits until a daemon has folded what its journal has.

A test that waits for an event reads the journal. The daemon folds an event a moment after it is
durable there, on a busy machine a long one. An answer of the daemon in between is that before.
"""

import json
import socket
import time
from pathlib import Path

_PATIENCE = 1.0  # seconds; a daemon that is stopped, or has lost its journal, never catches up


def catch_up(control: Path, seq: int) -> None:
    """Return when the daemon at this control socket has folded this event.

    Returns at once where no daemon answers, and after a second in any case.
    """
    deadline = time.monotonic() + _PATIENCE
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_PATIENCE)
        try:
            asking.connect(str(control))
            with asking.makefile("rb") as answers:
                while time.monotonic() < deadline:
                    asking.sendall(b'{"do": "status"}\n')
                    answer = answers.readline()
                    if not answer or json.loads(answer).get("status", {}).get("seq", seq) >= seq:
                        return
        except (OSError, ValueError):
            return
