"""``verify --since-verified FILE``: decisions that were compared before are not folded again."""

import json
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.core.fleet import from_json, to_json
from emperord.journal import chain
from emperord.replay import segments, since_verified, tickets
from emperord.replay.segment import folded
from journal_builder import building, busy_fleet
from support.damage import EVENTS, IN_THE_FILE, Harm, rewrite, sql
from support.replaying import asking

verify = asking("verify")
Folded = list[tuple[int, int]]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("since") / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, EVENTS, 4)
    return path


@pytest.fixture
def journal(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(pristine, tmp_path / "journal.db"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "verified.json"


@pytest.fixture(autouse=True)
def work(monkeypatch: pytest.MonkeyPatch) -> Folded:
    """The segments that were folded by the quick way."""
    made: Folded = []

    def noted(reader: Any, begin: int, end: int, outcomes: bool) -> Any:
        made.append((begin, end))
        return folded(reader, begin, end, outcomes)

    monkeypatch.setattr("emperord.replay.segments.folded", noted)
    monkeypatch.setattr(segments, "LONG", 10)
    monkeypatch.setattr(segments, "SEGMENT", 20)
    monkeypatch.setattr(tickets, "MOST", 1)
    return made


def run(journal: Path, mark: Path) -> tuple[int, str]:
    result = verify(journal, "--since-verified", str(mark))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def findings(output: str) -> set[str]:
    return {line for line in output.splitlines() if line.startswith("  ") and "note:" not in line}


def test_the_next_run_folds_the_end_only(journal: Path, mark: Path, work: Folded) -> None:
    code, output = run(journal, mark)
    assert code == 0
    assert f"{journal}: verified: {EVENTS} events" in output
    assert sorted(work) == [(0, 20), (20, 40), (40, EVENTS)]
    for _ in range(3):
        work.clear()
        code, output = run(journal, mark)
        assert code == 0, output
        assert f"{journal}: chain verified: {EVENTS} events up to {EVENTS}, 3 snapshots" in output
        assert "  decisions verified from event 41 on; those up to event 40 were compared" in output
        assert work == [(40, EVENTS)]


def test_without_the_option_all_is_folded(journal: Path, mark: Path, work: Folded) -> None:
    run(journal, mark)
    work.clear()
    assert f"{journal}: verified: " in verify(journal).output
    assert len(work) == 3


def test_the_mark_goes_on_with_the_journal(tmp_path: Path, mark: Path, work: Folded) -> None:
    path = tmp_path / "growing.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, 60, 4)
    run(path, mark)
    first = json.loads(mark.read_text())
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, 150, 4)
        head = builder.seq
    work.clear()
    assert run(path, mark)[0] == 0
    assert min(work)[0] == first["seq"]
    second = json.loads(mark.read_text())
    assert second["seq"] == max(work)[0] >= 120
    assert second["begun"] == first["begun"]
    assert second["until"] > first["until"]
    work.clear()
    assert "were compared from " in run(path, mark)[1] or second["until"] // 10**9 == (
        second["begun"] // 10**9
    )
    assert work == [(second["seq"], head)]


