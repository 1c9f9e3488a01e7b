"""The identity of a journal whose first event is in an archive is guarded as the events are."""

from pathlib import Path

import pytest
from emperord.journal.errors import Damaged
from emperord.journal.store import Journal
from emperord.replay.verify import verify
from support.archives import at, cut, sql

_CHANGE = "UPDATE chain SET {} WHERE name = 'identity'"
HARMS = {
    "gone": ("DELETE FROM chain WHERE name = 'identity'", "has no identity"),
    "no such event": (_CHANGE.format("seq = 100000"), "names event 100000"),
    "an archived event": (_CHANGE.format("seq = 7"), "names event 7"),
    "an event of the file": (_CHANGE.format("seq = 250"), "is not the hash of event 250"),
    "a text": (_CHANGE.format("hash = 'x'"), "has no number or no hash"),
}
OF_A_FILE = pytest.mark.parametrize(("harm", "says"), HARMS.values(), ids=HARMS)


@pytest.fixture
def file(journal: Path, tmp_path: Path) -> Path:
    """The archive of a journal that was cut."""
    cut(journal, 200, tmp_path / "old.db")
    return tmp_path / "old.db"


def found(journal: Path, *archives: Path) -> list[str]:
    findings = verify(str(journal), archives=list(map(str, archives))).audit.findings
    return [each.what for each in findings]


def fork(journal: Path) -> None:
    with Journal.open(str(journal)) as opened:
        body = '{"device":0,"identity":"","inode":0,"path":""}'
        at = opened.last_at + 1
        opened.append([(opened.seq + 1, at, "journal_forked", None, None, None, body, "[]")])


@OF_A_FILE
def test_verify_finds_it(journal: Path, file: Path, harm: str, says: str) -> None:
    assert found(journal) == found(journal, file) == []
    sql(journal, harm)
    (alone,), (both,) = found(journal), found(journal, file)
    assert says in alone
    assert says in both


@pytest.mark.parametrize("which", ["journal", "file"])
def test_files_with_different_identities(journal: Path, file: Path, which: str) -> None:
    """Alone, no event of the file tells which one is right."""
    sql({"journal": journal, "file": file}[which], _CHANGE.format("hash = randomblob(32)"))
    assert found(journal, file)


@OF_A_FILE
def test_no_daemon_goes_on_with_it(journal: Path, file: Path, harm: str, says: str) -> None:
    before = sql(journal, "SELECT * FROM chain ORDER BY name")
    sql(journal, harm)
    with pytest.raises(Damaged, match=f"{says}.*copy that row from its archive"):
        Journal.open(str(journal))
    assert at(journal, 250, file.with_name("more.db")).exit_code != 0
    row = sql(file, "SELECT * FROM chain WHERE name = 'identity'")
    sql(journal, "INSERT OR REPLACE INTO chain VALUES (?, ?, ?)", *row[0])  # as the text says
    assert sql(journal, "SELECT * FROM chain ORDER BY name") == before
    Journal.open(str(journal)).close()


def test_a_copy_that_goes_its_own_way(journal: Path, file: Path) -> None:
    """It has the identity of an event behind its archive. Without the row it has its original's."""
    fork(journal)
    assert found(journal) == found(journal, file) == []
    identity = sql(file, "SELECT seq, hash FROM chain WHERE name = 'identity'")
    sql(journal, _CHANGE.format("seq = ?, hash = ?"), *identity[0])
    assert "is not that of its fork" in found(journal)[0]
    assert "is not that of its fork" in found(journal, file)[0]


def test_archives_of_a_copy_that_goes_its_own_way(journal: Path, file: Path) -> None:
    """They end before the event that gives it the identity."""
    fork(journal)
    cut(journal, 250, file.with_name("more.db"))
    cut(journal, 300, file.with_name("most.db"))
    more, most = file.with_name("more.db"), file.with_name("most.db")
    for last, archives in ((journal, (file, more, most)), (most, (more,)), (most, (file, more))):
        assert found(last, *archives) == []
        assert found(last) == []
