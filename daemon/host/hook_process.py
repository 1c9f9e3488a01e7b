"""A hook's process, and the hooks that a daemon leaves behind when it is replaced or ends.

    python -m emperord.daemon.host.hook_process <FILE

The daemon waits for no hook before it hands its vassals over. It starts this program instead. The
program runs the hooks that have not begun, and watches the limit of those that run.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...monitors import children
from ...monitors.names import shown
from ..keeper import stdio
from .procfs import HOOK

_AT_ONCE: Final = 8
_LOGGER: Final = "emperor.host"


def begin(argv: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a hook. Raises OSError and ValueError. Blocks until it is executed."""
    # All descriptors of the daemon are closed there. It has a process group of its own, which is
    # killed as a whole. By the variable it is taken for no remnant of a vassal, nor is a process
    # that it leaves behind (``stray_processes.py``).
    environ = {**environ, HOOK: "1"}
    return children.Child(argv, env=environ, stdin=subprocess.DEVNULL, stdout=2, process_group=0)


def flaw(hook: subprocess.Popen[bytes], limit: float) -> str | None:
    """Wait for its end; what is wrong with that, None for a good one. Blocks."""
    with hook:
        try:
            code = hook.wait(limit)
        except subprocess.TimeoutExpired:
            kill(hook.pid)
            return too_long(limit)
    return None if code == 0 else f"it ended with {_how(code)}"


def kill(pid: int) -> None:
    """Kill a hook and what it has started."""
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def too_long(limit: float) -> str:
    """The flaw of a hook that was killed."""
    return f"it took longer than {limit:g} s, so it was killed"


def _how(code: int) -> str:
    return f"status {code}" if code >= 0 else f"signal {-code}"


def leave(left: Sequence[Mapping[str, Any]], limit: float, keep: Sequence[int]) -> int:
    """Have a process of its own go on with hooks; its pid. Raises OSError.

    ``keep`` are the descriptors of the hooks that run.
    """
    with open(os.memfd_create("hooks", os.MFD_CLOEXEC), "r+b") as file:
        file.write(json.dumps({"left": left, "limit": limit}).encode("utf-8", "surrogateescape"))
        file.flush()
        file.seek(0)
        for each in keep:
            os.set_inheritable(each, True)
        return children.spawn(
            sys.executable,
            [sys.executable, "-P", "-m", __name__],
            {**os.environ, HOOK: "1"},
            file_actions=[(os.POSIX_SPAWN_DUP2, file.fileno(), 0), (os.POSIX_SPAWN_DUP2, 2, 1)],
            setpgroup=0,
        )


def _go_on(job: Mapping[str, Any], limit: float, places: threading.Semaphore) -> None:
    """Wait for the hook of a vassal that runs, and run the others."""
    if job["pidfd"] is not None:
        _watch(job, limit)
    for argv in job["commands"]:
        with places:
            try:
                bad = flaw(begin(argv, job["environ"]), limit)
            except (OSError, ValueError) as error:
                bad = getattr(error, "strerror", None) or str(error)
        if bad is not None:
            stdio.log(_LOGGER, f"{shown(job['vassal'])}: {job['option']}: {bad}")


def _watch(job: Mapping[str, Any], limit: float) -> None:
    """Kill a hook when its time is over. Its status is its parent's to know."""
    waiting = select.poll()
    waiting.register(job["pidfd"], select.POLLIN)
    left = max(0.0, job["until"] - time.monotonic())
    if not waiting.poll(left * 1000):
        kill(job["pid"])
        stdio.log(_LOGGER, f"{shown(job['vassal'])}: {job['option']}: {too_long(limit)}")


def main() -> None:
    """Go on with the hooks of the daemon that has left."""
    given = json.loads(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"))
    places = threading.Semaphore(_AT_ONCE)
    for job in given["left"]:
        arguments = (job, given["limit"], places)
        try:
            threading.Thread(target=_go_on, args=arguments).start()
        except RuntimeError:  # at the limit of processes there are no more threads
            _go_on(*arguments)


if __name__ == "__main__":
    main()
