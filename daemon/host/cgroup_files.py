"""The files of cgroup v2: its mounts, the members of a cgroup, and how one is ended and removed.

See cgroups(7) and the kernel's Documentation/admin-guide/cgroup-v2.rst. There is one hierarchy, but
it may be mounted several times. On a *hybrid* machine the controllers are in hierarchies of
version 1, and version 2 is mounted beside them without any, often at /sys/fs/cgroup/unified.
``cgroup.kill`` and ``cgroup.events`` need no controller. ``cgroup.kill`` came with Linux 5.14.

Everything here may block for a moment, because the kernel has one lock for all cgroups.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_DELEGATED: Final = ("trusted.delegate", "user.delegate")  # extended attributes that systemd sets
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")  # a blank in a path of mountinfo is \040


class Mount(NamedTuple):
    """A mount of the hierarchy: ``root`` is the cgroup that is seen at ``point``."""

    root: str
    point: str


def mounts(text: str | None = None) -> list[Mount]:
    """The mounts of cgroup v2 that /proc/self/mountinfo (proc(5)), or this text, tells of."""
    if text is None:
        with open("/proc/self/mountinfo", errors="surrogateescape") as file:
            text = file.read()
    found = []
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.split(" ", 1)[0] == "cgroup2":
            root, point = fields.split(" ")[3:5]
            found.append(Mount(_plain(root), _plain(point)))
    return found


def _plain(path: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path)


def path_of(pid: int) -> str | None:
    """The cgroup of a process as /proc has it (``/`` is the root); None if that is not known.

    A zombie still has its cgroup.
    """
    try:
        with open(f"/proc/{pid}/cgroup", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    return next((line[3:] for line in lines if line.startswith("0::")), None)


def directory(path: str, known: list[Mount]) -> str | None:
    """Where this cgroup is seen in the file system; None where no mount shows it."""
    for mount in known:
        root = mount.root.rstrip("/")
        if path == root or path.startswith(root + "/"):
            return os.path.normpath(mount.point + path[len(root) :])
    return None


def is_delegated(cgroup: str) -> bool:
    """Whether systemd says that a cgroup is its processes' own to partition."""
    for name in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(cgroup, name) == b"1":
                return True
    return False


def delegate(cgroup: str) -> None:
    """Say so of a cgroup. It is not known where extended attributes cannot be set."""
    with contextlib.suppress(OSError):
        os.setxattr(cgroup, "user.delegate", b"1")


def is_ours(cgroup: str) -> bool:
    """Whether it belongs to this user, and this user may put processes in it."""
    try:
        owner = os.stat(cgroup).st_uid
    except OSError:
        return False
    procs = os.path.join(cgroup, "cgroup.procs")
    return owner == os.geteuid() and os.access(cgroup, os.W_OK) and os.access(procs, os.W_OK)


def write(cgroup: str, file: str, text: str) -> None:
    """Write to a file of a cgroup's. Raises OSError, with the path."""
    path = os.path.join(cgroup, file)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def put(pid: int, cgroup: str) -> None:
    """Move a process, with all its threads. Raises OSError."""
    write(cgroup, "cgroup.procs", str(pid))


def is_populated(cgroup: str) -> bool:
    """Whether a process lives in it or below it. Raises OSError."""
    events = open_events(cgroup)
    try:
        return populated(events)
    finally:
        os.close(events)


def open_events(cgroup: str) -> int:
    """Its ``cgroup.events``, which has news (POLLPRI) when it has changed since it was read."""
    return os.open(os.path.join(cgroup, "cgroup.events"), os.O_RDONLY | os.O_CLOEXEC)


def populated(events: int) -> bool:
    """The same of an open ``cgroup.events``."""
    return b"populated 1" in os.pread(events, 256, 0)


def members(cgroup: str) -> list[int]:
    """The processes in it. Raises OSError."""
    with open(os.path.join(cgroup, "cgroup.procs")) as file:
        return [int(pid) for pid in file.read().split()]


def all_members(cgroup: str) -> set[int]:
    """The processes in it and below it. Raises OSError."""
    return {pid for each in [*_below(cgroup), cgroup] for pid in members(each)}


def kill(cgroup: str) -> None:
    """Kill each process in it and below it, also those that are just being forked."""
    write(cgroup, "cgroup.kill", "1")


def remove(cgroup: str) -> None:
    """Remove it with those below it, in which only zombies are. Raises OSError."""
    for each in [*_below(cgroup), cgroup]:
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(each)


def _below(cgroup: str) -> Iterator[str]:
    """The cgroups below one, each after those below it."""
    for folder, _, _ in os.walk(cgroup, topdown=False):
        if folder != cgroup:
            yield folder


def names_in(cgroup: str) -> list[str]:
    """The names of the cgroups in one. Raises OSError."""
    with os.scandir(cgroup) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
