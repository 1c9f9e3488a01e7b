"""The journal at a start against the last line of its witness."""

import os
from pathlib import Path

import pytest
from emperord.daemon.startup.witnessed import difference
from emperord.daemon.witness.targets import File, Syslog
from emperord.journal.store import Journal
from emperord.journal.witness import line_of
from journal_builder import Builder

AT = 1_795_500_000_000_000_000


@pytest.fixture
def witness(tmp_path: Path) -> File:
    return File(str(tmp_path / "witness"))


def seen(witness: File, seq: int, hash_: bytes) -> None:
    witness.write(line_of(bytes(32), seq, hash_, AT, "0.2.0", "every").encode())


def test_the_same_and_other_events(
    tmp_path: Path, witness: File, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="emperor")
    with Journal.open(str(tmp_path / "journal.db")) as journal:
        builder = Builder(journal)
        builder.start()
        builder.up("a.ini")
        assert difference(witness, journal) is None  # it knows nothing
        hash_ = journal.hash_of(4)
        assert hash_ is not None
        seen(witness, 4, hash_)
        assert difference(witness, journal) is None
        seen(witness, 5, bytes(32))
        found = difference(witness, journal)
        assert found is not None
        head, reason = found
        assert (head.seq, head.hash) == (5, bytes(32))
        assert reason.startswith("rewritten or rolled back: this file has another event 5")
        seen(witness, 6, bytes(32))
        found = difference(witness, journal)
        assert found is not None
        assert "this file ends with event 5, and event 6 was witnessed" in found[1]
        assert difference(None, journal) is None
        assert "not compared" not in caplog.text
        assert difference(Syslog(), journal) is None
        assert "not compared with its witness, which cannot be read back" in caplog.text


def test_a_line_that_was_cut_is_ended_first(witness: File) -> None:
    seen(witness, 1, bytes(32))
    with open(witness.path, "ab") as file:
        file.write(b'{"identity":"00')
    last = witness.last()
    assert last is not None
    assert last.seq == 1
    seen(witness, 2, bytes(32))
    last = witness.last()
    assert last is not None
    assert last.seq == 2


def test_a_witness_that_cannot_be_read_back_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Journal.open(str(tmp_path / "journal.db")) as journal:
        Builder(journal).start()
        loop = tmp_path / "loop"
        loop.symlink_to(loop)
        assert difference(File(str(loop)), journal) is None
        assert "not compared with its witness: Too many levels of symbolic links" in caplog.text
        assert difference(File(str(folder)), journal) is None
        assert difference(File(str(pipe)), journal) is None
