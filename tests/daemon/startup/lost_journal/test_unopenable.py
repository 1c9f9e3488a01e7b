"""A journal that cannot be opened: the daemon tells why, and goes on once it can."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from journal_builder import building
from support.estranged import backup, estrange, lock_of, remove, verified, waiting
from support.kept import Emperor
from support.vassals import SLEEPER, Application
from support.waiting import until

from ...conftest import MakeEmperor


def make_it_a_directory(journal: Path) -> None:
    journal.mkdir()


def make_it_a_loop(journal: Path) -> None:
    journal.symlink_to(journal.name)


def lead_it_nowhere(journal: Path) -> None:
    journal.symlink_to(journal.parent / "unmounted" / "journal.db")


def write_it_by_a_newer_one(journal: Path) -> None:
    newer = journal.with_name("newer.db")
    with building(str(newer)) as builder:
        builder.start()
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('emperord', '9999_newer', '')"
        )
        connection.commit()
    newer.rename(journal)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("spoils", "reason"),
    [
        pytest.param(make_it_a_directory, "Is a directory", id="a directory"),
        pytest.param(make_it_a_loop, "Too many levels of symbolic links", id="a symlink to itself"),
        pytest.param(lead_it_nowhere, "that directory is not there", id="a symlink to nowhere"),
        pytest.param(write_it_by_a_newer_one, "written by a newer emperord", id="newer"),
    ],
)
def test_a_journal_that_cannot_be_opened_is_told_and_restored(
    emperor: Emperor,
    app: Application,
    tmp_path: Path,
    spoils: Callable[[Path], None],
    reason: str,
) -> None:
    """A daemon that ended and started over and over could not say what is wrong."""
    before = emperor.environments()
    copy = backup(emperor.journal, tmp_path / "whole.db")

    def lose(emperor: Emperor, older: Path) -> None:
        remove(emperor, older)
        spoils(emperor.journal)

    estrange(emperor, lose, tmp_path)
    status = emperor.ctl("status")
    assert status.returncode == 3
    assert reason in status.stdout
    assert emperor.ctl("adopt").returncode == 1
    assert not (emperor.journal.parent / "unmounted").exists()
    assert emperor.environments() == before
    if spoils is lead_it_nowhere:
        refused = emperor.ctl("restore", str(copy))
        assert (refused.returncode, "unmounted: " in refused.stderr) == (1, True)
        (emperor.journal.parent / "unmounted").mkdir()
    done = emperor.ctl("restore", str(copy))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(emperor.ctl("status", "--json").stdout)["estranged"] is None
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    verified(emperor)
    emperor.stop()


def test_a_journal_that_can_be_opened_again_is_gone_on_with(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """As after an error of the disk, or chattr(1), that is mended: no operator is needed."""
    before = emperor.environments()
    lock = emperor.journal.with_name(emperor.journal.name + ".lock")

    def lose(emperor: Emperor, older: Path) -> None:
        lock.unlink()
        lock.mkdir()

    estrange(emperor, lose, tmp_path)
    seq = emperor.last_seq()
    lock.rmdir()
    emperor.event("daemon_ready", after=seq)
    assert "it can be opened again" in emperor.log()
    assert emperor.environments() == before
    assert emperor.ctl("status").returncode == 0
    emperor.stop()


@pytest.fixture
def keeperless(emperor: Emperor, tmp_path: Path) -> Emperor:
    """An estranged daemon that cannot open its journal, and whose keeper has died."""
    (emperor.vassals / "plain.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("plain.ini")
    lock = lock_of(emperor)

    def lose(emperor: Emperor, older: Path) -> None:
        lock.unlink()
        lock.mkdir()

    estrange(emperor, lose, tmp_path)
    emperor.kill()
    emperor.until(lambda: "the keeper died" in emperor.log(), "it says so")
    assert "keeper died since" in emperor.ctl("status").stdout, emperor.ctl("status")
    return emperor


def test_without_a_keeper_it_goes_on_with_a_journal_that_can_be_opened(
    keeperless: Emperor,
) -> None:
    emperor, plain = keeperless, keeperless.running_for("plain.ini")
    (daemon,) = emperor.daemons()
    refused = emperor.ctl("upgrade")
    assert (refused.returncode, "Is a directory" in refused.stderr) == (1, True), refused.stderr
    seq = emperor.last_seq()
    lock_of(emperor).rmdir()
    emperor.event("daemon_ready", after=seq)
    assert emperor.daemons() == [daemon]
    assert "keeper died since" in emperor.ctl("status").stdout
    seq = emperor.last_seq()
    emperor.start()  # it takes over
    until(lambda: daemon not in emperor.daemons(), "the one before has left")
    assert emperor.ctl("status").returncode == 0
    assert emperor.running_for("plain.ini") == plain
    verified(emperor)
    emperor.stop()


def test_an_emperor_takes_over_though_it_cannot_open_the_journal(keeperless: Emperor) -> None:
    """It is estranged as well, and has a keeper."""
    emperor, plain = keeperless, keeperless.running_for("plain.ini")
    (daemon,) = emperor.daemons()
    emperor.launch()
    until(lambda: daemon not in emperor.daemons(), "the one before has left")
    emperor.until(lambda: emperor.log().count("emperor: estranged: ") == 2, "it says so")
    assert "keeper died since" not in emperor.ctl("status").stdout
    seq = emperor.last_seq()
    lock_of(emperor).rmdir()
    emperor.event("daemon_ready", after=seq)
    assert emperor.running_for("plain.ini") == plain
    emperor.stop()


def test_the_socket_is_beside_the_link_to_a_journal(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor()
    emperor.state.mkdir(exist_ok=True)
    emperor.journal.symlink_to(tmp_path / "real.db")
    emperor.start()
    assert emperor.control.exists()
    real = {**os.environ, "EMPEROR_JOURNAL": str(tmp_path / "real.db")}
    link = {**os.environ, "EMPEROR_JOURNAL": str(emperor.journal)}
    argv = [sys.executable, "-m", "emperord.daemon.ctl", "status"]
    assert subprocess.run(argv, env=link, check=False, capture_output=True).returncode == 0
    assert subprocess.run(argv, env=real, check=False, capture_output=True).returncode == 4
    emperor.stop()
