"""The plan of a fault, which ``strike.c`` carries out in the processes that it is meant for."""

import ctypes
import mmap
import os
import subprocess
from pathlib import Path
from typing import Final

OFF, ONCE, FOR_EVER, HANG, KILL = range(5)
SHORT: Final = -1  # in place of an errno: half of a write is done
_SITES: Final = 4096


class _Site(ctypes.Structure):
    _fields_ = (("state", ctypes.c_int), ("count", ctypes.c_uint), ("key", ctypes.c_char * 120))


class _Plan(ctypes.Structure):
    _fields_ = (
        ("counting", ctypes.c_int),
        ("mode", ctypes.c_int),
        ("error", ctypes.c_int),
        ("first", ctypes.c_uint),
        ("seen", ctypes.c_uint),
        ("struck", ctypes.c_uint),
        ("target", ctypes.c_char * 8192),
        ("folder", ctypes.c_char * 256),
        ("skew", ctypes.c_long),
        ("site", _Site * _SITES),
    )


def compiled(folder: Path) -> Path:
    """The library, made in this folder."""
    library = folder / "strike.so"
    source = Path(__file__).with_name("strike.c")
    flags = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run(["gcc", *flags, "-o", str(library), str(source), "-ldl"], check=True)
    return library


class Plan:
    """A plan in a file, which processes that are started with ``environ`` follow."""

    def __init__(self, library: Path, file: Path, folder: Path) -> None:
        size = ctypes.sizeof(_Plan)
        with file.open("w+b") as opened:
            opened.truncate(size)
            self._memory = mmap.mmap(opened.fileno(), size)
        self._plan = _Plan.from_buffer(self._memory)
        self._plan.folder = os.fsencode(folder)
        self.environ = {"LD_PRELOAD": str(library), "FAULTS_PLAN": str(file)}

    @property
    def struck(self) -> int:
        """Calls that failed since the fault began."""
        return int(self._plan.struck)

    def strike(self, targets: tuple[str, ...], error: int, mode: int, first: int = 1) -> None:
        """Begin a fault. A target is role, function and object; the last may end with ``*``."""
        self._plan.seen = self._plan.struck = 0
        self._plan.error, self._plan.first = error, first
        self._plan.target = "\n".join(targets).encode()
        self._plan.mode = mode

    def clear(self) -> None:
        """End the fault."""
        self._plan.mode = OFF

    def shift_clock(self, seconds: float) -> None:
        """Let the wall clock be off by so much more."""
        self._plan.skew += int(seconds)

    def count(self) -> None:
        """Begin to count calls anew."""
        ctypes.memset(ctypes.addressof(self._plan.site), 0, ctypes.sizeof(self._plan.site))
        self._plan.counting = 1

    def counted(self) -> dict[str, int]:
        """How often each target was called since; ends the count."""
        self._plan.counting = 0
        return {site.key.decode(): site.count for site in self._plan.site if site.state == 2}
