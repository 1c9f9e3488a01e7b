"""Rows that another program puts before the beginning of an archived journal are no history."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal import chain
from emperord.journal.announcements import NotFound
from emperord.journal.store import Journal
from emperord.replay.verify import verify
from support.archives import ask, cut, joined, sql

ANCHOR = 300
FORGED = b"[uwsgi]\nforged = 1\n"
DIGEST = chain.digest(FORGED)
VASSAL = "app001.ini"


def forge(path: Path, seq: int) -> None:
    """An event with its outcome and its text, as the daemon would have stored them."""
    query = "SELECT body FROM event WHERE kind = 'vassal_changed' AND vassal = ? LIMIT 1"
    ((body,),) = sql(path, query, VASSAL)
    ((at,),) = sql(path, "SELECT min(at) FROM event")
    config = "json_set(?, '$.spec.config', ?)"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            f"INSERT INTO event VALUES (?, ?, 'vassal_changed', 'm', ?, NULL, {config}, '[]', ?)",
            (seq, at - 1000 + seq, VASSAL, body, DIGEST, b"h" * 32),
        )
        db.execute(
            "INSERT INTO deploy VALUES (?, NULL, 'accepting', ?, NULL, NULL, NULL, 1)", (seq, seq)
        )
        db.execute("INSERT INTO config VALUES (?, ?)", (DIGEST, FORGED))


@pytest.fixture
def file(journal: Path, tmp_path: Path) -> Path:
    """The archive of a journal that was cut."""
    cut(journal, ANCHOR, tmp_path / "old.db")
    return tmp_path / "old.db"


SEQS = pytest.mark.parametrize("seq", [ANCHOR, 51, 0, -7])


@SEQS
def test_verify_names_them(journal: Path, file: Path, seq: int) -> None:
    forge(journal, seq)
    alone = [each.what for each in verify(str(journal)).audit.findings]
    both = [each.what for each in verify(str(journal), archives=[str(file)]).audit.findings]
    for found in (alone, both):
        assert any(what.startswith(f"event {seq}: not behind the chain's anchor") for what in found)
        assert any(
            what.startswith(f"deploy {seq}: not behind the chain's anchor") for what in found
        )


def test_a_text_that_no_event_names_is_found_in_the_whole_record(journal: Path, file: Path) -> None:
    """A cut that was killed leaves such texts, so nothing is said of the journal alone."""
    sql(journal, "INSERT INTO config VALUES (?, ?)", DIGEST, FORGED)
    assert verify(str(journal)).audit.findings == []
    (found,) = verify(str(journal), archives=[str(file)]).audit.findings
    assert found.what.startswith(f"config {DIGEST}: no event names it")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        pytest.param(
            "INSERT INTO snapshot SELECT 51, hash, fleet, check_sum FROM snapshot LIMIT 1",
            "snapshot 51: not behind the chain's anchor",
            id="snapshot",
        ),
        pytest.param(
            "INSERT INTO event SELECT 9999, at, kind, monitor, vassal, cause, body, actions, hash"
            " FROM event ORDER BY seq DESC LIMIT 1",
            "behind the chain's head",
            id="event behind the head",
        ),
    ],
)
def test_verify_names_other_rows(journal: Path, file: Path, harm: str, says: str) -> None:
    sql(journal, harm)
    for archives in ([], [str(file)]):
        (found,) = verify(str(journal), archives=archives).audit.findings
        assert says in found.what


def test_verify_names_those_of_the_archive(journal: Path, file: Path) -> None:
    forge(file, 0)
    found = verify(str(journal), archives=[str(file)]).audit.findings
    assert found[0].what.startswith("event 0: not behind the chain's anchor")


@SEQS
@pytest.mark.parametrize("command", ["why", "show", "history", "events", "timeline", "report"])
def test_no_command_tells_them(
    journal: Path, file: Path, tmp_path: Path, command: str, seq: int
) -> None:
    line = f"{command} {VASSAL}" if command in ("why", "show") else command
    before = [ask(journal, *line.split()).output, joined(file, journal, command=line).output]
    forge(journal, seq)
    after = [ask(journal, *line.split()).output, joined(file, journal, command=line).output]
    assert after == before


@SEQS
def test_no_vassal_goes_back_to_them(journal: Path, file: Path, seq: int) -> None:
    query = (
        "SELECT body ->> '$.spec.config' FROM event WHERE vassal = ? AND kind = 'vassal_changed'"
    )
    target = sql(journal, f"{query} ORDER BY seq", VASSAL)[0][0]
    forge(journal, seq)
    with Journal.open(str(journal)) as opened:
        known = opened.announcements
        with pytest.raises(NotFound, match="the journal has no event"):
            known.by_number(VASSAL, seq)
        assert known.by_digest(VASSAL, DIGEST[:12]) == []
        assert known.last_good(VASSAL, None, target) is None
        assert not known.has(VASSAL, DIGEST)
        assert opened.hash_of(seq) != b"h" * 32
        assert opened.time_of(seq) <= 0
        assert opened.begin == ANCHOR
