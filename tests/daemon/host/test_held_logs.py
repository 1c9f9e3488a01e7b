"""A log is cut although its owner has a lease on it, and takes that again whenever it is broken."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from emperord.daemon.host import log_watch
from emperord.daemon.host.log_watch import LogWatch
from emperord.daemon.host.news import Outbox
from emperord.daemon.host.process_table import ProcessTable
from emperord.daemon.host.vassal_log import LogDirectory
from emperord.daemon.host.vassal_tasks import VassalTasks
from support.root import need_root
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon
from support.vassals import program

LIMIT = 4096
# It gives the lease up when the kernel asks, and has it again at once.
MODULES = "import contextlib, fcntl, os, signal"
HOLDER = f"""
os.write(1, b"x" * {LIMIT + 1})
def take(*_):
    with contextlib.suppress(OSError):  # it may have none
        fcntl.fcntl(1, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    try:
        fcntl.fcntl(1, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
signal.signal(signal.SIGIO, take)
signal.signal(signal.SIGALRM, take)
take()
os.write(2, b"!")
while True:
    signal.pause()
"""


@contextlib.contextmanager
def holder_of(path: Path, uid: int, gid: int) -> Iterator[None]:
    """A user's process writes to a file, and holds it by a lease."""
    path.touch(mode=0o640)
    os.chown(path, uid, gid)
    become = f"os.setgroups([]), os.setgid({gid}), os.setuid({uid})"
    with path.open("ab") as log:
        holder = subprocess.Popen(
            [sys.executable, "-c", f"{MODULES}\n{become}\n{HOLDER}"],
            stdout=log,
            stderr=subprocess.PIPE,
        )
    with holder:
        try:
            assert holder.stderr is not None
            assert holder.stderr.read(1) == b"!"
            yield
        finally:
            holder.kill()


def is_short(path: Path) -> bool:
    return path.stat().st_size == 0


def is_the_daemons(path: Path) -> bool:
    return path.stat().st_uid == 0


@pytest.mark.parametrize(
    ("name", "is_done"),
    [
        pytest.param("a.ini.log", is_short, id="log"),
        pytest.param("a.ini.log.1", is_the_daemons, id="older part"),
    ],
)
async def test_a_held_file_is_cut(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    is_done: Callable[[Path], bool],
) -> None:
    need_root("give files away")
    monkeypatch.setattr(log_watch, "_INTERVAL", 0.05)
    logs = LogDirectory(str(tmp_path), LIMIT, keep=2)
    logs.give_away()
    tasks = VassalTasks(Outbox())
    path = tmp_path / name
    with holder_of(path, ALICE, ALICES):
        async with trio.open_nursery() as nursery:
            tasks.begin(nursery)
            nursery.start_soon(LogWatch(logs, ProcessTable(), tasks).run)
            with trio.fail_after(20):
                while not is_done(path):
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    logs.close()
    assert caplog.messages == [
        f"{name}: uid {ALICE} has a lease on this log, so it is cut up to 45 s later"
    ]


def test_it_is_said_once_of_a_vassal(tyrant: TyrantDaemon) -> None:
    """And the logs of others are cut meanwhile."""
    tyrant.options += ["--log-size", f"{LIMIT}"]
    tyrant.put("a.ini", program("python3", "-c", f"{MODULES}; exec({HOLDER!r})"))
    tyrant.put("b.ini", program("sh", "-c", "head -c 9000 /dev/zero; exec sleep 1000"), BOB, BOBS)
    tyrant.start()
    for name in ("a.ini", "b.ini"):
        part = tyrant.logs / f"{name}.log.1"
        tyrant.until(part.exists, f"the log of {name} is cut")
    assert tyrant.log().count("a.ini.log: uid") == 1
    assert "cannot be cut" not in tyrant.log()
    tyrant.stop()
