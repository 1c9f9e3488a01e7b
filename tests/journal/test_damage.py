"""Each kind of damage to the file of a journal is found, and is named."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.journal.errors import JournalError
from emperord.journal.reading import open_journal
from emperord.journal.store import Journal
from emperord.replay.main import cli
from emperord.replay.open_end import OPEN_END
from emperord.replay.verify import verify
from journal_builder import building, busy_fleet
from support.damage import EVENTS, IN_THE_FILE, Harm, refused_by_the_daemon, run_verify, sql
from support.effort import examples


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, EVENTS, 4)
    return path


@pytest.mark.parametrize(("harm", "says"), IN_THE_FILE.values(), ids=IN_THE_FILE.keys())
def test_damage_to_the_file(pristine: Path, tmp_path: Path, harm: Harm, says: list[str]) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    assert run_verify(path)[0] == 0
    harm(path)
    code, text = run_verify(path)
    assert code == 3, text
    for part in says:
        assert part in text


COMMANDS = (
    ["state"], ["history"], ["events"], ["why", "app000.ini"], ["why", "app002.ini"],
    ["show", "app000.ini"], ["diff", "app000.ini"], ["state", "--json"], ["history", "--json"],
    ["events", "--json"], ["state", "--at", "2026-11-24T06:00:20Z"], ["why", "ap000.ini"],
)  # fmt: skip


@pytest.mark.few(20)
@pytest.mark.parametrize("harm", [harm for harm, _ in IN_THE_FILE.values()], ids=IN_THE_FILE)
def test_no_damage_is_a_traceback_to_anybody(pristine: Path, tmp_path: Path, harm: Harm) -> None:
    """The other commands say one line and exit with 3, or tell what they can read."""
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    harm(path)
    for command in COMMANDS:
        result = CliRunner().invoke(cli, ["--journal", str(path), *command])
        assert result.exception is None or isinstance(result.exception, SystemExit), command
        assert result.exit_code in (0, 1, 3), command
        complaint = [line for line in result.stderr.splitlines() if OPEN_END not in line]
        assert len(complaint) == 1 or (not complaint and result.exit_code == 0), result.stderr
    refusal = refused_by_the_daemon(path)
    assert refusal is None or (str(path) in refusal and "\n" not in refusal)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("CREATE TABLE notes (text)", "table 'notes' is none of emperord's"),
        ("CREATE VIEW people AS SELECT vassal FROM event", "view 'people' is none of emperord's"),
        ("CREATE INDEX kinds ON event (kind)", "index 'kinds' is none of emperord's"),
        ("PRAGMA user_version = 7", "somebody set its user_version to 7; emperord leaves it 0"),
    ],
    ids=["table", "view", "index", "user_version"],
)
def test_what_somebody_added_is_a_note(
    pristine: Path, tmp_path: Path, statement: str, said: str
) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    sql(statement)(path)
    code, text = run_verify(path)
    assert code == 0
    assert f"  note: {said}\n" in text
    Journal.open(str(path)).close()


def test_what_is_damaged_twice_is_told_twice_and_counted(pristine: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    sql("UPDATE event SET body = body || ' ' WHERE seq IN (11, 21)")(path)
    sql("UPDATE config SET content = x'00'")(path)
    found = verify(str(path)).audit
    seqs = [finding.seq for finding in found.findings if finding.seq is not None]
    assert seqs == [11, 21]
    assert found.intact_to == 10
    with open_journal(str(path)) as reader:
        assert found.behind == reader.head.seq - 12
    assert found.count > 2


def test_very_much_damage_is_told_in_part(pristine: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    sql("UPDATE event SET body = body || ' '")(path)
    code, text = run_verify(path)
    assert code == 3
    assert text.count("its row is not what was written") == 20
    assert "more like these" in text


def contents(path: Path) -> tuple[object, ...]:
    """All that a reader can learn from a journal."""
    with open_journal(str(path)) as reader:
        rows = list(reader.rows())
        texts = reader.db.execute("SELECT * FROM config ORDER BY digest").fetchall()
        snapshots = reader.db.execute("SELECT * FROM snapshot ORDER BY seq").fetchall()
        return rows, texts, snapshots, reader.anchor, reader.head


def verdict(path: Path) -> int:
    try:
        return verify(str(path)).exit_code
    except JournalError:
        return 3


@pytest.mark.search
def test_no_byte_can_be_flipped_unseen(pristine: Path, tmp_path: Path) -> None:
    """Either it is found, or it is one that no reader ever looks at."""
    path = tmp_path / "journal.db"
    original = pristine.read_bytes()
    expected = contents(pristine)
    found = unseen = 0
    for offset in range(0, len(original), len(original) // examples(600) | 1):
        harmed = bytearray(original)
        harmed[offset] ^= 1 << offset % 8
        path.write_bytes(harmed)
        code = verdict(path)
        if code == 0:
            unseen += 1
            assert contents(path) == expected, f"byte {offset}"
        else:
            assert code == 3, f"byte {offset}"
            found += 1
    assert found > unseen / 4, "most of what was flipped was not in use"
