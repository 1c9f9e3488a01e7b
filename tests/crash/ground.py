"""The ground that a daemon stands on, made to fail: disks, descriptors, processes."""

import contextlib
import random
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.root import need_root


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave not one block free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        self._ballast.unlink()


@contextlib.contextmanager
def mounted(path: Path, *what: str) -> Iterator[Disk]:
    need_root("mount file systems")
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", *what, str(path)], check=True)
    try:
        yield Disk(path)
    finally:
        # Lazily: it must go even if something still stands on it.
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def tiny_disk(path: Path) -> contextlib.AbstractContextManager[Disk]:
    """A disk of one MiB."""
    return mounted(path, "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs")


def limit_writing(pid: int, size: int | None) -> None:
    """Let every write past this offset fail for a process; None lifts that."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    soft = resource.RLIM_INFINITY if size is None else size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


class Commoner:
    """A user of its own, as root is not limited in processes. It may read and write all files."""

    def __init__(self) -> None:
        need_root("start processes of another user")
        capabilities = "+dac_override,+dac_read_search"
        self._become = ["setpriv", f"--reuid={random.randrange(70_000, 1 << 30)}", "--clear-groups"]
        may = [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
        self.before = [*self._become, *may]  # to run a command through

    def limit(self, pid: int, what: str, soft: int) -> None:
        """Set one of a process's soft limits, by the name that prlimit(1) has for it."""
        subprocess.run([*self._become, "prlimit", f"--pid={pid}", f"--{what}={soft}:"], check=True)
