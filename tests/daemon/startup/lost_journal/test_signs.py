"""Keeper and daemon have died. A start finds that its journal lacks events all the same."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from support import processes
from support.estranged import backup, beside, decide, last_told, put_back
from support.kept import Emperor
from support.vassals import SLEEPER
from support.waiting import until

from ...conftest import MakeEmperor


@pytest.fixture
def emperor(make_emperor: MakeEmperor, tmp_path: Path) -> Emperor:
    """Two programs run. The journal was copied before the second one, and so was its log."""
    emperor = make_emperor()
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    shutil.copyfile(beside(emperor)[0], tmp_path / "older-wal")
    backup(emperor.journal, tmp_path / "older.db")
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.up("b.ini")
    return emperor


def die(emperor: Emperor, *vassals: int) -> None:
    """Keeper and daemon are killed, and these vassals."""
    pids = [emperor.pid, *emperor.daemons(), *vassals]
    for pid in pids:
        processes.kill(pid)
    emperor.kill()
    until(lambda: not any(map(processes.alive, pids)), "they are dead")


def is_estranged(emperor: Emperor) -> None:
    emperor.until(lambda: "emperor: estranged: " in emperor.log(), "it is estranged")
    assert "was durable" in emperor.ctl("status").stdout


def put_older_log(emperor: Emperor, tmp_path: Path) -> None:
    log, index = beside(emperor)
    shutil.copyfile(tmp_path / "older-wal", log)
    index.unlink()


def test_an_older_log_of_the_same_journal(emperor: Emperor, tmp_path: Path) -> None:
    """Nothing runs any more; the file in the runtime directory tells."""
    last = last_told(emperor)
    die(emperor, *emperor.environments())
    right = tmp_path / "right-wal"
    shutil.copyfile(beside(emperor)[0], right)
    put_older_log(emperor, tmp_path)
    emperor.launch()
    is_estranged(emperor)
    assert emperor.environments() == {}
    log = beside(emperor)[0]
    assert log.read_bytes() == (tmp_path / "older-wal").read_bytes()
    shutil.copyfile(right, tmp_path / "whole-wal")
    (tmp_path / "whole-wal").rename(log)
    emperor.event("daemon_ready", after=last)
    emperor.up("a.ini", "b.ini")
    assert emperor.events("journal_adopted") == []
    emperor.stop()


def forget(emperor: Emperor) -> None:
    """Lose what the runtime directory has."""
    for path in (emperor.folder / "run").glob("*.lock"):
        path.unlink()


@pytest.mark.parametrize("put", [put_back, put_older_log], ids=["journal", "log"])
def test_processes_that_the_journal_has_not_ordered(
    emperor: Emperor, tmp_path: Path, put: object
) -> None:
    """The numbers of their attempts tell, where nothing else does."""
    before = emperor.environments()
    die(emperor)
    forget(emperor)
    if put is put_back:
        put_back(emperor, tmp_path / "older.db")
    else:
        put_older_log(emperor, tmp_path)
    emperor.launch()
    is_estranged(emperor)
    assert emperor.environments() == before
    decide(emperor, "adopt")
    emperor.event("spawned", "b.ini")
    assert emperor.environments() == before
    # It is decided for good, though the numbers are still greater than those of the journal.
    die(emperor)
    forget(emperor)
    emperor.start()
    assert emperor.log().count("emperor: estranged: ") == 1
    assert emperor.environments() == before
    emperor.stop()


def test_the_right_journal_is_known_by_the_time_of_the_event(
    emperor: Emperor, tmp_path: Path
) -> None:
    before, last = emperor.environments(), last_told(emperor)
    die(emperor)
    forget(emperor)
    right = tmp_path / "right"
    right.mkdir()
    for path in (emperor.journal, beside(emperor)[0]):
        shutil.move(path, right)
    put_back_older = tmp_path / "older.db"
    shutil.copyfile(put_back_older, emperor.journal)
    emperor.launch()
    is_estranged(emperor)
    (pid,) = emperor.daemons()
    os.kill(pid, signal.SIGSTOP)
    for path in right.iterdir():
        shutil.move(path, emperor.journal.with_name(path.name))
    os.kill(pid, signal.SIGKILL)
    emperor.event("daemon_ready", after=last)
    assert emperor.environments() == before
    emperor.stop()


def test_an_older_copy_that_is_put_back_after_a_stop_is_gone_on_with(
    emperor: Emperor, tmp_path: Path
) -> None:
    emperor.stop()
    shutil.copyfile(tmp_path / "older.db", emperor.journal)
    seq = emperor.last_seq()
    emperor.start()
    assert emperor.event("daemon_ready", after=seq)
    assert "estranged" not in emperor.log()
    emperor.stop()
