"""A file of the journal that has another name, too, is not opened by it: SQLite's locks stay."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emperord.daemon.host.vassal_log import LogDirectory, NoLog
from emperord.daemon.witness.targets import File
from emperord.journal.events import Spec
from emperord.journal.locked_files import LockedFile, LockedFiles
from emperord.journal.store import Journal
from emperord.monitors.files.file_state import Unreadable
from emperord.monitors.files.reader import Reader
from emperord.monitors.ldap import url
from emperord.monitors.ldap.credentials import credentials
from emperord.monitors.options import MonitorOptions
from emperord.monitors.polling import SourceFailed
from emperord.monitors.rows import Flaw, Row, seen_of_file
from emperord.monitors.zeromq.endpoint import allowed_keys, read_secret_key
from emperord.monitors.zeromq.monitor import see_file
from support.daemon import Daemon
from support.posix_locks import locks
from support.root import need_root

REASON = "it is a file of the daemon's own journal"
LINKS: dict[str, Callable[[Path, Path], None]] = {
    "symlink": lambda target, link: link.symlink_to(target),
    "hard link": lambda target, link: link.hardlink_to(target),
}
# A program that takes itself for the last one deletes the log when it closes the journal.
READ_AND_CLOSE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT count(*) FROM event").fetchone()
db.close()
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state" / "journal.db"
    with Journal.open(str(path)):
        assert {name for name, _ in locks(path, os.getpid())} == {"journal.db", "journal.db-shm"}
        yield path


@pytest.fixture(params=["journal.db", "journal.db-wal", "journal.db-shm"])
def target(request: pytest.FixtureRequest, journal: Path) -> Path:
    return journal.with_name(request.param)


@pytest.fixture(params=LINKS)
def link(request: pytest.FixtureRequest) -> Callable[[Path, Path], None]:
    return LINKS[request.param]


def of_file(path: Path, options: MonitorOptions) -> str:
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        step = (folder, str(path.parent), path.name)
        state = Reader(options, None).look(path.name, step, None, lambda _: None)
    finally:
        os.close(folder)
    assert isinstance(state, Unreadable)
    return state.reason


def of_roots_file(path: Path, options: MonitorOptions) -> str:
    need_root("own a file that tyrant mode does not read")
    return of_file(path, MonitorOptions(tyrant=True, locked=options.locked))


def of_address(path: Path, options: MonitorOptions) -> str:
    path.rename(f"{path}.socket")
    path.write_text("[uwsgi]\n")
    return of_file(path, MonitorOptions(on_demand_extension=".socket", locked=options.locked))


def of_row(path: Path, options: MonitorOptions) -> str:
    with pytest.raises(Flaw) as caught:
        seen_of_file(Row(str(path), None, 1), options)
    return str(caught.value)


def of_message(path: Path, options: MonitorOptions) -> str:
    with pytest.raises(Flaw) as caught:
        see_file(str(path.parent), path.name, Spec(ts=1), options)
    return str(caught.value)


def of_password(path: Path, options: MonitorOptions) -> str:
    with pytest.raises(SourceFailed) as caught:
        credentials(url.read("ldap", f"h/dc=x????x-bindpw-file={path}"), options.locked)
    return str(caught.value)


def of_secret_key(path: Path, options: MonitorOptions) -> str:
    with pytest.raises(SourceFailed) as caught:
        read_secret_key(str(path), options.locked)
    return str(caught.value)


def of_allowed_keys(path: Path, options: MonitorOptions) -> str:
    path.rename(path.with_suffix(".key"))
    with pytest.raises(OSError, match=REASON) as caught:
        allowed_keys(str(path.parent), options.locked)
    return str(caught.value)


def of_witness(path: Path, options: MonitorOptions) -> str:
    witness = File(str(path), options.locked)
    with pytest.raises(OSError, match=REASON):
        witness.last()
    with pytest.raises(OSError, match=REASON) as caught:
        witness.write(b"{}\n")
    return str(caught.value)


READERS: dict[str, Callable[[Path, MonitorOptions], str]] = {
    "a config": of_file,
    "a config of root's in tyrant mode": of_roots_file,
    "the file with an address": of_address,
    "the file of a row": of_row,
    "the file of a message": of_message,
    "a password": of_password,
    "a secret key": of_secret_key,
    "a public key": of_allowed_keys,
    "a witness": of_witness,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_no_reader_opens_it(
    journal: Path,
    target: Path,
    link: Callable[[Path, Path], None],
    read: Callable[[Path, MonitorOptions], str],
) -> None:
    before = locks(journal, os.getpid())
    folder = journal.parent if read is of_message else journal.parent / "vassals"
    folder.mkdir(exist_ok=True)
    link(target, folder / "a.ini")
    reason = read(folder / "a.ini", MonitorOptions(locked=LockedFiles.of(str(journal))))
    assert REASON in reason
    assert locks(journal, os.getpid()) == before


@pytest.mark.parametrize("owner", [None, (33, 33)], ids=["own", "another user's"])
def test_it_is_no_log(journal: Path, owner: tuple[int, int] | None) -> None:
    before = locks(journal, os.getpid())
    logs = LogDirectory(str(journal.parent / "logs"), 1, locked=LockedFiles.of(str(journal)))
    Path(logs.path("a")).hardlink_to(journal)
    with pytest.raises(NoLog, match=REASON):
        logs.open("a", owner)
    with pytest.raises(LockedFile):
        logs.bound("a")
    assert logs.last_lines("a", 0) == ""
    assert Path(logs.path("a")).samefile(journal)
    assert locks(journal, os.getpid()) == before


class Exchanged:
    """A path that leads to one file when it is asked for first, and to another one then."""

    def __init__(self, first: Path, then: Path) -> None:
        self._names = [str(first), *[str(then)] * 2]

    def __fspath__(self) -> str:
        return self._names.pop(0) if len(self._names) > 1 else self._names[0]


def test_a_descriptor_that_leads_there_after_all_stays_open(journal: Path) -> None:
    """The file was exchanged between the look and the open."""
    before = locks(journal, os.getpid())
    harmless = journal.with_name("harmless")
    harmless.touch()
    with pytest.raises(LockedFile):
        LockedFiles.of(str(journal)).open(Exchanged(harmless, journal), os.O_RDONLY | os.O_CLOEXEC)
    assert locks(journal, os.getpid()) == before


def test_the_journal_is_known_by_a_symlink(journal: Path, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(journal)
    locked = LockedFiles.of(str(tmp_path / "link.db"))
    assert len(locked.ids()) == 3
    with pytest.raises(LockedFile):
        locked.open(f"{journal}-shm", os.O_RDONLY)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_the_journal_is_known_where_it_was_moved_away(journal: Path, suffix: str) -> None:
    """SQLite has it open all the same."""
    moved = journal.with_name("moved")
    Path(f"{journal}{suffix}").rename(moved)
    with pytest.raises(LockedFile):
        LockedFiles.of(str(journal)).open(moved, os.O_RDONLY)


def test_another_file_at_a_path_of_the_journal_is_known(journal: Path) -> None:
    journal.with_name("other").touch()
    journal.with_name("other").rename(f"{journal}-shm")
    with pytest.raises(LockedFile):
        LockedFiles.of(str(journal)).open(f"{journal}-shm", os.O_RDONLY)


def test_other_files_are_opened(journal: Path) -> None:
    locked = LockedFiles.of(str(journal))
    made = journal.with_name("made")
    os.close(locked.open(str(made), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    assert made.exists()
    with pytest.raises(FileNotFoundError):
        locked.open(str(journal.with_name("none")), os.O_RDONLY)


def test_a_daemon_keeps_its_log(daemon: Daemon, link: Callable[[Path, Path], None]) -> None:
    """Another program that closes the journal is not the last one that has it open."""
    daemon.start()
    log = Path(f"{daemon.journal}-wal")
    before, held = log.stat().st_ino, locks(daemon.journal, daemon.pid)
    link(daemon.journal, daemon.vassals / "a.ini")
    rejected = daemon.event("observation_rejected").body
    assert REASON in rejected["reason"]
    subprocess.run([sys.executable, "-c", READ_AND_CLOSE, daemon.journal], check=True)
    assert log.stat().st_ino == before
    assert locks(daemon.journal, daemon.pid) == held
    (daemon.vassals / "a.ini").unlink()
    daemon.stop()


def test_a_journal_among_configs_is_none(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon("--extra-extension", ".db")
    daemon.monitors = [daemon.state]
    daemon.state.mkdir()
    daemon.start()
    rejected = daemon.event("observation_rejected").body
    assert rejected["name"] == "journal.db"
    assert REASON in rejected["reason"]
    assert {name for name, _ in locks(daemon.journal, daemon.pid)} == {
        "journal.db",
        "journal.db-shm",
    }
    daemon.stop()
