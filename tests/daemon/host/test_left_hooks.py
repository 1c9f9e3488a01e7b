"""Slow hooks: their limit, their places, and what becomes of them when the daemon leaves."""

import fcntl
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from emperord.daemon.host import hooks
from emperord.daemon.host.process import Process
from support import processes
from support.kept import Emperor
from support.vassals import SLEEPER
from support.waiting import until

from ..conftest import MakeEmperor

# Notes its name and then waits until a file is there, where it has to.
HOOK = """\
import os, pathlib, select, sys
noted, gate, name, vassal = sys.argv[1:]
with open(noted, "a") as file:
    file.write(f"{name} {vassal}\\n")
if name == "slow":
    with open(gate) as opened:  # a fifo
        opened.read()
    with open(noted, "a") as file:
        file.write(f"end {vassal}\\n")
"""


def ended(name: str, uid: int | None) -> Process:
    """A process of a vassal, as far as hooks look at it."""
    spec = types.SimpleNamespace(cwd=None, gid=None)
    return cast(Process, types.SimpleNamespace(name=name, uid=uid, pid=1, spec=spec))


def runner(command: str, **more: Any) -> hooks.HookRunner:
    return hooks.HookRunner(hooks.Hooks(stop=(command,)), os.environ, **more)


async def test_a_hook_is_killed_at_its_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "hook.sh"
    script.write_text(f"echo $$ >{tmp_path}/pids; sleep 1000 & echo $! >>{tmp_path}/pids; wait\n")
    await runner(f"/bin/sh {script}", limit=0.5).ended(ended("a.ini", None))
    assert "a.ini: --stop-hook: it took longer than 0.5 s, so it was killed" in caplog.text
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        until(lambda: not processes.alive(pid), "all of its group is gone")  # noqa: B023


def test_a_hook_before_the_program_is_killed_at_its_limit(tmp_path: Path) -> None:
    """That one is waited for by the process that becomes the vassal."""
    code = (
        "from emperord.daemon.host import enter\n"
        "enter._HOOK_LIMIT = 1\n"
        f"words = ['/bin/sh', '-c', 'echo $$ >{tmp_path}/pid; exec sleep 1000']\n"
        "print(enter._run_hook(words, {}), flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
    assert done.stdout == b"it took longer than 1 s, so it was killed\n"
    assert not processes.alive(int((tmp_path / "pid").read_text()))


async def test_slow_hooks_of_a_user_delay_no_other_user(tmp_path: Path) -> None:
    gate, noted, number, most = tmp_path / "gate", tmp_path / "noted", 40, 8
    script = tmp_path / "hook.sh"
    script.write_text(f"case $1 in a*) echo $1 >>{noted}; exec flock -s {gate} true;; esac\n")
    run = runner(f"/bin/sh {script}")

    def begun() -> list[str]:
        return noted.read_text().split() if noted.exists() else []

    with gate.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed, hooks of the first user wait
        async with trio.open_nursery() as nursery:
            for each in range(number):
                nursery.start_soon(run.ended, ended(f"a{each}.ini", 1000))
            for user in range(1001, 1004):
                await run.ended(ended("b.ini", user))
            assert len(begun()) <= most
            nursery.cancel_scope.cancel()
        run.leave()
    until(lambda: len(begun()) == number, "those that were left have begun")
    assert len(set(begun())) == number


@pytest.fixture
def slow(make_emperor: MakeEmperor, tmp_path: Path) -> Emperor:
    """An emperor with a slow stop hook, and a quick one after that."""
    (tmp_path / "hook.py").write_text(HOOK)
    os.mkfifo(tmp_path / "gate")
    hook = f"{sys.executable} -I -S {tmp_path}/hook.py {tmp_path}/noted {tmp_path}/gate"
    emperor = make_emperor("--stop-hook", f"{hook} slow", "--stop-hook", f"{hook} quick")
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    return emperor


def noted(emperor: Emperor) -> list[str]:
    file = emperor.folder / "noted"
    return file.read_text().splitlines() if file.exists() else []


def test_an_upgrade_waits_for_no_hook(slow: Emperor) -> None:
    slow.ctl("stop", "a.ini")
    slow.until(lambda: noted(slow) == ["slow a.ini"], "the hook runs")
    seq = slow.last_seq()
    assert slow.ctl("upgrade").returncode == 0
    slow.next_ready(seq)  # while the hook still waits
    assert noted(slow) == ["slow a.ini"]
    assert " goes on with hooks of a.ini" in slow.log()
    with open(slow.folder / "gate", "w"):
        pass
    expected = ["slow a.ini", "end a.ini", "quick a.ini"]
    slow.until(lambda: noted(slow) == expected, "each ran once, and in order")
    slow.stop()


def test_a_daemon_that_stops_waits_for_hooks(slow: Emperor) -> None:
    slow.send(signal.SIGTERM)
    slow.until(lambda: noted(slow) == ["slow a.ini"], "the hook runs")
    with open(slow.folder / "gate", "w"):
        pass
    assert slow.wait() == 0
    assert noted(slow) == ["slow a.ini", "end a.ini", "quick a.ini"]
    assert "goes on with hooks" not in slow.log()


def test_the_ends_fit_into_the_time_of_the_unit() -> None:
    unit = (Path(__file__).parents[3] / "share/systemd/emperord.service").read_text()
    (line,) = [each for each in unit.splitlines() if each.startswith("TimeoutStopSec=")]
    mercy = 30  # seconds, by default
    assert mercy + hooks.LAST < int(line.partition("=")[2])


async def test_a_daemon_that_stops_waits_for_so_long_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hooks, "LAST", 0.1)
    gate, noted = tmp_path / "gate", tmp_path / "noted"
    script = tmp_path / "hook.sh"
    script.write_text(f"echo $1 >>{noted}; exec flock -s {gate} echo end >>{noted}\n")
    run = runner(f"/bin/sh {script}")
    caplog.set_level("INFO")
    with gate.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.ended, ended("a.ini", None))
            await trio.to_thread.run_sync(lambda: until(noted.exists, "it runs"))
            await run.finish()
            nursery.cancel_scope.cancel()
        run.leave()
        assert "goes on with hooks of a.ini" in caplog.text
    until(lambda: noted.read_text() == "a.ini\nend\n", "it comes to its end, once")
