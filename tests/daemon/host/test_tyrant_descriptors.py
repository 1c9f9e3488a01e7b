"""Tyrant mode: a vassal holds nothing of root's, and no more than it may."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.descriptors import descriptors, has_open
from support.tyrant import ALICE, BOB, BOBS, TyrantDaemon, executes, status_of
from support.vassals import SLEEPER, program, shell

MakeTyrant = Callable[..., TyrantDaemon]


def test_no_descriptor_of_the_daemons_leaks(make_tyrant: MakeTyrant) -> None:
    """Whatever else is open there: the journal, listeners, other vassals' sockets."""
    tyrant = make_tyrant("--on-demand-extension", ".socket")
    for number in range(5):
        tyrant.put(f"{number}.ini")
    for number in range(3):
        tyrant.put(f"{number}.ini.socket", f"@{tyrant.stamp}-{number}")
    tyrant.start()
    own = {os.readlink(f"/proc/{tyrant.pid}/fd/0")}
    for name in ("3.ini", "4.ini"):
        tyrant.phase(name, "ready")
        pid = tyrant.pid_of(name)
        tyrant.until(partial(executes, pid, "sleep"), "it is executed")
        # The loader of the program may still have a library open.
        tyrant.until(partial(has_open, pid, 4), "four descriptors")
        held = dict(descriptors(pid))
        log = str(tyrant.logs / f"{name}.log")
        assert held.pop(0) == "/dev/null"
        assert [held.pop(1), held.pop(2)] == [log, log]
        # The last one is its own end of the control socket.
        assert all(target.startswith("socket:") for target in held.values())
        assert not set(held.values()) & own
        assert not set(held.values()) & {target for _, target in descriptors(tyrant.pid)}
    tyrant.stop()


def limits_of(pid: int) -> dict[str, tuple[str, str]]:
    """Soft and hard limits by the kernel's names; to read them otherwise takes privileges."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    rows = (re.split(r"\s{2,}", line) for line in lines)
    return {row[0]: (row[1], row[2]) for row in rows}


@pytest.mark.parametrize("under_root", [False, True])
def test_limits(make_tyrant: MakeTyrant, under_root: bool) -> None:
    tyrant = make_tyrant()
    if under_root:  # they are settings of any vassal
        tyrant.options.remove("--tyrant")
    asked = {"nofile": "200", "nproc": "50", "as": "1G"}
    path = tyrant.put("a.ini", shell("exec sleep 1000", **asked))
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    pid = tyrant.pid_of("a.ini")
    tyrant.until(partial(executes, pid, "sleep"), "it is executed")
    limits = limits_of(pid)
    assert limits["Max open files"] == ("200", "200")
    assert limits["Max processes"] == ("50", "50")
    assert limits["Max address space"] == (str(1 << 30), str(1 << 30))
    # Another limit takes effect: that needs another process.
    path.write_text(shell("exec sleep 1000", **asked | {"nofile": "300"}))
    tyrant.event("spawned", "a.ini", count=2)
    other = tyrant.pid_of("a.ini")
    tyrant.until(partial(executes, other, "sleep"), "it is executed")
    assert limits_of(other)["Max open files"] == ("300", "300")
    tyrant.stop()


def test_limits_bite(tyrant: TyrantDaemon) -> None:
    script = "ulimit -n; exec 3</dev/null 4<&3 5<&3 6<&3 7<&3 8<&3 9<&3 && echo all"
    tyrant.put("a.ini", shell(f"({script}); exec sleep 1000", nofile="8"))
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    tyrant.until(lambda: "8\n" in tyrant.vassal_log("a.ini"), "it has tried")
    assert "all" not in tyrant.vassal_log("a.ini")
    tyrant.stop()


def test_a_set_uid_program_gives_nothing_back(tyrant: TyrantDaemon) -> None:
    """That is the purpose of no_new_privs."""
    program = tyrant.folder / "id"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    without = ("setpriv", f"--reuid={ALICE}", "--regid=1", "--clear-groups", str(program), "-u")
    assert subprocess.check_output(without, text=True) == "0\n"  # so it would be
    tyrant.put("a.ini", shell(f"{program} -u; exec sleep 1000"))
    tyrant.start()
    tyrant.until(lambda: tyrant.vassal_log("a.ini"), "it has said who it is")
    assert tyrant.vassal_log("a.ini") == f"{ALICE}\n"
    tyrant.stop()


def test_no_new_privileges_before_the_first_program(tyrant: TyrantDaemon) -> None:
    """The user's other processes can trace it from then on, and have it run what is set-uid."""
    first = tyrant.folder / "bin"
    first.mkdir()
    says = first / "prlimit"  # stands in for the program that sets its limits
    says.write_text("#!/bin/sh\ngrep -e NoNewPrivs -e Uid /proc/$$/status; exec sleep 1000\n")
    says.chmod(0o755)
    tyrant.environ["PATH"] = f"{first}:{os.environ['PATH']}"
    tyrant.put("a.ini", program("sleep", "1000", nproc="100"))
    tyrant.start()
    tyrant.until(lambda: "Uid" in tyrant.vassal_log("a.ini"), "it says how it runs")
    tyrant.until(lambda: "NoNewPrivs" in tyrant.vassal_log("a.ini"), "it says how it runs")
    said = tyrant.vassal_log("a.ini").split()
    assert said == ["Uid:", *[str(ALICE)] * 4, "NoNewPrivs:", "1"]
    tyrant.stop()


