"""A short journal of a crash and a removal, and its histories."""

import pytest
from emperord.journal.reading import open_journal
from emperord.replay.histories.history import History
from emperord.replay.histories.recorded import recorded
from journal_builder import Builder, building

TEXT = b"[uwsgi]\n\nmaster = true"  # no newline at its end
BYTES = b"\xff\x00"


def crash(builder: Builder) -> None:
    """Two vassals start. One dies and is started again, the other is removed."""
    builder.start(throttle=5000)
    builder.up("a.ini", TEXT)
    builder.up("my app.ini", BYTES)
    builder.exited("a.ini", code=1, log="Traceback\nImportError")
    builder.event("deadline_passed", "a.ini", deadline=builder.fleet.vassals["a.ini"].deadline)
    builder.removed("my app.ini")
    builder.exited("my app.ini", signal=15)
    builder.event("daemon_stopping", reason="SIGTERM")
    builder.event("daemon_stopped")


@pytest.fixture(scope="session")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of that journal."""
    path = str(tmp_path_factory.mktemp("crash") / "journal.db")
    with building(path) as builder:
        crash(builder)
    return path


@pytest.fixture(scope="session")
def whole(journal: str) -> History:
    """All of it."""
    return _history(journal, 0)


@pytest.fixture(scope="session")
def later(journal: str) -> History:
    """It begins when both vassals are up."""
    return _history(journal, 8)


def _history(journal: str, after: int) -> History:
    with open_journal(journal) as reader:
        return recorded(reader, after, reader.head.seq)
