"""A path at which no journal is: what writer and reader say, and what they say to do."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal.errors import JournalError
from emperord.journal.reading import open_journal
from emperord.journal.store import Journal

RIGHT = "give the right --journal"
NEW = "give the --journal of an emperor, or a path where nothing is yet"


def text(path: Path) -> None:
    path.write_text("hello\n" * 200)


def short_text(path: Path) -> None:
    path.write_text("hello\n")


def folder(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless_link(path: Path) -> None:
    path.symlink_to(path.name)


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE a (b)")


def in_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


def nothing(path: Path) -> None:
    pass


Case = tuple[Callable[[Path], None], str | None, str]
CASES: list[Case] = [
    (text, f"not an SQLite database; {NEW}", f"not an SQLite database, so not a journal; {RIGHT}"),
    (
        short_text,
        f"not an SQLite database; {NEW}",
        f"not an SQLite database, or cut within its header: 6 bytes; {RIGHT}",
    ),
    (
        folder,
        "cannot be opened: Is a directory; give a file in it",
        "a directory, not a journal; give the file in it",
    ),
    (fifo, f"not a regular file; {NEW}", f"not a regular file, so not a journal; {RIGHT}"),
    (
        endless_link,
        "cannot be opened: Too many levels of symbolic links; give another --journal",
        "cannot be read: Too many levels of symbolic links",
    ),
    (
        other_database,
        f"an SQLite database, but not a journal of emperord; {RIGHT}",
        f"an SQLite database, but not a journal of emperord; {RIGHT}",
    ),
    (
        in_a_file,
        "its folder is a file; give another --journal",
        f"its folder is a file; {RIGHT}",
    ),
    (nothing, None, f"there is no such file; {RIGHT}"),
]


@pytest.mark.parametrize(
    ("make", "written", "read"), CASES, ids=[make.__name__ for make, _, _ in CASES]
)
def test_what_to_do(
    tmp_path: Path, make: Callable[[Path], None], written: str | None, read: str
) -> None:
    path = tmp_path / "state" / "journal.db"
    path.parent.mkdir()
    make(path)
    with pytest.raises(JournalError) as caught, open_journal(str(path)):
        pass
    assert str(caught.value) == f"{path}: {read}"
    if written is not None:
        with pytest.raises(JournalError) as caught:
            Journal.open(str(path))
        assert str(caught.value) == f"{path}: {written}"


def test_only_a_lack_of_rights_is_answered_with_another_directory() -> None:
    """No user can write to /sys, root neither."""
    with pytest.raises(JournalError) as caught:
        Journal.open("/sys/journal.db")
    assert str(caught.value) == (
        "/sys/journal.db: cannot be opened: Permission denied;"
        " give a --journal in a directory that this user may write to"
    )


def test_a_path_that_is_too_long() -> None:
    with pytest.raises(JournalError, match="File name too long; give another --journal"):
        Journal.open("/tmp/" + "a" * 300)  # noqa: S108  # never made
