"""Where the cgroups of attempts are made: ``--cgroup``, and what systemd delegated.

| ``--cgroup`` | attempts get cgroups in |
|---|---|
| ``auto`` | our own cgroup, or the one above it, if it was delegated; else nowhere |
| ``PATH`` | this directory, which is in a mounted cgroup v2; it is made if it is missing |
| ``none`` | nowhere |

A cgroup is delegated (``Delegate=`` in a unit) if systemd set the extended attribute
``user.delegate`` on it. Before systemd 251 it was ``trusted.delegate``, which root alone can read.
For another user than root it is enough that the cgroup is that user's.

The daemon tries each base before it relies on it: a process is put in a cgroup there and killed.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from typing import Final

from ...monitors.children import Child
from . import cgroup_files as files

AUTO, NONE = "auto", "none"
# Below our own cgroup, the daemon and its keeper are in this one; the number is the keeper's pid.
LEAF: Final = "daemon."
_OF_A_DAEMON: Final = re.compile(r"/daemon\.\d+$")
PROBE: Final = "probe."


class Unusable(Exception):
    """No cgroups can be made; the text says why and what to do."""


def base(given: str) -> str | None:
    """The directory in which attempts get cgroups; None if there is to be none. Blocks.

    Raises Unusable. ``given`` is the value of ``--cgroup``.
    """
    if given == NONE:
        return None
    try:
        found = _delegated() if given == AUTO else _named(given)
        if found is not None:
            _try(found)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        raise Unusable(f"{what}{error.strerror}") from None
    return found


def own() -> str | None:
    """Our own cgroup, without the leaf that a former daemon moved into."""
    path = files.path_of(os.getpid())
    return None if path is None else files.directory(outside_leaf(path), files.mounts())


def outside_leaf(path: str) -> str:
    """The cgroup that a daemon was started in, if this is the one that it moved into."""
    return _OF_A_DAEMON.sub("", path) or "/"


def _delegated() -> str | None:
    found = own()
    if found is None:
        return None
    if files.is_delegated(found):
        return found
    above = os.path.dirname(found)
    if files.is_delegated(above):  # DelegateSubgroup= of systemd 254
        return above
    return found if os.geteuid() != 0 and files.is_ours(found) else None


def _named(given: str) -> str:
    known = files.mounts()
    if not known:
        raise Unusable("no cgroup v2 is mounted (mount -t cgroup2 none DIRECTORY)")
    path = os.path.realpath(given)
    if not os.path.isabs(given):
        raise Unusable(f"{given}: give an absolute path, 'auto' or 'none'")
    if not any(path == mount.point or path.startswith(mount.point + "/") for mount in known):
        at = ", ".join(mount.point for mount in known)
        raise Unusable(f"{given}: it is not in a cgroup v2; one is mounted at {at}")
    os.makedirs(path, mode=0o755, exist_ok=True)
    _check_owners(path, {mount.point for mount in known})
    return path


def _check_owners(path: str, tops: set[str]) -> None:
    """Raise Unusable if others can write to a cgroup on the way, up to the mount.

    A process can be moved by its user between cgroups below one whose files that user can write.
    """
    while True:
        status = os.stat(path)
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise Unusable(
                f"{path}: others than root and uid {os.geteuid()} can write there, and could move"
                " processes out of a vassal's cgroup; chown and chmod it"
            )
        if path in tops or path == "/":
            return
        path = os.path.dirname(path)


def _try(base: str) -> None:
    """Put a process in a cgroup in the base and kill it there. Raises OSError, Unusable."""
    probe = os.path.join(base, f"{PROBE}{os.getpid()}")
    os.makedirs(probe, exist_ok=True)
    try:
        if not os.path.exists(os.path.join(probe, "cgroup.kill")):
            raise Unusable(f"{base}: the kernel has no cgroup.kill there (Linux 5.14 has it)")
        waits = [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"]
        with Child(waits, stdin=subprocess.PIPE) as child:
            try:
                files.put(child.pid, probe)
                files.kill(probe)
                child.wait(timeout=10)
            except (OSError, subprocess.TimeoutExpired):
                child.kill()
                raise
        if child.returncode != -signal.SIGKILL:
            raise Unusable(f"{base}: cgroup.kill there did not kill a process")
    except subprocess.TimeoutExpired:
        raise Unusable(f"{base}: cgroup.kill there does not kill") from None
    finally:
        with contextlib.suppress(OSError):
            files.remove(probe)
