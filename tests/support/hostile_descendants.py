"""Programs whose descendants hide, and the cgroups that a test gives a daemon."""

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import processes
from support.daemon import Daemon
from support.tyrant import TyrantDaemon
from support.vassals import program

# It forks twice, leads its own session, resets its limits, ignores TERM, has no environment.
HOSTILE = """
import os, resource, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        unlimited = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_RTTIME, (unlimited, unlimited))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(sys.argv[1], "w") as file:
            file.write(f"{os.getpid()}\\n")
        os.execve("/bin/sleep", ["sleep", "3000"], {})
    os._exit(0)
os.wait()
os.execve("/bin/sleep", ["sleep", "1000"], dict(os.environ))
"""


def given(base: Path | None) -> tuple[str, str]:
    """The option. Where there is no cgroup v2, its path is one that cannot be used."""
    return ("--cgroup", "/nowhere" if base is None else str(base))


@contextmanager
def hostile(daemon: Daemon, name: str = "a.ini") -> Iterator[Callable[[], int]]:
    """A vassal with a hostile descendant. Gives the pid of that; ends it whatever happens."""
    note = daemon.folder / f"{name}.hostile"
    note.touch()
    note.chmod(0o666)
    code = daemon.folder / "hostile.py"
    code.write_text(HOSTILE)
    text = program(sys.executable, "-I", "-S", str(code), str(note))
    if isinstance(daemon, TyrantDaemon):
        text = program("/usr/bin/python3", "-I", "-S", str(code), str(note))
        daemon.put(name, text)
    else:
        (daemon.vassals / name).write_text(text)

    def there() -> bool:
        return note.read_text().endswith("\n") and hidden(int(note.read_text()))

    def pid() -> int:
        daemon.until(there, "it is there")
        return int(note.read_text())

    try:
        yield pid
    finally:
        if there():
            processes.kill(int(note.read_text()))


def hidden(pid: int) -> bool:
    return processes.argv_of(pid) == ["sleep", "3000"] and processes.environment_of(pid) == {}


def removed(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").unlink()


def attention(daemon: Daemon) -> list[dict[str, str]]:
    """The findings of ``status`` about left processes and cgroups."""
    status = ask(daemon, "status")["status"]
    kinds = ("left process", "no cgroup", "no limits")
    return [each for each in status["attention"] if each["what"] in kinds]


def listed(daemon: Daemon, name: str) -> str | None:
    """The cgroup that ``list`` gives for a vassal."""
    (its,) = (each for each in ask(daemon, "list")["vassals"] if each["name"] == name)
    cgroup: str | None = its["cgroup"]
    return cgroup


def ask(daemon: Daemon, do: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(daemon.journal) + ".sock")
        connection.sendall(json.dumps({"do": do}).encode() + b"\n")
        with connection.makefile() as answer:
            told: dict[str, Any] = json.loads(answer.readline())
    return told
