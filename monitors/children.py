"""Child processes of the daemon: the one place that starts them.

A vassal's process carries a tag (``daemon/host/procfs.py``): its soft limit of real-time CPU
(setrlimit(2)). A child inherits the limits of its parent at the fork. So the daemon gives itself
the limit, forks, and takes it back. No program has to be executed for it.

A limit is the whole process's, for all threads. So the daemon starts one child at a time. Another
child that began meanwhile would get the tag, too. It would be killed with what is left of that
vassal. ``tests/monitors/test_children.py`` holds that no other module forks. A library may; its
child is in the daemon's session, in which ``procfs.all_processes`` heeds no tag.

- The tag limits nothing, also where the daemon has a real-time policy (sched(7)).
- A daemon that is killed in between leaves a child with its own tag, or none.
- An emperor that is a vassal of another one has no tag of that one's in between. It has its mark.
"""

import os
import resource
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

_one_start: Final = threading.Lock()


class Child(subprocess.Popen[bytes]):
    """A child process, with the ``tag`` as its soft limit of real-time CPU if there is one.

    The other arguments are those of Popen. Raises what Popen raises.
    """

    def __init__(self, argv: Sequence[str], *, tag: int | None = None, **how: Any) -> None:
        with _inherited(tag):
            super().__init__(argv, **how)


def run(
    argv: Sequence[str], *, timeout: float | None = None, **how: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a command until its end, and take its output, as ``subprocess.run``. Blocks."""
    pipe = subprocess.PIPE
    with Child(argv, stdout=pipe, stderr=pipe, **how) as child:
        try:
            output, errors = child.communicate(timeout=timeout)
        except BaseException:
            child.kill()
            raise
    return subprocess.CompletedProcess(argv, child.returncode, output, errors)


def spawn(path: str, argv: list[str], environ: Mapping[str, str], **how: Any) -> int:
    """Start a child that nothing here waits for, as ``os.posix_spawn``; its pid. Raises OSError."""
    with _inherited(None):
        return os.posix_spawn(path, argv, environ, **how)


@contextmanager
def _inherited(tag: int | None) -> Iterator[None]:
    """The turn to start a child, which inherits this tag."""
    with _one_start:
        if tag is None:
            yield
            return
        limits = resource.getrlimit(resource.RLIMIT_RTTIME)
        resource.setrlimit(resource.RLIMIT_RTTIME, (tag, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_RTTIME, limits)
