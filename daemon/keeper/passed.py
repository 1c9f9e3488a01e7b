"""Sockets that a service manager has passed to the keeper (sd_listen_fds(3)).

systemd listens at the addresses of a socket unit, also while the service is stopped, and passes the
sockets as descriptors 3 and on. The keeper takes them before it opens anything itself. It keeps
them as it keeps what a daemon entrusts, and gives them to each daemon. The daemon looks which
vassal asks for which one. A daemon cannot drop them, because the manager goes on with them.

A name has the number of the socket. So a socket that comes twice is kept once: from the manager
again, and from a daemon that is taken over.
"""

import contextlib
import functools
import os
import stat
from collections.abc import MutableMapping
from typing import Final

from . import stdio
from .protocol import PASSED, Memory

FIRST: Final = 3  # SD_LISTEN_FDS_START
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_LONGEST_NAME: Final = 255  # characters, as systemd has it
log = functools.partial(stdio.log, "emperor.keeper")


def take_in(memory: Memory, environ: MutableMapping[str, str] = os.environ) -> None:
    """Keep what was passed to this process. The variables go: no other process is meant."""
    pid, count, names = forget(environ)
    if pid != str(os.getpid()):
        return  # passed to another process, which has left them in our environment
    if not (count.isascii() and count.isdigit() and 0 < len(count) < 10):
        log(f"LISTEN_FDS is no number of sockets: {count[:20]!r}", stdio.ERROR)
        return
    told = names.split(":")
    unfit = 0
    passed = _open_ones(FIRST + int(count))
    for descriptor in passed:
        os.set_inheritable(descriptor, False)
        status = os.fstat(descriptor)
        if not stat.S_ISSOCK(status.st_mode):
            unfit += 1
            continue
        place = descriptor - FIRST
        name = told[place][:_LONGEST_NAME] if place < len(told) else ""
        about = {"name": name, "descriptor": descriptor}
        memory.kept.setdefault(f"{PASSED}{status.st_ino}", (about, [descriptor]))
    if unfit:
        log(f"descriptors of LISTEN_FDS that are no sockets: {unfit}; they are left", stdio.ERROR)
    if len(passed) < int(count):
        missing = int(count) - len(passed)
        log(f"descriptors of LISTEN_FDS={count} that are not open: {missing}", stdio.ERROR)


def forget(environ: MutableMapping[str, str] = os.environ) -> list[str]:
    """Take the variables out of the environment; their values."""
    return [environ.pop(each, "") for each in _VARIABLES]


def _open_ones(end: int) -> list[int]:
    """The open descriptors from 3 on, before ``end``."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        if FIRST <= int(name) < end:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.fstat(int(name))
                found.append(int(name))
    return sorted(found)
