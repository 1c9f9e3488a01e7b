"""Programs that write down what they were told."""

from pathlib import Path

from support import processes


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def begun(pid: int, program: str) -> bool:
    """Whether the process has come to run this program, loaded, and not what starts it."""
    return processes.argv_of(pid)[:1] == [program] and processes.sleeps(pid)
