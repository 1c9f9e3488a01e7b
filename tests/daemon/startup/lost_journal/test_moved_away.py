"""A journal that was moved away: the daemon waits for it, and makes none in its place."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.estranged import beside, decide, estrange, last_told, lock_of, verified
from support.kept import Emperor
from support.vassals import Application


def move_directory(emperor: Emperor, away: Path) -> None:
    emperor.state.rename(away)


def move_files(emperor: Emperor, away: Path) -> None:
    away.mkdir()
    for path in (emperor.journal, *beside(emperor), lock_of(emperor)):
        path.rename(away / path.name)


def move_journal(emperor: Emperor, away: Path) -> None:
    away.mkdir()
    emperor.journal.rename(away / emperor.journal.name)


def bring_back(emperor: Emperor, away: Path) -> None:
    if not emperor.state.exists():
        away.rename(emperor.state)
        return
    for path in away.iterdir():
        path.rename(emperor.state / path.name)


MOVES = [
    pytest.param(move_directory, id="directory"),
    pytest.param(move_files, id="all files"),
    pytest.param(move_journal, id="journal.db alone"),
]


@pytest.mark.parametrize("move", MOVES)
def test_a_journal_that_was_away_is_gone_on_with(
    emperor: Emperor, app: Application, tmp_path: Path, move: Callable[[Emperor, Path], None]
) -> None:
    """As after umount and mount: no new journal is made meanwhile, and no operator is needed."""
    before, last, away = emperor.environments(), last_told(emperor), tmp_path / "away"

    def lose(emperor: Emperor, older: Path) -> None:
        move(emperor, away)

    estrange(emperor, lose, tmp_path)
    if move is not move_directory:  # in which the socket is, too
        status = emperor.ctl("status")
        assert (status.returncode, "is not there" in status.stdout) == (3, True)
    assert not emperor.journal.exists()
    bring_back(emperor, away)
    emperor.event("daemon_ready", after=last)
    assert emperor.environments() == before
    assert not list(emperor.state.glob("*.lost-*"))
    assert emperor.ctl("status").returncode == 0
    verified(emperor)
    emperor.stop()


@pytest.mark.parametrize("dies", [False, True], ids=["paused", "estranged"])
@pytest.mark.parametrize("move", MOVES[:2])
def test_no_second_emperor_starts_while_the_journal_is_away(
    emperor: Emperor,
    app: Application,
    tmp_path: Path,
    move: Callable[[Emperor, Path], None],
    dies: bool,
) -> None:
    before, last, away = emperor.environments(), last_told(emperor), tmp_path / "away"

    def lose(emperor: Emperor, older: Path) -> None:
        move(emperor, away)

    if dies:
        estrange(emperor, lose, tmp_path)
    else:
        lose(emperor, tmp_path)
    argv = [*emperor.argv, "--control", str(tmp_path / "other.sock")]
    for environ in (emperor.environ, {**emperor.environ, "RUNTIME_DIRECTORY": "/proc/nowhere"}):
        second = subprocess.run(
            argv, env=environ, check=False, capture_output=True, text=True, cwd=tmp_path
        )
        assert second.returncode == 3
        assert "put the journal back" in second.stderr + second.stdout
    assert not emperor.journal.exists()
    assert emperor.environments() == before
    bring_back(emperor, away)
    if dies:
        emperor.event("daemon_ready", after=last)
    emperor.until(lambda: emperor.ctl("status").returncode == 0, "it goes on")
    assert emperor.environments() == before
    emperor.stop()


def test_the_log_of_a_journal_that_was_given_up_is_kept(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """A young journal has its events in the log only."""
    last, away = last_told(emperor), tmp_path / "away"

    def lose(emperor: Emperor, older: Path) -> None:
        move_journal(emperor, away)

    estrange(emperor, lose, tmp_path)
    decide(emperor, "adopt")
    (log,) = emperor.state.glob("journal.db-wal.lost-*")
    emperor.until(lambda: str(log) in emperor.ctl("status").stdout, "it is told")
    log.rename(away / "journal.db-wal")
    with closing(sqlite3.connect(away / "journal.db")) as journal:
        assert journal.execute("SELECT max(seq) FROM event").fetchone() >= (last,)
    emperor.stop()


def test_a_start_that_is_refused_leaves_no_journal(emperor: Emperor, tmp_path: Path) -> None:
    emperor.start()
    argv = [*emperor.argv, "--control", str(emperor.control), "--journal", str(tmp_path / "b.db")]
    second = subprocess.run(
        argv, env=emperor.environ, check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (second.returncode, "another process listens there" in second.stderr) == (3, True)
    assert [path.name for path in tmp_path.glob("b.db*")] in ([], ["b.db.lock"])
    emperor.stop()
