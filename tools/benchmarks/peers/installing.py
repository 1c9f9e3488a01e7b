"""Installs the peers that this machine can have, each in a place of its own."""

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from .supervisors import c_emperor, libraries

ROOT = Path(__file__).resolve().parents[3]
PREFIX = ROOT / ".venv" / "peers"
# One version of each, so that two tables are of the same peers.
PINNED = {"supervisord": "supervisor==4.3.0", "circus": "circus==0.19.0"}

PROGRAMS = {"supervisord": "supervisord", "circus": "circusd"}


class CannotInstallError(Exception):
    """A peer cannot be had here; it says why."""


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it failed"]
        raise CannotInstallError(f"{Path(command[0]).name}: {said[-1][:200]}")
    return done.stdout


def _unpack(folder: Path) -> None:
    """Debian's ``uwsgi-core`` and what it needs, unpacked: the machine keeps its own packages."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise CannotInstallError("no apt-get")
    plan = _run("apt-get", "install", "--simulate", "--no-install-recommends", "uwsgi-core")
    wanted = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    archives = folder / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    _run("apt-get", "download", *wanted, cwd=archives)
    for each in archives.glob("*.deb"):
        _run("dpkg-deb", "-x", str(each), str(folder / "debian"))


def _of_c_emperor(folder: Path, *, may: bool) -> str:
    """Debian's, or the one of the virtual environment."""
    reason = ""
    if c_emperor(folder).name != "uwsgi-core" and may:
        try:
            _unpack(folder)
        except CannotInstallError as error:
            reason = f" (Debian's uwsgi-core cannot be had: {error})"
    binary = c_emperor(folder)
    if not binary.exists():
        raise CannotInstallError(f"there is no {binary}{reason}")
    path = ":".join(libraries(folder).values())
    version = _run("env", f"LD_LIBRARY_PATH={path}", str(binary), "--version").strip()
    return f"{binary.name} {version}{reason}"


def _of_python(folder: Path, name: str, *, may: bool) -> str:
    python = folder / "venv/bin/python"
    if not may and not (folder / "venv/bin" / PROGRAMS[name]).exists():
        raise CannotInstallError("it is not there, and --no-install was given")
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
    package, _, wanted = PINNED[name].partition("==")
    query = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    found = subprocess.run([python, "-c", query], capture_output=True, text=True, check=False)
    if found.stdout.strip() != wanted:
        print(f"installs {PINNED[name]} into {folder.relative_to(ROOT)}", file=sys.stderr)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(*pip, PINNED[name])
    return f"{package} {wanted}"


def install(name: str, *, may: bool = True) -> str:
    """The version of a peer, which is there afterwards. Without ``may`` it has to be there."""
    PREFIX.mkdir(parents=True, exist_ok=True)
    match name:
        case "emperord":
            return _run(sys.executable, "-m", "emperord", "--version").strip()
        case "C Emperor":
            return _of_c_emperor(PREFIX, may=may)
    return _of_python(PREFIX, name, may=may)
