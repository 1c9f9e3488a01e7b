"""Programs that write down what they were told, and programs that a test needs."""

import shutil
from pathlib import Path

import pytest

from support import processes


def installed(program: str) -> str:
    """The path of a program that ``tools/test`` installs. The test fails where it is not there."""
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"{program} is not installed; tools/test installs it")
    return found


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def begun(pid: int, program: str) -> bool:
    """Whether the process has come to run this program, loaded, and not what starts it."""
    return processes.argv_of(pid)[:1] == [program] and processes.sleeps(pid)
