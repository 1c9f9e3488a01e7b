"""Losing a journal, and what an estranged daemon is asked then."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from support import processes
from support.kept import Emperor
from support.replaying import asking
from support.vassals import Answer, Application
from support.waiting import until


def backup(journal: Path, copy: Path) -> Path:
    """Copy a journal that is in use, as SQLite does it."""
    with closing(sqlite3.connect(journal)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def beside(emperor: Emperor) -> list[Path]:
    return [emperor.journal.with_name(emperor.journal.name + suffix) for suffix in ("-wal", "-shm")]


def remove(emperor: Emperor, older: Path) -> None:
    for path in (emperor.journal, *beside(emperor)):
        path.unlink()


def put_back(emperor: Emperor, older: Path) -> None:
    remove(emperor, older)
    shutil.copyfile(older, emperor.journal)


Lose = Callable[[Emperor, Path], None]


def verified(emperor: Emperor) -> None:
    result = asking("verify")(emperor.journal)
    assert result.exit_code == 0, result.output


def estrange(emperor: Emperor, lose: Lose, tmp_path: Path) -> None:
    """Lose the journal and the daemon, and wait until the next one says so."""
    (pid,) = emperor.daemons()
    times = emperor.log().count("emperor: estranged: ")
    lose(emperor, tmp_path / "older.db")
    os.kill(pid, signal.SIGKILL)
    emperor.until(lambda: emperor.log().count("emperor: estranged: ") > times, "it is estranged")


def decide(emperor: Emperor, *words: str) -> None:
    seq = emperor.last_seq()
    done = emperor.ctl(*words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    emperor.event("daemon_ready", after=seq)


def last_told(emperor: Emperor) -> int:
    """The last event, of which the keeper has heard.

    The daemon tells it of each event a moment after a reader can see that. An operator's request is
    answered after both.
    """
    asked = emperor.ctl("reopen")
    assert asked.returncode == 0, asked.stderr
    return emperor.last_seq()


def answered(app: Application) -> Answer:
    return until(app.answers, "it serves")


def waiting(emperor: Emperor) -> set[str]:
    """The vassals of which no process is known yet."""
    known = {name for name, vassal in emperor.fleet().vassals.items() if vassal.pid}
    return {"app.ini", "plain.ini", "late.ini"} - known


def lock_of(emperor: Emperor) -> Path:
    return emperor.journal.with_name(emperor.journal.name + ".lock")


def kill_both(emperor: Emperor, tmp_path: Path) -> None:
    """Kill keeper and daemon, and lose the journal."""
    pids = [emperor.pid, *emperor.daemons()]
    for pid in pids:
        processes.kill(pid)
    emperor.kill()
    until(lambda: not any(map(processes.alive, pids)), "both are dead")
    remove(emperor, tmp_path)
