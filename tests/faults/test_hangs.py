"""A disk that hangs: an append does not come back, and the kernel gives no error."""

import contextlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.journal.store import Journal
from support.kept import Emperor
from support.vassals import SLEEPER
from support.waiting import until

from .plan import HANG, Plan, compiled

_WAL = ("daemon fsync state/journal.db-wal",)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Plan]:
    made = Plan(compiled(tmp_path), tmp_path / "plan", tmp_path)
    yield made
    made.clear()


@pytest.fixture
def emperor(tmp_path: Path, plan: Plan) -> Iterator[Emperor]:
    """One with a vassal that is ready."""
    with Emperor(tmp_path, "--freq", "0.2", environ=plan.environ) as started:
        (started.vassals / "a.ini").write_text(SLEEPER)
        started.start()
        started.phase("a.ini", "ready")
        yield started


def told(emperor: Emperor) -> None:
    emperor.until(lambda: "paused: " in emperor.log(), "it says that it is paused")
    assert "a write has not come back" in emperor.log()


def test_an_append_that_hangs_is_a_pause_with_its_reason(emperor: Emperor, plan: Plan) -> None:
    seq = emperor.last_seq()
    plan.strike(_WAL, 0, HANG)
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    told(emperor)
    done = emperor.ctl("status", "--json")
    status = json.loads(done.stdout)
    assert done.returncode == 3
    assert "a write has not come back for 5 s" in status["paused"]
    assert (status["seq"], status["vassals"]) == (seq, {"ready": 1})
    assert status["unrecorded"] > 0
    assert "a.ini" in emperor.ctl("list").stdout
    refused = emperor.ctl("stop", "a.ini")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "a write has not come back" in refused.stderr
    plan.clear()
    emperor.phase("b.ini", "ready")
    assert "can be written again" in emperor.log()
    assert emperor.log().count("paused: ") == 1
    assert json.loads(emperor.ctl("status", "--json").stdout)["paused"] is None
    emperor.stop()


def test_a_request_whose_own_append_hangs_is_not_refused(emperor: Emperor, plan: Plan) -> None:
    """It is recorded when the disk comes back, so no client may be told that it never will be."""
    plan.strike(_WAL, 0, HANG)
    argv = [*(sys.executable, "-m", "emperord.daemon.ctl"), "--control", str(emperor.control)]
    with subprocess.Popen([*argv, "stop", "a.ini"], text=True, stdout=subprocess.PIPE) as asking:
        told(emperor)
        assert asking.poll() is None
        plan.clear()
        assert asking.wait(20) == 0
    emperor.phase("a.ini", "held")
    emperor.stop()


def test_asked_twice_while_an_append_hangs_it_leaves_at_once(emperor: Emperor, plan: Plan) -> None:
    pid = emperor.pid_of("a.ini")
    plan.strike(_WAL, 0, HANG)
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    told(emperor)
    assert emperor.insist() == 3
    assert plan.struck > 0
    assert emperor.running() == [pid]
    plan.clear()
    emperor.start()
    emperor.phase("b.ini", "ready")
    assert emperor.pid_of("a.ini") == pid
    emperor.stop()


def test_a_journal_in_which_an_append_hangs_is_not_let_go(tmp_path: Path) -> None:
    """Nor does the close hang: another writer waits for the end of this process."""
    path = tmp_path / "journal.db"
    journal = Journal.open(str(path))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        row = (1, 1, "daemon_ready", None, None, None, "{}", "[]")
        append = threading.Thread(target=journal.append, args=([row],))
        append.start()
        until(lambda: journal._connection.in_use.locked(), "it waits")
        journal.close()
        assert append.is_alive()
        other.execute("ROLLBACK")
    append.join()
    assert journal.hash_of(1) is not None
    journal.close()