def test_nothing_is_the_users_before_something_is_executed(tyrant: TyrantDaemon) -> None:
    """The user's other processes can stop it from then on, and the daemon waits for its exec."""
    real = shutil.which("setpriv")
    first = tyrant.folder / "bin"
    first.mkdir()
    says = first / "setpriv"
    says.write_text(f'#!/bin/sh\ngrep Uid /proc/$$/status; exec {real} "$@"\n')
    says.chmod(0o755)
    tyrant.environ["PATH"] = f"{first}:{os.environ['PATH']}"
    tyrant.put("a.ini")
    tyrant.start()
    tyrant.phase("a.ini", "ready")
    pid = tyrant.pid_of("a.ini")
    tyrant.until(partial(executes, pid, "sleep"), "it is executed")
    assert status_of(pid)["Uid"] == [str(ALICE)] * 4
    assert tyrant.vassal_log("a.ini").split() == ["Uid:", *["0"] * 4]
    tyrant.stop()


def test_a_vassal_cannot_harm_the_daemon(tyrant: TyrantDaemon) -> None:
    """Nor another vassal, nor read what is the daemon's."""
    tyrant.put("quiet.ini", SLEEPER)
    tyrant.start()
    tyrant.phase("quiet.ini", "ready")
    tries = (f"kill -9 {tyrant.pid}", f"cat {tyrant.journal}", f"cat /proc/{tyrant.pid}/environ")
    tyrant.put("a.ini", shell("; ".join(f"{each} && echo DONE" for each in tries) + "; echo END"))
    tyrant.until(lambda: "END" in tyrant.vassal_log("a.ini"), "it has tried")
    assert "DONE" not in tyrant.vassal_log("a.ini")
    tyrant.stop()


def test_a_program_that_is_a_fifo_holds_up_nobody(tyrant: TyrantDaemon) -> None:
    """Root looks at a program before it is executed; of a FIFO nothing would ever come."""
    os.mkfifo(tyrant.folder / "fifo", 0o777)
    tyrant.put("a.ini", program(str(tyrant.folder / "fifo")))
    tyrant.start()
    reason = tyrant.phase("a.ini", "barred").reason
    assert reason == f"cannot be executed: {tyrant.folder / 'fifo'}: Permission denied"
    tyrant.put("b.ini", SLEEPER, BOB, BOBS)
    tyrant.phase("b.ini", "ready")
    tyrant.stop()


# It leaves processes faster than they can be killed.
IMPOSTOR = """
import os, sys
attempt, at, name = os.environ["EMPERORD_ATTEMPT"].split(".", 2)
os.environ["EMPERORD_ATTEMPT"] = f"{attempt}.{at}.a.ini"
while os.path.exists(sys.argv[1]):
    if os.fork() == 0:
        if os.fork() == 0:
            os.execlp("sleep", "sleep", "0.02")
        os._exit(0)
    os.wait()
"""


def test_who_imitates_anothers_vassal_holds_up_nothing(tyrant: TyrantDaemon) -> None:
    """Descendants are known by a tag, which any program can imitate, and by their user."""
    script = tyrant.folder / "impostor.py"
    script.write_text(IMPOSTOR)
    tyrant.put("a.ini")
    until = tyrant.folder / "until"
    until.touch()
    tyrant.put("b.ini", program("python3", str(script), str(until)), BOB, BOBS)
    tyrant.start()
    for name in ("a.ini", "b.ini"):
        tyrant.phase(name, "ready")
    tyrant.until(lambda: len(tyrant.running_for("a.ini")) > 1, "it is imitated")
    (tyrant.vassals / "a.ini").unlink()
    tyrant.gone("a.ini", patience=5)
    until.unlink()
    tyrant.stop()
