"""A cgroup v2 for a test: a folder in the machine's hierarchy, emptied and removed after it."""

import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .waiting import until


@contextmanager
def hierarchy() -> Iterator[Path | None]:
    """Where cgroups can be made; mounted for the test if need be. None: the kernel has none."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(point, os.W_OK):
            yield Path(point)
            return
    with tempfile.TemporaryDirectory(prefix="emperord-cgroup2-") as point:
        argv = ["mount", "-t", "cgroup2", "none", point]
        if subprocess.run(argv, check=False, capture_output=True).returncode != 0:
            yield None
            return
        try:
            yield Path(point)
        finally:
            subprocess.run(["umount", "--lazy", point], check=True)


@contextmanager
def own_cgroup() -> Iterator[Path | None]:
    """A cgroup of this test alone; None where the kernel has none."""
    with hierarchy() as root:
        if root is None:
            yield None
            return
        base = root / f"emperord-test-{uuid.uuid4().hex[:12]}"
        base.mkdir()
        try:
            yield base
        finally:
            clear(base)


def clear(cgroup: Path) -> None:
    """Kill all that is in it, and remove it."""
    if not cgroup.exists():
        return
    (cgroup / "cgroup.kill").write_text("1")
    until(lambda: not populated(cgroup), f"{cgroup} is empty")
    for folder, _, _ in os.walk(cgroup, topdown=False):
        with suppress(FileNotFoundError):
            os.rmdir(folder)


def populated(cgroup: Path) -> bool:
    return "populated 1" in (cgroup / "cgroup.events").read_text()


def members(cgroup: Path) -> list[int]:
    """The processes in it, those below it not."""
    return [int(pid) for pid in (cgroup / "cgroup.procs").read_text().split()]


def attempts(cgroup: Path) -> list[Path]:
    """The cgroups of attempts in it."""
    return [cgroup / name for name in below(cgroup) if name.count(".") == 3]


def below(cgroup: Path) -> list[str]:
    """The names of the cgroups in it."""
    return sorted(entry.name for entry in cgroup.iterdir() if entry.is_dir())


def cgroup_of(pid: int) -> str:
    """The cgroup v2 of a process, from the root of the hierarchy."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line[3:] for line in lines if line.startswith("0::"))


def within(cgroup: Path) -> tuple[str, ...]:
    """The words before a command with which it begins in the cgroup."""
    script = 'echo 0 >"$0" && exec "$@"'
    return ("sh", "-c", script, str(cgroup / "cgroup.procs"))
