"""The memory that a keeper hands to the keeper that it executes in its place.

The new keeper may be of another release, so the keys of the memory keep their names for ever.
"""

import errno
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .protocol import RENEW, Memory

STATE = "EMPERORD_KEEPER_STATE"  # in the environment: the descriptor of the memory


def written(memory: Memory, more: Mapping[str, Any]) -> bytes:
    """The memory for the new keeper: all that is kept, and ``more``."""
    state = {
        "kept": [[name, about, fds] for name, (about, fds) in memory.kept.items()],
        "deaths": list(memory.deaths.values()),
        "ended": memory.ended,
        **more,
    }
    return json.dumps(state).encode()


def read(memory: Memory, descriptor: int) -> dict[str, Any]:
    """Take over what the keeper before has kept; all that it has told."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "rb") as file:
        known: dict[str, Any] = json.load(file)
    for name, about, descriptors in known["kept"]:
        for each in descriptors:
            os.set_inheritable(each, False)
        memory.kept[name] = (about, descriptors)
    # An older keeper does not tell. It executes another one when its daemon wants that only.
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    memory.ended = known.get("ended", {"pid": 0, "code": RENEW, "signal": None, "at": now})
    for packet in known["deaths"]:
        memory.deaths[packet["pid"], packet["start"]] = packet
    return known


def take_back(inherited: Sequence[int]) -> None:
    """Have no program inherit these descriptors, and close the first one, which has the memory."""
    for descriptor in inherited:
        os.set_inheritable(descriptor, False)
    for descriptor in inherited[:1]:
        os.close(descriptor)


def try_new_version() -> None:
    """Raise OSError if what is installed now would not even start: then it is not executed."""
    argv = [sys.executable, "-P", "-c", "import emperord.daemon.keeper.main"]
    pid = os.posix_spawn(sys.executable, argv, os.environ)
    if os.waitpid(pid, 0)[1] != 0:
        raise OSError(errno.ENOEXEC, "the installed version does not start")
