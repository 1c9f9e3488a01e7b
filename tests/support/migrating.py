"""The cases: a folder each, by the kind of their files."""

from pathlib import Path

from emperord.daemon.migrating import run

HERE = Path(__file__).resolve().parents[1] / "daemon" / "migrating"
KINDS = ("supervisord", "procfile", "unit")
CASES = sorted(path for kind in KINDS for path in (HERE / kind).iterdir())
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/home/op", "STAGE": "live"}
# Of a case with several files; the others are read by it.
TOP = ("supervisord.conf", "Procfile", "Procfile.dev")
FORMATIONS = {"scaled": {"web": 2, "worker": 3, "all": 0}}  # by the name of a case


def given(case: Path) -> list[str]:
    """The files that the command line would name."""
    files = [path.name for path in sorted((case / "given").iterdir()) if path.is_file()]
    services = [name for name in files if name.endswith(".service")]
    return [name for name in TOP if name in files] or services or files


def request(case: Path, folder: Path, written: Path) -> run.Request:
    """The request to migrate a case, whose files are in a folder."""
    files = tuple(str(folder / name) for name in given(case))
    return run.Request(files, str(written), formation=FORMATIONS.get(case.name, {}))
