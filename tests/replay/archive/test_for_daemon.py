"""The process that makes archives and copies for a daemon: what it finds in their directory."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest
from crash.ground import mounted
from emperord.journal.errors import JournalError
from emperord.replay import for_daemon
from journal_builder import building, busy_fleet
from support.root import need_root
from support.tyrant import ALICE, ALICES

CUT: Final = 200


def archived(journal: Path) -> str:
    return str(for_daemon.archive(str(journal), f"@{CUT + 1}", None)["archive"])


def test_a_copy_in_the_directory_is_no_archive(tmp_path: Path) -> None:
    path, folder = tmp_path / "journal.db", tmp_path / "journal.db.archives"
    folder.mkdir()
    with building(str(path)) as builder:
        busy_fleet(builder, 100, 4)
        for_daemon.backup(str(path), str(folder / "0.db"))
        busy_fleet(builder, 400, 4)
    assert archived(path) == f"{folder}/1-{CUT}.db"
    assert sorted(os.listdir(folder)) == ["0.db", f"1-{CUT}.db"]


def test_an_archive_of_a_run_that_was_ended_is_gone_on_with(journal: Path) -> None:
    file = archived(journal)
    renamed = Path(file).rename(Path(file).with_name("a.db"))
    assert archived(journal) == str(renamed)


def test_nothing_is_removed_where_a_tenant_decides(journal: Path, tmp_path: Path) -> None:
    need_root("give a directory to another user")
    theirs, other = tmp_path / "theirs", tmp_path / "other"
    theirs.mkdir()
    other.mkdir()
    theirs.chmod(0o755)
    moved = Path(shutil.move(journal, theirs / "journal.db"))
    os.chown(theirs, ALICE, ALICES)
    unfinished = other / "foo.db.unfinished"
    unfinished.write_text("root's")
    (theirs / "journal.db.archives").symlink_to(other)
    with pytest.raises(JournalError, match="root writes no file"):
        archived(moved)
    assert unfinished.read_text() == "root's"


def test_a_copy_needs_room_for_the_journal_alone(tmp_path: Path) -> None:
    """The log keeps the size of its longest time."""
    path = tmp_path / "journal.db"
    with (
        mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "tmpfs") as disk,
        building(str(path), group=500) as builder,
    ):
        log = path.with_name("journal.db-wal")
        builder.start()
        turn = 0
        while log.stat().st_size < 2 << 20:
            turn += 1
            builder.added(f"{turn}.ini")
            builder.flush()
        assert path.stat().st_size < 700 << 10
        assert for_daemon.backup(str(path), str(disk.path / "copy.db"))["first"] == 1