def archive(path: Path, seq: int) -> None:
    """Cut off the events up to ``seq``, as an archive does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "UPDATE chain SET (seq, hash) = (SELECT seq, hash FROM event WHERE seq = ?)"
            " WHERE name = 'anchor'",
            (seq,),
        )
        db.execute("DELETE FROM snapshot WHERE seq < ?", (seq,))
        for table in ("event", "deploy"):
            db.execute(f"DELETE FROM {table} WHERE seq <= ?", (seq,))


def test_the_rest_of_a_journal(tmp_path: Path, mark: Path, work: Folded) -> None:
    path = tmp_path / "rest.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, 150, 4)
    run(path, mark)
    archive(path, 40)
    code, output = run(path, mark)
    assert code == 0, output
    assert "all events were folded" in output
    assert "were moved to an archive" in output
    work.clear()
    code, output = run(path, mark)
    assert code == 0, output
    assert "chain verified" in output
    assert len(work) == 1
    archive(path, 140)  # behind the mark
    code, output = run(path, mark)
    assert code == 0, output
    assert "chain verified" not in output


def test_json(journal: Path, mark: Path) -> None:
    first = json.loads(verify(journal, "--since-verified", str(mark), "--json").stdout)
    assert (first["verdict"], first["since_verified"]) == ("verified", None)
    second = json.loads(verify(journal, "--since-verified", str(mark), "--json").stdout)
    assert second["verdict"] == "verified_since"
    assert second["since_verified"]["seq"] == 40
    same = {"since_verified", "verdict"}
    assert {key: second[key] for key in second.keys() - same} == {
        key: first[key] for key in first.keys() - same
    }


# Findings


@pytest.mark.few(12)
@pytest.mark.parametrize("harm", [harm for harm, _ in IN_THE_FILE.values()], ids=IN_THE_FILE)
def test_damage_before_the_mark_is_told_as_without_one(
    journal: Path, mark: Path, harm: Harm
) -> None:
    run(journal, mark)
    kept = mark.read_bytes()
    harm(journal)
    whole = verify(journal)
    assert whole.exit_code == 3
    code, output = run(journal, mark)
    assert code == 3
    assert findings(whole.output) - findings(output) == set()
    assert mark.read_bytes() == kept


def fleet_that_differs(path: Path) -> None:
    """A snapshot before the mark has another fleet, and the checksum of that."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        ((packed,),) = db.execute("SELECT fleet FROM snapshot WHERE seq = 20")
        fleet = from_json(zlib.decompress(packed))
        fleet.starting += 1
        packed = zlib.compress(to_json(fleet))
        db.execute(
            "UPDATE snapshot SET fleet = ?, check_sum = ? WHERE seq = 20",
            (packed, chain.digest(packed)),
        )


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (fleet_that_differs, "snapshots that differ from a full fold: 20"),
        (
            sql("UPDATE deploy SET outcome = 'barred' WHERE seq = (SELECT min(seq) FROM deploy)"),
            "its outcome is not what follows",
        ),
        (sql("DELETE FROM deploy WHERE seq = (SELECT min(seq) FROM deploy)"), "deploy"),
        (
            sql("UPDATE deploy SET outcome = 'barred' WHERE seq = (SELECT max(seq) FROM deploy)"),
            "its outcome is not what follows",
        ),
        (sql("DELETE FROM snapshot WHERE seq = 20"), ""),
    ],
    ids=["snapshot", "outcome", "no outcome", "outcome behind the mark", "no snapshot"],
)
def test_what_is_not_in_the_chain_is_compared(
    journal: Path, mark: Path, harm: Harm, said: str
) -> None:
    run(journal, mark)
    harm(journal)
    whole = verify(journal)
    code, output = run(journal, mark)
    assert code == whole.exit_code
    assert said in output
    assert findings(output) == findings(whole.output)
    assert "chain verified" not in output


def test_a_snapshot_at_the_mark_that_is_anothers(journal: Path, mark: Path) -> None:
    """Someone who can write the file's digest of the tables cannot choose the fleet."""
    run(journal, mark)
    told = json.loads(mark.read_text())
    mark.write_text(json.dumps({**told, "fleet": "00" * 32}))
    code, output = run(journal, mark)
    assert code == 0
    assert f"{journal}: verified: " in output


def test_a_journal_that_was_rewritten(journal: Path, mark: Path) -> None:
    run(journal, mark)

    def change(columns: list[object]) -> None:
        at = columns[1]
        assert isinstance(at, int)
        columns[1] = at + 1

    rewrite(journal, change)
    code, output = run(journal, mark)
    assert code == 3
    assert f"rewritten or rolled back: {mark} has event 40 with the hash" in output


def test_a_journal_that_was_rolled_back(tmp_path: Path, journal: Path, mark: Path) -> None:
    run(journal, mark)
    older = tmp_path / "older.db"
    with building(str(older), snapshot_every=20) as builder:
        busy_fleet(builder, 30, 4)
    assert verify(older).exit_code == 0
    code, output = run(older, mark)
    assert code == 3
    assert "rewritten or rolled back" in output


# The file


def test_what_another_program_compared_is_folded_again(
    journal: Path, mark: Path, work: Folded, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(journal, mark)
    work.clear()
    monkeypatch.setattr(since_verified, "source_digest", lambda: "another")
    code, output = run(journal, mark)
    assert code == 0
    assert f"{journal}: verified: " in output
    assert "all events were folded, also those up to 40: they were compared by another" in output
    assert len(work) == 3
    assert "chain verified" in run(journal, mark)[1]


def test_a_program_without_source_keeps_no_mark(
    journal: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(since_verified, "source_digest", lambda: "")
    assert run(journal, mark)[0] == 0
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"my thesis\n", b"{}", b'{"format": "another"}'])
def test_a_file_of_another_kind_stays(journal: Path, mark: Path, content: bytes) -> None:
    mark.write_bytes(content)
    code, output = run(journal, mark)
    assert code == 3
    assert "not a file of 'verify --since-verified'" in output
    assert mark.read_bytes() == content


def test_a_file_that_cannot_be_written(journal: Path, tmp_path: Path) -> None:
    code, output = run(journal, tmp_path / "nowhere" / "verified.json")
    assert code == 3
    assert "cannot be written" in output


def test_a_short_journal_has_no_mark(
    journal: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "LONG", 50_000)
    code, output = run(journal, mark)
    assert code == 0
    assert "not written: only a journal of 50,000 events" in output
    assert not mark.exists()
