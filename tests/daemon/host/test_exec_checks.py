"""``exec:`` checks: commands in the world of their vassal, which end in time."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.host import exec_checks, procfs, reap
from emperord.daemon.host.accounts import Accounts
from emperord.daemon.host.exec_checks import ExecChecks
from emperord.daemon.host.process import Process
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support import processes
from support.daemon import Daemon
from support.vassals import shell
from support.waiting import PATIENCE, until


def test_a_program_is_up_when_its_command_says_so(daemon: Daemon, tmp_path: Path) -> None:
    check = """exec:sh -c 'test "$ZONE $EMPERORD_VASSAL" = "a a.ini" && test -e up'"""
    settings = {"ready": check, "directory": str(tmp_path), "environment": "ZONE=a"}
    (daemon.vassals / "a.ini").write_text(shell("exec sleep 1000", **settings))
    daemon.start()
    daemon.event("spawned", "a.ini")
    assert daemon.phase("a.ini", "starting").slot
    (tmp_path / "up").touch()
    daemon.phase("a.ini", "accepting")
    daemon.stop()


def checked(*words: str, seconds: float = 5.0, tyrant: bool = False, over: bool = False) -> bool:
    """Whether a check passes of a vassal that is this process, or of one of uid 4242."""
    user = 4242 if tyrant else None
    spec = Spec(ts=0, settings={"command": "serve"}, uid=user, gid=user)
    vassal = Vassal("a.ini", "dir:///", spec, "ready", 0, 1, attempt=1, running=spec)
    process = Process(vassal, os.getpid(), 0, os.pidfd_open(os.getpid()))
    process.mark = procfs.mark(1, 1, "a.ini")
    policy = Policy(tyrant=tyrant)
    checks = ExecChecks(
        lambda: policy, lambda: None, os.environ, None, {}, lambda _: over, Accounts()
    )
    try:
        return trio.run(checks.passes, process, words, seconds)
    finally:
        os.close(process.pidfd)


CODES = {"0": (0, True), "1": (1, False), "75": (75, False)}


@pytest.mark.parametrize(("code", "passes"), CODES.values(), ids=CODES)
def test_its_exit_code_decides(code: int, passes: bool) -> None:
    assert checked("sh", "-c", f"exit {code}") is passes


def test_a_program_that_is_not_there_does_not_pass() -> None:
    assert not checked("/nowhere/check")


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 1000 & echo $! $$ >{pids}; wait"
    assert not checked("sh", "-c", script, seconds=1.0)
    left = list(map(int, pids.read_text().split()))
    until(lambda: not any(map(processes.alive, left)), "they were killed")


def test_one_whose_vassal_ends_is_killed() -> None:
    began = time.monotonic()
    assert not checked("sleep", "1000", seconds=1000.0, over=True)
    assert time.monotonic() - began < 100


def test_it_has_the_rights_of_the_vassal() -> None:
    check = 'test "$(id -u) $(id -ru) $(id -G)" = "4242 4242 4242"'
    assert checked("sh", "-c", check, tyrant=True)


class _SlowStart(list[str]):
    """The words of a command whose start blocks, as one in a directory that does not answer."""

    def __init__(self, *words: str) -> None:
        super().__init__(words)
        self.begins, self.may_begin = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[str]:
        self.begins.set()
        assert self.may_begin.wait(PATIENCE)
        return super().__iter__()


def test_a_start_that_blocks_holds_up_no_end() -> None:
    words, run = _SlowStart("sleep", "1000"), exec_checks._Run()
    with ThreadPoolExecutor() as pool:
        child = pool.submit(run.begin, words, process_group=0)
        try:
            assert words.begins.wait(PATIENCE)
            pool.submit(run.end).result(PATIENCE)
            assert not child.done()
        finally:
            words.may_begin.set()
        started = child.result(PATIENCE)
    assert started is not None
    with started:
        assert started.wait(PATIENCE) == -signal.SIGKILL


STORM = "i=0; while test $i -lt 10; do {} sleep 2000 & i=$((i+1)); done; echo >> {}"


@pytest.mark.parametrize("leaves", ["", "setsid"], ids=["its children", "in sessions of their own"])
def test_children_that_checks_leave_behind_end_with_them_or_with_the_vassal(
    daemon: Daemon, tmp_path: Path, leaves: str
) -> None:
    """A child in the group of a check ends with that; any other with the vassal."""
    runs = tmp_path / "runs"
    check = f"exec:sh -c '{STORM.format(leaves, runs)}'"
    settings = {"health": check, "health_interval": "1s", "directory": str(tmp_path)}
    path = daemon.vassals / "a.ini"
    path.write_text(shell("exec sleep 1000", **settings))
    daemon.start()
    daemon.until(lambda: runs.exists() and len(runs.read_text()) >= 3, "some checks have run")
    if not leaves:
        daemon.until(lambda: not sleepers(daemon), "they end with their check")
    else:
        daemon.until(lambda: len(sleepers(daemon)) >= 10, "they stay")
    path.unlink()
    daemon.gone("a.ini")
    assert sleepers(daemon) == []
    daemon.stop()


def sleepers(daemon: Daemon) -> list[int]:
    """The processes that checks have left behind."""
    return [pid for pid in daemon.running() if processes.argv_of(pid) == ["sleep", "2000"]]


def test_the_end_of_a_vassal_leaves_the_status_of_its_check() -> None:
    """A check has its vassal's mark. Where it was reaped with it, Popen took it for a success."""
    with ThreadPoolExecutor(1) as thread:
        child = thread.submit(subprocess.Popen, ["sleep", "1000"]).result()
        assert reap._kill_stray(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert reap._kill_stray(child.pid)
        assert thread.submit(child.wait).result() == -signal.SIGKILL


def test_a_check_passes_by_its_code_and_stays_to_be_reaped() -> None:
    child = subprocess.Popen(["false"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    with ThreadPoolExecutor(1) as thread:
        assert not thread.submit(exec_checks._passes_within, child.pid, PATIENCE).result()
        assert child.wait() == 1
        child = thread.submit(subprocess.Popen, ["true"]).result()
        assert thread.submit(exec_checks._passes_within, child.pid, PATIENCE).result()
        assert child.wait() == 0
