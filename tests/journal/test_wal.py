"""The walk through a write-ahead log: a torn end is none of our business, damage is."""

import io
import os
import shutil
import sqlite3
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal import wal

PAGE = 4096
FRAME = PAGE + wal.FRAME_HEADER_SIZE


def start_of(frame: int) -> int:
    return wal.HEADER_SIZE + (frame - 1) * FRAME


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A log that SQLite wrote: some transactions of several frames each."""
    path = tmp_path_factory.mktemp("wal") / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (a)")
        for _ in range(5):
            db.execute("INSERT INTO t VALUES (randomblob(9000))")
        return Path(f"{path}-wal").read_bytes()


def commits(log: bytes) -> list[int]:
    """The frames that end a transaction."""
    count = (len(log) - wal.HEADER_SIZE) // FRAME
    return [
        frame
        for frame in range(1, count + 1)
        if struct.unpack_from(">I", log, start_of(frame) + 4)[0]
    ]


def flip(log: bytes, offset: int) -> bytes:
    changed = bytearray(log)
    changed[offset] ^= 0x40
    return bytes(changed)


def walk(log: bytes, proven: int | None = None) -> wal.Walk:
    return wal.walk(io.BytesIO(log), proven)


def test_a_good_log(written: bytes) -> None:
    found = walk(written)
    assert (found.damage, found.note) == (None, None)
    assert found.committed == found.frames == commits(written)[-1]


@pytest.mark.parametrize(
    ("cut", "frames"),
    [
        pytest.param(lambda log: start_of(commits(log)[-1]), "frames", id="before its commit"),
        pytest.param(lambda log: start_of(commits(log)[-1]) + 10, "part", id="in a frame's header"),
        pytest.param(lambda log: start_of(commits(log)[-1]) + 999, "part", id="in a frame"),
    ],
)
def test_an_unfinished_transaction_at_the_end_is_a_note(
    written: bytes, cut: Callable[[bytes], int], frames: str
) -> None:
    found = walk(written[: cut(written)])
    assert found.damage is None
    assert found.committed == commits(written)[-2]
    assert found.note is not None
    assert frames in found.note
    assert "never acknowledged" in found.note


@pytest.mark.parametrize("where", [0, 1, 4, 8, 12, 16, 20, 24, 2000, FRAME - 1], ids=str)
@pytest.mark.parametrize("frame", [1, 2, 3])
def test_a_flipped_byte_is_damage_and_names_its_frame(
    written: bytes, frame: int, where: int
) -> None:
    found = walk(flip(written, start_of(frame) + where))
    assert found.damage is not None
    assert f"frame {frame} of the write-ahead log" in found.damage
    assert found.committed == max([end for end in commits(written) if end < frame], default=0)


def test_a_bad_frame_in_the_last_transaction_is_damage(written: bytes) -> None:
    last = commits(written)[-1]
    found = walk(flip(written, start_of(last) + 500))
    assert found.damage is not None
    assert f"frame {last} " in found.damage
    assert "lost power" in found.damage


def test_bad_frames_without_a_commit_at_the_end_are_a_note(written: bytes) -> None:
    *_, before, last = commits(written)
    assert last - before > 1
    found = walk(flip(written[: start_of(last)], start_of(last - 1) + 500))
    assert found.damage is None
    assert found.committed == before


def test_what_the_index_proves_cannot_be_missing(written: bytes) -> None:
    *_, before, last = commits(written)
    found = walk(written[: start_of(before + 1)], proven=last)
    assert found.damage is not None
    assert f"breaks off at frame {before + 1}" in found.damage
    assert walk(written, proven=last).damage is None


@pytest.mark.parametrize("where", [0, 7, 9, 17, 21, 25, 31], ids=str)
def test_a_damaged_header(written: bytes, where: int) -> None:
    found = walk(flip(written, where))
    assert found.damage is not None
    assert "header of the write-ahead log" in found.damage


@pytest.mark.parametrize(
    ("log", "note"),
    [(b"", None), (b"\x37\x7f", "ends within its header"), (bytes(9000), "zeros")],
    ids=["empty", "cut header", "zeros"],
)
def test_logs_that_hold_nothing(log: bytes, note: str | None) -> None:
    found = walk(log)
    assert (found.committed, found.damage) == (0, None)
    assert (found.note is None) if note is None else (found.note is not None and note in found.note)


def test_frames_left_from_before_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (a)")
        db.execute("INSERT INTO t VALUES (randomblob(90000))")
        db.execute("PRAGMA wal_checkpoint(RESTART)")
        db.execute("INSERT INTO t VALUES (1)")
        log = Path(f"{path}-wal").read_bytes()
    found = walk(log)
    assert (found.damage, found.note) == (None, None)
    assert 0 < found.committed < (len(log) - wal.HEADER_SIZE) // FRAME


def test_it_agrees_with_sqlite_about_every_byte_that_matters(
    tmp_path: Path, written: bytes
) -> None:
    # SQLite reads what is committed before the first bad frame; so must the walk say.
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (a)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(8):
            db.execute("INSERT INTO t VALUES (?)", [number])
        base = path.read_bytes()
        log = Path(f"{path}-wal").read_bytes()
    for offset in range(0, len(log), 401):
        harmed = tmp_path / "harmed.db"
        harmed.write_bytes(base)
        Path(f"{harmed}-wal").write_bytes(flip(log, offset))
        committed = walk(flip(log, offset)).committed
        with closing(sqlite3.connect(harmed)) as db:
            (rows,) = db.execute("SELECT count(*) FROM t").fetchone()
        assert rows == committed, f"byte {offset}"  # one frame each
        for suffix in ("", "-wal", "-shm"):
            Path(f"{harmed}{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("order", ["little", "big"])
def test_the_checksum_by_the_formats_description(order: str) -> None:
    data = bytes(range(64))
    one = two = 0
    sign = "<" if order == "little" else ">"
    for even, odd in struct.iter_unpack(f"{sign}II", data):
        one = (one + even + two) % 2**32
        two = (two + odd + one) % 2**32
    assert wal.check_sum(data, order) == (one, two)
    halfway = wal.check_sum(data[:24], order)
    assert wal.check_sum(data[24:], order, halfway) == (one, two)


def test_four_megabytes_are_walked_quickly(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("CREATE TABLE t (a)")
        for _ in range(40):
            db.execute("INSERT INTO t VALUES (randomblob(100000))")
        shutil.copy(f"{path}-wal", tmp_path / "log")
    assert os.path.getsize(tmp_path / "log") > 4 << 20
    began = time.process_time()
    with open(tmp_path / "log", "rb") as log:
        found = wal.walk(log)
    assert time.process_time() - began < 1.5
    assert found.damage is None
    assert found.committed == found.frames > 1000
