"""Daemons in tyrant mode: run as root, with vassals of throw-away users that need no account."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import processes
from .daemon import STAMP, Daemon
from .root import need_root
from .vassals import SLEEPER

# Uids and gids that no account has.
ALICE, BOB = 61_001, 61_002
ALICES, BOBS = 62_001, 62_002


class TyrantDaemon(Daemon):
    """A daemon whose vassals are found although they get little of its environment."""

    def __init__(self, folder: Path, *options: str, **more: Any) -> None:
        super().__init__(folder, *options, **more)
        self.environ[f"UWSGI_VASSAL_{STAMP}"] = self.stamp  # UWSGI_VASSAL_X gets through

    def environments(self) -> dict[int, dict[str, str]]:
        """All processes that it started."""
        passed_on = processes.environments(f"UWSGI_{STAMP}", self.stamp)
        return {**super().environments(), **dict(passed_on)}

    def executed(self, name: str, program: str = "sleep") -> int:
        """The pid of a vassal that has come to execute its program: as its user, from then on."""
        self.phase(name, "ready")
        pid = self.pid_of(name)
        self.until(lambda: executes(pid, program), f"{name} executes {program}")
        return pid

    def put(self, name: str, text: str = SLEEPER, uid: int = ALICE, gid: int = ALICES) -> Path:
        """A vassal of this user's: it is there at once, with its owner."""
        ready = self.folder / f"{name}.new"
        ready.write_text(text)
        os.chown(ready, uid, gid)
        path = self.vassals / name
        ready.rename(path)
        return path


@contextmanager
def common_ground() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are for root alone."""
    need_root("run vassals as other users")
    with tempfile.TemporaryDirectory(prefix="emperord-tyrant-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def account_in_a_group() -> Iterator[pwd.struct_passwd]:
    """An account that is in a group besides its own."""
    name = f"emp{uuid.uuid4().hex[:12]}"
    subprocess.run(["groupadd", f"{name}g"], check=True)
    try:
        subprocess.run(["useradd", "-M", "-G", f"{name}g", name], check=True)
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", name], check=False, capture_output=True)
        subprocess.run(["groupdel", f"{name}g"], check=False)


def status_of(pid: int) -> dict[str, list[str]]:
    """The kernel's view of a process: Uid, Gid, Groups, NoNewPrivs ..."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: rest.split() for key, _, rest in (line.partition(":") for line in lines)}


def executes(pid: int, program: str) -> bool:
    """Whether a process has come to execute this program: what sets its limits goes before."""
    return status_of(pid)["Name"] == [program]


def uwsgi_for_all(folder: Path) -> str:
    """A uWSGI that every user may execute, wherever the tests' own is."""
    from .vassals import UWSGI

    return shutil.copy(UWSGI, str(folder / "uwsgi"))
