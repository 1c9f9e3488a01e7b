"""The cases: a folder each, by the kind of their files."""

from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "daemon" / "migrating"
KINDS = ("supervisord",)
CASES = sorted(path for kind in KINDS for path in (HERE / kind).iterdir())
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/home/op", "STAGE": "live"}
TOP = ("supervisord.conf",)  # of a case with several files; the others are read by it


def given(case: Path) -> list[str]:
    """The files that the command line would name."""
    files = [path.name for path in sorted((case / "given").iterdir()) if path.is_file()]
    return [name for name in TOP if name in files] or files
