"""Monitors and journals that the daemon refuses before it starts, in one line each."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.main import rebuild
from emperord.journal.store import Journal, Snapshot
from journal_builder import building
from support.archives import at, cut, write
from support.daemon import Daemon


def refused(daemon: Daemon) -> str:
    """The line of a daemon that cannot start, and ends with exit code 3."""
    daemon.launch()
    assert daemon.wait() == 3, daemon.account()
    (line,) = daemon.log().splitlines()
    assert line.startswith("emperor: ")
    return line


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("monitor", "named"),
    [
        pytest.param("nosuch://x", "nosuch", id="unknown scheme"),
        pytest.param("nosuch://user:geheim@x", "nosuch", id="its password is not shown"),
        pytest.param("", "empty", id="empty"),
        pytest.param("dir://", "dir://", id="no directory"),
        pytest.param("glob://", "glob://", id="no pattern"),
        pytest.param("a\nb.ini", "control character", id="newline"),
    ],
)
def test_a_monitor_that_cannot_be_understood(monitor: str, named: str, tmp_path: Path) -> None:
    with Daemon(tmp_path, monitors=["--", monitor]) as daemon:
        line = refused(daemon)
    assert named in line
    assert "geheim" not in line


def test_a_locked_journal(tmp_path: Path) -> None:
    with Daemon(tmp_path) as first:
        first.start()
        second_home = tmp_path / "second"
        second_home.mkdir()
        with Daemon(second_home) as second:
            second.journal = first.journal
            line = refused(second)
        assert str(first.pid) in line
        assert str(first.journal) in line
        first.stop()
        assert [kind for kind in first.kinds() if kind.startswith("daemon")] == [
            "daemon_started",
            "daemon_ready",
            "daemon_stopping",
            "daemon_stopped",
        ]


def database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()


def torn(path: Path) -> None:
    database(path)
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_text("hello\n"), id="a text"),
        pytest.param(database, id="another database"),
        pytest.param(torn, id="a torn database"),
        pytest.param(lambda path: path.mkdir(), id="a directory"),
    ],
)
def test_a_file_that_is_no_journal(make: Any, tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.state.mkdir()
        make(daemon.journal)
        before = daemon.journal.read_bytes() if daemon.journal.is_file() else None
        assert str(daemon.journal) in refused(daemon) or before is None
        assert (daemon.journal.read_bytes() if daemon.journal.is_file() else None) == before


@pytest.mark.parametrize("options", [(), ("--restore",)], ids=["as it is", "as a copy"])
def test_an_archive_is_left_as_it_is(options: tuple[str, ...], tmp_path: Path) -> None:
    path, file = write(tmp_path / "origin.db"), tmp_path / "state" / "journal.db"
    file.parent.mkdir()
    cut(path, 200, file)
    before = file.read_bytes()
    with Daemon(tmp_path, *options) as daemon:
        line = refused(daemon)
        assert f"{file}: is an archive of a journal, and no event is added to it" in line
        assert "use a copy by 'emperor-ctl backup'" in line
        assert file.read_bytes() == before
        assert not list(file.parent.glob("journal.db?*"))
    said = at(file, 100, tmp_path / "new.db")
    assert (said.exit_code, file.read_bytes()) == (1, before)
    assert "is an archive of a journal" in said.stderr


def test_an_archive_that_a_former_version_went_on_with_is_a_journal(tmp_path: Path) -> None:
    path, file = write(tmp_path / "origin.db"), tmp_path / "state" / "journal.db"
    file.parent.mkdir()
    cut(path, 200, file)
    with building(str(file)) as builder:
        builder.start()
    with Daemon(tmp_path) as daemon:
        daemon.start()
        daemon.stop()


def without_events(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE event")
    connection.close()


def from_elsewhere(path: Path) -> None:
    """An event whose chain fits, but which the fold cannot take."""
    with Journal.open(str(path)) as journal:
        body = '{"reason":"whose?"}'
        at = journal.last_at + 1
        journal.append([(journal.seq + 1, at, "monitor_failed", None, None, None, body, "[]")])


def newer(path: Path) -> None:
    with Journal.open(str(path)) as journal:
        at = journal.last_at + 1
        journal.append([(journal.seq + 1, at, "vassal_cloned", None, None, None, "{}", "[]")])


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        pytest.param(without_events, "no table event", id="no table"),
        pytest.param(from_elsewhere, "(monitor_failed) cannot be folded by this", id="fold"),
        pytest.param(newer, "read it with a newer emperord", id="newer event"),
    ],
)
def test_a_journal_that_it_cannot_go_on_with(
    harm: Callable[[Path], None], named: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.state.mkdir()
        Journal.open(str(daemon.journal)).close()
        harm(daemon.journal)
        line = refused(daemon)
        assert f"{daemon.journal}: " in line
        assert named in line


def test_a_snapshot_of_another_version_is_passed_over(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, snapshot_every=3) as builder:
        builder.start()
        builder.added("a.ini")
    with Journal.open(path) as journal:
        body, at = '{"attempt":3,"pid":1,"start_time":1}', journal.last_at + 1
        row = (journal.seq + 1, at, "spawned", None, "a.ini", 3, body, "[]")
        journal.append([row], snapshot=Snapshot(4, b'{"seq":"four"}'))
        assert rebuild(journal).vassals["a.ini"].pid == 1


def test_restore_needs_a_copy(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--restore") as daemon:
        line = refused(daemon)
    assert f"{daemon.journal} is not there, or is empty, so --restore finds no copy" in line
    assert not daemon.journal.exists()


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("option", "path", "says"),
    [
        ("--journal", "file/j.db", "its folder is a file; give another --journal"),
        ("--journal", "file/x/j.db", "its folder is a file; give another --journal"),
        ("--journal", "/proc/x/j.db", "cannot be opened: No such file or directory; give another"),
        ("--journal", "folder", "cannot be opened: Is a directory; give a file in it"),
        ("--journal", "fifo", "not a regular file; give the --journal of an emperor"),
        ("--journal", "x" * 300, "cannot be opened: File name too long; give another --journal"),
        ("--log-directory", "file", "that is no directory; give another --log-directory, or"),
        ("--log-directory", "file/x", "cannot be kept there: Not a directory; give another --log"),
        ("--log-directory", "/proc/x", "cannot be kept there: No such file or directory; give"),
        ("--control", "file/x", "Not a directory; give another --control"),
        ("--control", "file", "there is a file that is no socket; give another --control"),
        ("--control", "x" * 300, "File name too long; give another --control"),
    ],
)
def test_a_place_where_nothing_can_be_made(
    option: str, path: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with Daemon(tmp_path, option, str(tmp_path / path)) as daemon:
        line = refused(daemon)
    assert str(tmp_path / path) in line
    assert says in line
    assert "Errno" not in line
