"""The tiny vassal, and the file that all of these map: each stamps there when it started."""

import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

SLOT = 64  # bytes; vassal.c has the same
WORDS = SLOT // 8
STARTED, TOLD, ENDED = range(3)
SOURCE = Path(__file__).with_name("vassal.c")
MEMORY = "/dev/shm"  # noqa: S108
# Seconds between two looks at the file. The stamps are exact, however seldom they are looked at.
# Looks each 2 ms took a sixth of a core from the peers.
LOOK = 0.02

# Where no compiler is. Each of these takes 10 ms of a core to start, whichever emperor starts it.
SCRIPT = """#!{python} -IS
import mmap, os, re, signal, struct, sys, time
began = time.monotonic_ns()
index = int(re.findall(r"[0-9]+", sys.argv[-1])[-1])
with open(os.environ["BENCH_MARKS"], "r+b") as file:
    slots = mmap.mmap(file.fileno(), 0)
def put(place, value):
    struct.pack_into("<Q", slots, index * 64 + place * 8, value)
def end(*_):
    put(2, time.monotonic_ns())
    os._exit(0)
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
    signal.signal(each, end)
struct.pack_into("<I", slots, index * 64 + 24, os.getpid())
put(0, began)
if "UWSGI_EMPEROR_FD" not in os.environ:
    while True:
        signal.pause()
control = int(os.environ["UWSGI_EMPEROR_FD"])
os.write(control, bytes([1, 5]))
while byte := os.read(control, 1):
    if byte in b"\\0\\2":
        break
    put(1, time.monotonic_ns())
    os.write(control, bytes([5]))
end()
"""


class TookTooLongError(Exception):
    """A peer did not do it in the time that a row has."""


def compiled(folder: Path) -> tuple[Path, str]:
    """The tiny vassal in a folder, and how it was made: by a compiler, else in Python."""
    program = folder / "vassal"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    for more in (["-static"], []):
        command = [str(compiler), "-O2", *more, "-o", str(program), str(SOURCE)]
        if compiler and not subprocess.run(command, capture_output=True, check=False).returncode:
            return program, "in C" + (", static" if more else "")
    program.write_text(SCRIPT.format(python=sys.executable))
    program.chmod(0o755)
    return program, "in Python, as there is no compiler"


class Marks:
    """The slots of so many vassals, in memory where that is possible."""

    def __init__(self, count: int) -> None:
        place = MEMORY if os.access(MEMORY, os.W_OK) else None
        descriptor, self.path = tempfile.mkstemp(prefix="bench-", dir=place)
        try:
            os.truncate(descriptor, count * SLOT)
            self._map = mmap.mmap(descriptor, count * SLOT)
        finally:
            os.close(descriptor)
        self._count = count

    def close(self) -> None:
        self._map.close()
        Path(self.path).unlink(missing_ok=True)

    def clear(self) -> None:
        self._map[:] = bytes(len(self._map))

    def column(self, which: int, count: int | None = None) -> list[int]:
        """A stamp of each of the first ``count`` vassals."""
        with memoryview(self._map) as all_, all_.cast("Q") as words:
            return words[which::WORDS][:count].tolist()

    def pids(self) -> list[int]:
        with memoryview(self._map) as all_, all_.cast("I") as words:
            return [pid for pid in words[6 :: SLOT // 4].tolist() if pid]

    def wait(
        self,
        which: int,
        since: int,
        those: Iterable[int],
        patience: float,
        alive: Callable[[], bool] = lambda: True,
    ) -> list[float]:
        """The seconds from ``since`` until each of those vassals stamped."""
        indices = list(those)
        end = time.monotonic() + patience
        while True:
            column = self.column(which)
            stamps = [column[index] for index in indices]
            if min(stamps) >= since:
                return [(stamp - since) / 1e9 for stamp in stamps]
            if time.monotonic() > end or not alive():
                missing = sum(stamp < since for stamp in stamps)
                why = f"after {patience:g} s" if alive() else "at the end of its process"
                raise TookTooLongError(f"{missing} of {len(stamps)} were missing {why}")
            time.sleep(LOOK)
