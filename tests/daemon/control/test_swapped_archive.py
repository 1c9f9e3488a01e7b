"""An archive that another program changes after it was verified decides nothing."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from emperord.daemon.control.server import Refused
from emperord.daemon.control.verified_archive import VerifiedArchive
from emperord.journal import archive_file
from emperord.journal.archive_file import LONGEST_STEP, STEP
from emperord.journal.errors import JournalError
from emperord.journal.locked_files import LockedFile, LockedFiles
from emperord.journal.store import Journal
from emperord.journal.times import EventNumber
from emperord.replay import archiving, for_daemon
from journal_builder import building, busy_fleet
from support.archives import content
from support.posix_locks import locks

EVENTS = 4_000
CUT = 3_000


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "journal.db"
    with building(str(path), group=500) as builder:
        busy_fleet(builder, EVENTS, 10)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    return path


@pytest.fixture
def journal(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(pristine, tmp_path / "journal.db"))


def told(journal: Path, file: Path) -> dict[str, Any]:
    """The answer of the process that makes an archive, as its daemon gets it."""
    answer = for_daemon.archive(str(journal), f"@{CUT + 1}", str(file))
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return decoded


@pytest.fixture
def archive(journal: Path, tmp_path: Path) -> Iterator[VerifiedArchive]:
    made = VerifiedArchive.told(told(journal, tmp_path / "old.db"), 0, LockedFiles.of(str(journal)))
    with closing(made):
        yield made


def replace(path: Path) -> None:
    shutil.copy2(path, path.with_name("other"))
    path.with_name("other").replace(path)


def replace_by_link(path: Path) -> None:
    shutil.copy2(path, path.with_name("other"))
    path.unlink()
    path.symlink_to("other")


def remove(path: Path) -> None:
    path.unlink()


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def alter(path: Path) -> None:
    """One fleet is another one, and the file has the times of before."""
    status = path.stat()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE snapshot SET fleet = (SELECT fleet FROM snapshot ORDER BY seq LIMIT 1)")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


HARMS = [replace, replace_by_link, remove, append, alter]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("when", ["before it is opened", "between two steps"])
def test_a_file_that_was_changed_is_refused(
    when: str, harm: Callable[[Path], None], archive: VerifiedArchive
) -> None:
    if when == "between two steps":
        archive.open()
        assert archive.fleet(archive.steps[0])[0] == archive.steps[0]
    harm(Path(archive.path))
    with pytest.raises((Refused, FileNotFoundError)):
        _next(archive, opened=when == "between two steps")


def _next(archive: VerifiedArchive, *, opened: bool) -> None:
    if not opened:
        archive.open()
    archive.fleet(archive.steps[1])


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_link_to_the_journal_is_not_opened(
    link: Callable[[Path, Path], None], archive: VerifiedArchive, journal: Path
) -> None:
    """To close it would end the locks of SQLite."""
    with Journal.open(str(journal)):
        before = locks(journal, os.getpid())
        remove(Path(archive.path))
        link(Path(archive.path), journal)
        with pytest.raises(LockedFile):
            archive.open()
        archive.close()
        assert locks(journal, os.getpid()) == before != set()


def test_a_fleet_that_was_not_verified_is_refused(journal: Path, tmp_path: Path) -> None:
    """Not even in a file that seems to be the one that was verified."""
    found = told(journal, tmp_path / "old.db")
    alter(tmp_path / "old.db")
    found["verified"] = archive_file.Identity.of(os.stat(tmp_path / "old.db"))
    archive = VerifiedArchive.told(found, 0, LockedFiles.of(str(journal)))
    with closing(archive):
        archive.open()
        with pytest.raises(Refused, match="changed or replaced it after it was verified"):
            archive.fleet(archive.steps[-1])


def test_a_step_takes_out_a_few_events(archive: VerifiedArchive, journal: Path) -> None:
    """An append waits for one transaction, so its rows are counted."""
    archive.open()
    assert archive.steps[-1] == CUT
    with Journal.open(str(journal)) as written:
        db, before = written._connection.db, 0
        for seq in archive.steps:
            changes = db.total_changes
            written.cuts.step(archive.fleet(seq))
            few = 20  # the chain, the fleet, and what is known of deploys
            assert db.total_changes - changes <= 2 * (seq - before) + few
            assert seq - before <= LONGEST_STEP
            before = seq
    gaps = [b - a for a, b in zip([0, *archive.steps], archive.steps, strict=False)]
    assert max(gaps) <= STEP  # the fleet is small
    assert len(gaps) == CUT // STEP


def test_a_step_of_texts_looks_at_a_few_events(journal: Path) -> None:
    with Journal.open(str(journal)) as written:
        said: list[str] = []
        written._connection.db.set_trace_callback(said.append)
        written.cuts.drop_texts(["x"], 0)
        looks = [line for line in said if "json_extract" in line]
        most = 500
        assert len(looks) == len(archive_file.NAMING)
        for line in looks:
            begin, end = (int(part.split()[0]) for part in line.partition("seq > ")[2].split("<= "))
            assert end - begin <= most
        said.clear()
        written.cuts.drop_texts(["y"], 0)
        assert not any(f"seq > {EVENTS - 1000}" in line for line in said)


def swap(path: str) -> None:
    replace(Path(path + archive_file.UNFINISHED))
    PUBLISH(path)


PUBLISH = archive_file.publish


@pytest.mark.parametrize("do", ["offline", "daemon"])
def test_a_file_that_is_swapped_before_it_has_its_name_cuts_nothing(
    do: str, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = content(journal)
    monkeypatch.setattr(archive_file, "publish", swap)
    with pytest.raises(JournalError, match="changed or replaced it after it was verified"):
        (told if do == "daemon" else _offline)(journal, tmp_path / "old.db")
    assert content(journal) == kept


def _offline(journal: Path, file: Path) -> None:
    archiving.archive(str(journal), EventNumber(CUT + 1), str(file), lambda *_: None)


def test_a_file_that_others_can_write_to_is_not_gone_on_with(journal: Path, tmp_path: Path) -> None:
    told(journal, tmp_path / "old.db")
    (tmp_path / "old.db").chmod(0o620)
    with pytest.raises(JournalError, match="other users can write to it"):
        told(journal, tmp_path / "old.db")
