"""A daemon whose journal is not that of its vassals waits, over kills and upgrades too."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journal_builder import building
from support.estranged import (
    Lose,
    answered,
    beside,
    decide,
    estrange,
    kill_both,
    last_told,
    put_back,
    remove,
    verified,
    waiting,
)
from support.kept import Emperor
from support.vassals import Application
from support.waiting import breathe, until


def remove_log(emperor: Emperor, older: Path) -> None:
    beside(emperor)[0].unlink()


def swap(emperor: Emperor, older: Path) -> None:
    strange = older.with_name("strange.db")
    with building(str(strange)) as builder:
        builder.start()
        builder.added("strange.ini")
    put_back(emperor, strange)


LOSSES = [
    pytest.param(remove, "is not there", id="removed"),
    pytest.param(remove_log, "no events", id="log removed"),
    pytest.param(put_back, "was durable", id="older copy"),
    pytest.param(swap, "is another journal", id="another"),
]


@pytest.mark.few(1)
@pytest.mark.parametrize(("lose", "reason"), LOSSES)
def test_nothing_is_touched_until_somebody_adopts(
    emperor: Emperor, app: Application, tmp_path: Path, lose: Lose, reason: str
) -> None:
    before, last = emperor.environments(), last_told(emperor)
    worker = answered(app)
    estrange(emperor, lose, tmp_path)
    status = emperor.ctl("status")
    assert status.returncode == 3
    assert reason in status.stdout
    assert "emperor-ctl adopt" in status.stdout
    assert emperor.ctl("list").returncode == 0
    stop = emperor.ctl("stop", "plain.ini")
    assert stop.returncode == 1
    assert "emperor-ctl adopt" in stop.stderr
    emperor.send(signal.SIGHUP)
    emperor.until(lambda: "SIGHUP: nothing is done" in emperor.log(), "it was told")
    assert emperor.environments() == before
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    assert answered(app) == worker
    assert emperor.ctl("status").returncode == 0
    adopted = emperor.event("journal_adopted")
    assert (adopted.body["uid"], adopted.body["seq"]) == (os.getuid(), last)
    if reason in ("no events", "is not there"):
        assert adopted.seq == last + 1
    assert f"late.ini: spawned (pid {emperor.pid_of('late.ini')}, taken over)" in emperor.log()
    # They are in its hands: a change reloads in place, a removal stops, a death is known.
    seq = emperor.last_seq()
    (emperor.vassals / "app.ini").write_text(app.config("changed"))
    emperor.event("vassal_accepting", "app.ini", after=seq)
    emperor.until(lambda: answered(app).says == "changed", "it serves its new text")
    assert answered(app).master == worker.master
    (emperor.vassals / "late.ini").unlink()
    emperor.gone("late.ini")
    os.kill(emperor.pid_of("plain.ini"), signal.SIGUSR1)
    assert emperor.event("exited", "plain.ini", after=seq).body["signal"] == signal.SIGUSR1
    verified(emperor)
    emperor.restart()
    emperor.stop()
    verified(emperor)


def test_a_lost_log_pauses_an_idle_daemon_and_a_kill_doubles_nothing(
    emperor: Emperor, app: Application
) -> None:
    """A log that was deleted is saved, as the daemon has it open; one that was cut is not."""
    before, last = emperor.environments(), last_told(emperor)
    remove_log(emperor, emperor.journal)
    emperor.until(lambda: "can be written again" in emperor.log(), "it has saved the events")
    assert "cannot be written: the -wal file is gone; vassals keep running" in emperor.log()
    emperor.restart()
    assert emperor.last_seq() > last
    assert emperor.environments() == before

    os.truncate(beside(emperor)[0], 0)
    emperor.until(lambda: "cannot be written: the -wal file was cut" in emperor.log(), "it pauses")
    status = emperor.ctl("status")
    assert (status.returncode, "the -wal file was cut" in status.stdout) == (3, True)
    (pid,) = emperor.daemons()
    os.kill(pid, signal.SIGKILL)
    emperor.until(lambda: "emperor: estranged: " in emperor.log(), "the next one is estranged")
    assert emperor.environments() == before
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    verified(emperor)
    emperor.stop()


def test_term_ends_daemon_and_keeper_and_the_next_is_estranged_too(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """Programs run on, and no new keeper starts them a second time."""
    plain = emperor.running_for("plain.ini")
    estrange(emperor, remove, tmp_path)
    emperor.send(signal.SIGTERM)
    assert emperor.wait() == 3
    assert "Warning" not in emperor.log()  # as of a socket that was left open
    assert emperor.running_for("plain.ini") == plain
    emperor.launch()
    emperor.until(lambda: emperor.log().count("estranged: ") == 2, "it is estranged again")
    assert emperor.running_for("plain.ini") == plain
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.running_for("plain.ini") == plain
    verified(emperor)
    emperor.stop()


@pytest.mark.parametrize("words", [("adopt",), ("restore", "older.db")], ids=["adopt", "restore"])
def test_a_journal_that_is_copied_over_is_looked_at_first(
    emperor: Emperor, app: Application, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A cp keeps the file that the daemon has open, and the operator is quicker than its look."""
    before = emperor.environments()
    estrange(emperor, put_back, tmp_path)
    strange = tmp_path / "strange.db"
    with building(str(strange)) as builder:
        builder.start()
    inode = emperor.journal.stat().st_ino
    shutil.copyfile(strange, emperor.journal)
    with being_moved(emperor.journal):  # so the daemon waits with its look
        do, *files = words
        refused = emperor.ctl(do, *(str(tmp_path / file) for file in files))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "another program has written to the files" in refused.stderr
        assert emperor.journal.stat().st_ino == inode
        assert emperor.journal.read_bytes() == strange.read_bytes()
    emperor.until(lambda: "is another journal" in emperor.log(), "it looks")
    assert emperor.environments() == before
    decide(emperor, "restore", str(tmp_path / "older.db"))
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    verified(emperor)
    emperor.stop()


@contextmanager
def being_moved(file: Path) -> Iterator[None]:
    """Another process has the file and writes to it."""
    over = threading.Event()

    def touch() -> None:
        while not over.is_set():
            os.utime(file)
            breathe()

    toucher = threading.Thread(target=touch)
    toucher.start()
    try:
        yield
    finally:
        over.set()
        toucher.join()


@pytest.mark.slow
def test_both_were_killed_and_the_journal_is_lost(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """No keeper knows anything any more; the file in the runtime directory does."""
    plain = emperor.running_for("plain.ini")
    kill_both(emperor, tmp_path)
    emperor.launch()
    emperor.until(lambda: "estranged: " in emperor.log(), "it is estranged")
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.running_for("plain.ini") == plain
    emperor.stop()


@pytest.mark.slow
def test_it_stays_so_over_kills_and_upgrades_and_hands_over(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    before = emperor.environments()
    estrange(emperor, remove, tmp_path)

    def again(count: int) -> None:
        emperor.until(lambda: emperor.log().count("estranged: ") == count, "it is estranged")
        assert emperor.environments() == before

    (pid,) = emperor.daemons()
    os.kill(pid, signal.SIGKILL)
    again(2)
    assert emperor.ctl("upgrade").returncode == 0
    again(3)
    emperor.kill()  # the keeper; a successor takes over from a daemon that is estranged
    emperor.launch()
    again(4)
    until(lambda: len(emperor.daemons()) == 1, "the one before has left")
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    verified(emperor)
    emperor.stop()
