"""An archive is read as one with its journal: both say what the one said."""

import lzma
import re
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from emperord.daemon.core.fleet import from_json, to_json
from emperord.journal import chain
from emperord.journal.store import Journal
from emperord.replay.verify import verify
from journal_builder import building
from support.archives import CHAOS, NEWEST, content, cut, joined, sql, write


@pytest.mark.parametrize(
    "command",
    [
        "events --until @404",
        "history --json",
        "state --seq 30",
        "show app001.ini --seq 60",
        "blame app001.ini",
        "search turn",
    ],
)
def test_they_answer_as_the_journal_did(
    command: str, journal: Path, pristine: Path, tmp_path: Path
) -> None:
    cut(journal, 200, tmp_path / "old.db")
    expected = joined(pristine, command=command)
    result = joined(tmp_path / "old.db", journal, command=command)
    assert expected.exit_code == result.exit_code == 0
    assert result.stdout == expected.stdout
    assert "old.db" not in result.stderr


@pytest.mark.parametrize("seq", [1, 49, 50, 51, 150, 303])
def test_both_verify_alone_and_together(seq: int, journal: Path, tmp_path: Path) -> None:
    file, before = tmp_path / "old.db", content(journal)
    cut(journal, seq, file)
    head = len(before["event"]) + 1
    for verdict, events in [
        (verify(str(file)), seq),
        (verify(str(journal)), head - seq),
        (verify(str(journal), archives=[str(file)]), head),
    ]:
        assert (verdict.exit_code, verdict.events) == (0, events), verdict.audit.findings
    assert verify(str(file)).open_end is None
    assert (
        sql(file, "SELECT * FROM event") + sql(journal, "SELECT * FROM event WHERE seq < ?", head)
        == (before["event"])
    )
    ((kind, said),) = sql(journal, "SELECT kind, body FROM event WHERE seq = ?", head)
    assert kind == "journal_archived"
    assert re.search(rf'"file":"old.db","first":1,.*"through":{seq},', said)


def test_texts_go_with_the_events_that_name_them_and_shared_ones_are_in_both(
    journal: Path, tmp_path: Path
) -> None:
    file, all_ = tmp_path / "old.db", dict(content(journal)["config"])
    cut(journal, 200, file)
    old, new = dict(content(file)["config"]), dict(content(journal)["config"])
    assert {**old, **new} == all_
    assert old.keys() & new.keys()
    assert [old[each] for each in old.keys() - new.keys()] == [b"[uwsgi]\nold = 1\n"]
    assert b"[uwsgi]\nnew = 1\n" in [new[each] for each in new.keys() - old.keys()]


def test_the_file_gets_smaller(journal: Path, tmp_path: Path) -> None:
    before = journal.stat().st_size
    cut(journal, 300, tmp_path / "old.db")
    assert journal.stat().st_size < 0.6 * before
    assert sql(journal, "PRAGMA freelist_count") == [(0,)]


