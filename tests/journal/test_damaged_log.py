"""Each kind of damage to the write-ahead log is found, and is named."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.journal.reading import open_journal
from emperord.journal.store import Journal
from journal_builder import Builder, busy_fleet
from support.damage import EVENTS, Harm, cut, flip_byte, refused_by_the_daemon, run_verify, sql


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three files of a journal whose daemon was killed, everything still in the log."""
    folder = tmp_path_factory.mktemp("left")
    with Journal.open(str(folder / "at-work.db")) as journal:
        busy_fleet(Builder(journal, snapshot_every=20), EVENTS, 4)
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{journal.path}{suffix}", folder / f"journal.db{suffix}")
    return folder / "journal.db"


def frame(number: int, offset: int) -> Callable[[bytes], int]:
    return lambda _: 32 + (number - 1) * (24 + 4096) + offset


def last_commit(log: bytes) -> int:
    """Where the last frame that ends a transaction begins."""
    return max(
        start
        for start in range(32, len(log) - 24, 24 + 4096)
        if struct.unpack_from(">I", log, start + 4)[0]
    )


IN_THE_LOG = {
    "a page in a frame": (
        flip_byte(frame(60, 500), "-wal"), ["frame 60 of the write-ahead log is damaged"]
    ),
    "a frame's header": (
        flip_byte(frame(60, 2), "-wal"), ["frame 60 of the write-ahead log is damaged"]
    ),
    "a frame's salt": (
        flip_byte(frame(60, 9), "-wal"), ["frame 60 of the write-ahead log is damaged"]
    ),
    "the header": (flip_byte(lambda _: 25, "-wal"), ["the header of the write-ahead log"]),
    "the last frame": (
        flip_byte(lambda log: last_commit(log) + 100, "-wal"),
        ["of the write-ahead log is damaged", "lost power"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "without"])
@pytest.mark.parametrize(("harm", "says"), IN_THE_LOG.values(), ids=IN_THE_LOG.keys())
def test_damage_to_the_log(
    left_behind: Path, tmp_path: Path, harm: Harm, says: list[str], index: bool
) -> None:
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm") if index else ("", "-wal"):
        shutil.copy(f"{left_behind}{suffix}", f"{path}{suffix}")
    assert run_verify(path)[0] == 0
    harm(path)
    code, text = run_verify(path)
    assert code == 3, text
    for part in (*says, "what can be saved: "):
        assert part in text


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "without"])
@pytest.mark.parametrize(
    "harm", [harm for harm, _ in list(IN_THE_LOG.values())[:4]], ids=list(IN_THE_LOG)[:4]
)
def test_no_daemon_writes_over_what_it_cannot_read_in_the_log(
    left_behind: Path, tmp_path: Path, harm: Harm, index: bool
) -> None:
    """It would go on from an older event, start what runs already, and destroy the rest."""
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm") if index else ("", "-wal"):
        shutil.copy(f"{left_behind}{suffix}", f"{path}{suffix}")
    harm(path)
    before = Path(f"{path}-wal").read_bytes()
    refusal = refused_by_the_daemon(path) or "not refused"
    assert "of the write-ahead log is damaged" in refusal
    assert "copy the journal away" in refusal
    assert Path(f"{path}-wal").read_bytes() == before
    _, _, way_out = refusal.partition(f"sqlite3 {path} ")
    sql(way_out.strip("'"))(path)
    assert refused_by_the_daemon(path) is None


def test_a_last_transaction_that_a_power_failure_may_have_torn_is_done_without(
    left_behind: Path, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(left_behind, path)
    shutil.copy(f"{left_behind}-wal", f"{path}-wal")
    flip_byte(lambda log: last_commit(log) + 100, "-wal")(path)
    assert refused_by_the_daemon(path) is None
    with open_journal(str(path)) as reader:
        assert reader.head.seq == EVENTS - 1


def test_a_log_cut_between_transactions_is_found_by_its_index(
    left_behind: Path, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{left_behind}{suffix}", f"{path}{suffix}")
    cut(last_commit, "-wal")(path)
    code, text = run_verify(path)
    assert code == 3
    assert "the write-ahead log breaks off at frame" in text


def test_a_transaction_that_was_never_finished_is_a_note(left_behind: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{left_behind}{suffix}", f"{path}{suffix}")
    cut(lambda log: last_commit(log) + 1000, "-wal")(path)
    code, text = run_verify(path)
    assert code == 0, text
    assert "verified" in text
    assert "note: the write-ahead log ends with an unfinished transaction" in text