@pytest.mark.usefixtures("few_stay")
@pytest.mark.parametrize("packed", [CHAOS, NEWEST], ids=["0.1.0", "newest"])
def test_a_journal_of_older_rules_and_one_with_all_kinds_stay_verifiable(
    packed: Path, tmp_path: Path
) -> None:
    path, file = tmp_path / "journal.db", tmp_path / "old.db"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    ((head,),) = sql(path, "SELECT max(seq) FROM event")
    ((fork,),) = sql(path, "SELECT coalesce(min(seq), 9999) FROM event WHERE kind LIKE '%forked'")
    cut(path, min(head // 2, fork - 1), file)
    assert [verify(str(each)).exit_code for each in (file, path)] == [0, 0]
    assert verify(str(path), archives=[str(file)]).exit_code == 0


def test_a_daemons_journal_goes_on(journal: Path, tmp_path: Path) -> None:
    cut(journal, 300, tmp_path / "old.db")
    identity = sql(tmp_path / "old.db", "SELECT hash FROM event WHERE seq = 1")
    with Journal.open(str(journal)) as live:
        assert live.head is not None
        assert [(live.head.identity,)] == identity
    with building(str(journal)) as builder:
        builder.start()
        builder.changed("app001.ini", b"[uwsgi]\nnew = 1\n")
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    assert verify(str(journal), archives=[str(tmp_path / "old.db")]).exit_code == 0


# Several archives


def test_two_in_a_row_are_read_in_any_order(journal: Path, pristine: Path, tmp_path: Path) -> None:
    files = [tmp_path / "1.db", tmp_path / "2.db"]
    cut(journal, 120, files[0])
    cut(journal, 260, files[1])
    command = "events --until @404"
    expected = joined(pristine, command=command).stdout
    for order in ([*files, journal], [journal, *files], [files[1], journal, files[0]]):
        assert joined(*order, command=command).stdout == expected
    assert joined(*files, command="verify").stdout.startswith(f"{files[1]}: verified: 260 events")


def test_one_between_is_missing(journal: Path, tmp_path: Path) -> None:
    cut(journal, 120, tmp_path / "1.db")
    cut(journal, 260, tmp_path / "2.db")
    result = joined(tmp_path / "1.db", journal, command="verify")
    assert result.exit_code == 3
    assert "begins behind event 260" in result.stderr
    assert "ends with event 120; give the archive of the events between them" in result.stderr


def test_estranged_journals_are_not_joined(journal: Path, tmp_path: Path) -> None:
    """A copy went on by itself from the archived part on."""
    file, copy = tmp_path / "old.db", Path(shutil.copy(journal, tmp_path / "copy.db"))
    cut(journal, 200, file)
    rewritten(copy, 150)
    cut(copy, 200, tmp_path / "other.db")
    result = joined(tmp_path / "other.db", journal, command="verify")
    assert result.exit_code == 3
    assert "does not go on from it: event 200 has another hash" in result.stderr
    assert joined(tmp_path / "old.db", journal, command="verify").exit_code == 0


def test_files_that_overlap_are_told_with_their_events(journal: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(journal, tmp_path / "copy.db"))
    ((last,),) = sql(copy, "SELECT max(seq) FROM event")
    cut(journal, 200, tmp_path / "old.db")
    result = joined(tmp_path / "old.db", copy, journal, command="verify")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert f"These do not continue each other: {copy}: events 1 to {last}; " in said
    assert f"; {journal} and its archives: events 1 to {last + 1}" in said


def rewritten(path: Path, seq: int) -> None:
    """Make the chain anew from an event on, whose time is a little later."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE event SET at = at + 1 WHERE seq = ?", (seq,))
        ((before,),) = db.execute("SELECT hash FROM event WHERE seq = ?", (seq - 1,))
        rows = db.execute("SELECT * FROM event WHERE seq >= ?", (seq,)).fetchall()
        for *columns, _ in rows:
            before = chain.link(before, tuple(columns))
            db.execute("UPDATE event SET hash = ? WHERE seq = ?", (before, columns[0]))
            db.execute("UPDATE snapshot SET hash = ? WHERE seq = ?", (before, columns[0]))
        db.execute("UPDATE chain SET hash = ? WHERE name = 'head'", (before,))
        db.execute("DELETE FROM snapshot WHERE seq >= ?", (seq,))  # with that time in them


def test_hosts_are_merged_as_before(journal: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.db", 40)
    cut(journal, 200, tmp_path / "old.db")
    result = joined(journal, other, tmp_path / "old.db", command="events --json")
    assert result.exit_code == 0
    counts = [len(content(each)["event"]) for each in (other, journal, tmp_path / "old.db")]
    assert result.stdout.count('"host":"other"') == counts[0]
    assert result.stdout.count('"host":"journal"') == counts[1] + counts[2]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("state --seq 30", "event 30 is not in this file"),
        ("undo 20", "event 20 is not in this file"),
        ("state --at 2026-11-24T06:00:30Z", "that was before event 201"),
    ],
)
def test_it_names_the_archive(command: str, said: str, journal: Path, tmp_path: Path) -> None:
    cut(journal, 200, tmp_path / "old.db")
    result = joined(journal, command=command)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "look in the archive old.db: give it by another --journal" in result.stderr


def test_undo_names_both(journal: Path, tmp_path: Path) -> None:
    cut(journal, 200, tmp_path / "old.db")
    result = joined(tmp_path / "old.db", journal, command="undo 20")
    assert f"--journal {tmp_path / 'old.db'} --journal {journal} show" in result.stdout


def test_another_fleet_at_the_beginning_is_found(journal: Path, tmp_path: Path) -> None:
    cut(journal, 200, tmp_path / "old.db")
    ((packed,),) = sql(journal, "SELECT fleet FROM snapshot WHERE seq = 200")
    fleet = from_json(zlib.decompress(packed))
    fleet.vassals["app001.ini"].deaths += 1
    packed = zlib.compress(to_json(fleet))
    sql(
        journal,
        "UPDATE snapshot SET fleet = ?, check_sum = ? WHERE seq = 200",
        packed,
        chain.digest(packed),
    )
    verdict = verify(str(journal))
    assert verdict.exit_code == 3
    assert "another fleet than the archive ends with" in str(verdict.audit.findings)
    result = joined(tmp_path / "old.db", journal, command="verify")
    assert result.exit_code == 3
    assert "it begins with another fleet than its archive ends with" in result.stderr
