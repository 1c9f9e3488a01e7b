"""The view ``deploys`` and ``history`` say the same, of every history that there is a record of."""

import json
import lzma
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from emperord.daemon.core.actions import recorded
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.daemon.loop.stored_deploys import followed
from emperord.journal import chain, migrations
from emperord.journal.reading import open_journal
from emperord.journal.selection import Filter
from emperord.journal.store import Journal
from emperord.replay.deploys import deploy_record, deploys
from emperord.replay.outcomes import stored
from emperord.replay.verify import verify
from fold.script import Script
from journal_builder import building
from simulation.life import determined
from simulation.script import write
from simulation.world import World

TESTS = Path(__file__).parents[1]
GOLDEN = sorted((TESTS / "fold/golden").glob("**/*.txt"))
LIVES = lzma.decompress((TESTS / "recorded/0.1.0/simulated.jsonl.xz").read_bytes()).splitlines()
Columns = Sequence[Any]


def viewed(path: str) -> list[dict[str, Any]]:
    """The rows of the view."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        cursor = db.execute("SELECT * FROM deploys")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def told(path: str, full: bool = True) -> list[dict[str, Any]]:
    """The records that ``history`` gives; by the events alone if ``full``."""
    with open_journal(path) as reader:
        records = [deploy_record(deploy) for deploy in deploys(reader, Filter(), full)]
    # The view has no column for a vassal that comes back.
    return [
        {key: value for key, value in each.items() if key not in ("removed", "same_as")}
        for each in records
    ]


def same(path: str) -> int:
    """Compare; how many deploys there are."""
    history = told(path)
    assert told(path, full=False) == history
    with open_journal(path) as reader:
        folded = None in list(stored(reader, Filter()))
        # An error of the daemon can change what a vassal is to run: no deploy, so it is folded.
        assert not folded or any(reader.rows(Filter(kinds=("vassal_failed",))))
    view = viewed(path)
    # The view does not tell the author.
    keys = [key for key in history[0] if key != "by"]
    kinds = kinds_of(path)
    assert len(view) == len(history)
    for one, other in zip(view, history, strict=True):
        # It tells what became of a deploy before an operator took that back.
        by_hand = kinds.get(other["outcome_seq"]) == "operator_requested"
        if other["outcome"] == "rolled_back" and by_hand and one["outcome"] != "rolled_back":
            assert one["outcome"] in ("accepting", "running")
            assert one["outcome_seq"] < other["outcome_seq"]
            continue
        assert {key: one[key] for key in keys} == {key: other[key] for key in keys}
    return len(history)


def kinds_of(path: str) -> dict[int | None, str]:
    """The kind of each event, by its number."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT seq, kind FROM event"))


def journal_of(path: Path, rows: Iterable[Columns]) -> str:
    """A journal of these rows, as a version wrote it that kept no outcomes."""
    with Journal.open(str(path)) as journal:
        journal.append([tuple(row) for row in rows])
    return str(path)


def gone_on_with(path: str) -> None:
    """As by a daemon that starts: it finds out what became of former deploys."""
    with Journal.open(path) as journal:
        assert journal.deploys.lacks_rows
        followed(journal)
        assert not journal.deploys.lacks_rows


def golden_rows(text: str, rules: int) -> list[Columns]:
    script = Script(rules)
    for paragraph in text.strip().split("\n\n"):
        for line in paragraph.partition("----")[0].splitlines():
            if line and not line.startswith("#"):
                script.feed(line)
    fleet = Fleet()
    return [
        (
            event.seq, event.at, event.kind, event.monitor, event.vassal, event.cause,
            chain.text(event.body), recorded(fold(fleet, event)),
        )
        for event in script.events
    ]  # fmt: skip


@pytest.mark.few(20)
@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_scripts(tmp_path: Path, golden: Path) -> None:
    rules = 1 if golden.parent.name == "rules1" else RULES
    path = journal_of(tmp_path / "journal.db", golden_rows(golden.read_text(), rules))
    gone_on_with(path)
    assert same(path) > 0
    assert verify(path).exit_code == 0


@pytest.mark.few(10)
@pytest.mark.parametrize("life", range(len(LIVES)))
def test_lives_of_a_former_version(tmp_path: Path, life: int) -> None:
    path = journal_of(tmp_path / "journal.db", json.loads(LIVES[life]))
    gone_on_with(path)
    assert same(path) > 0
    assert verify(path).exit_code == 0


def test_a_real_journal_of_a_former_version(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    packed = TESTS / "recorded/0.1.0/chaos.db.xz"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    gone_on_with(str(path))
    assert same(str(path)) > 100
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.events) == (0, 1163)


@pytest.mark.few(4)
@pytest.mark.parametrize("seed", range(20))
def test_simulated_daemons(tmp_path: Path, seed: int) -> None:
    """As they stored it, killed at any moment and given up at any; and as it is found anew."""
    worlds: list[World] = []

    async def run() -> None:
        worlds.append(World(write(seed)))
        await worlds[0].run()

    with determined(seed):
        trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    disk = worlds[0].disk
    path = journal_of(tmp_path / "anew.db", disk.rows)
    gone_on_with(path)
    count = same(path)
    assert count == len(disk.deploys)
    with Journal.open(str(tmp_path / "stored.db")) as journal:
        journal.append(disk.rows, known=list(disk.deploys.values()))
        assert not journal.deploys.lacks_rows
    assert viewed(str(tmp_path / "stored.db")) == viewed(path)
    assert verify(str(tmp_path / "stored.db")).exit_code == 0  # it compares all columns


# Tables that are wrong or lacking


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A journal with three deploys."""
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.added("b.ini", settings={"command": "false"})  # 6
        builder.spawned("b.ini")
        builder.changed("a.ini", b"two\n")  # 8
    return path


def test_a_plain_program_that_was_reloaded_is_not_judged_by_its_old_process(tmp_path: Path) -> None:
    """The view said ``exited`` where ``history`` said ``running``."""
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.added("a.ini", settings={"command": "sleep 9"})  # 3
        builder.spawned("a.ini")
        builder.changed("a.ini", b"new\n", settings={"command": "sleep 9"})  # 5
        builder.exited("a.ini", after=31, code=1)  # 6
    outcomes = [(each["seq"], each["outcome"], each["outcome_seq"]) for each in viewed(path)]
    assert outcomes == [(3, "running", 4), (5, "running", 5)]
    same(path)


def test_a_daemon_that_starts_goes_on_with_what_is_open(path: str) -> None:
    assert [each["outcome"] for each in viewed(path)] == ["accepting", "running", "pending"]
    with building(path) as builder:  # knows no more than the journal
        builder.accepting("a.ini")  # 9
        builder.exited("b.ini", code=1)  # 10
    assert [(each["outcome"], each["outcome_seq"]) for each in viewed(path)] == [
        ("accepting", 5), ("died", 10), ("accepting", 9)
    ]  # fmt: skip
    same(path)


@pytest.mark.parametrize(
    ("harm", "seq"),
    [
        ("UPDATE deploy SET outcome = 'accepting' WHERE seq = 6", 6),
        ("UPDATE deploy SET outcome_seq = 4 WHERE seq = 3", 3),
        ("UPDATE deploy SET previous = 'x' WHERE seq = 8", 8),
        ("DELETE FROM deploy WHERE seq = 8", 8),
        ("INSERT INTO deploy VALUES (5, NULL, 'died', 5, NULL, NULL, NULL, 1)", 5),
        ("INSERT INTO deploy VALUES (99, NULL, 'pending', NULL, NULL, NULL, NULL, 0)", 99),
        ("UPDATE deploy SET attempt = 4 WHERE seq = 3", 3),
        ("UPDATE deploy SET ordered = NULL WHERE seq = 3", 3),
        ("UPDATE deploy SET trial = 1 WHERE seq = 6", 6),
        ("UPDATE deploy SET settled = 1 WHERE seq = 8", 8),
        ("DELETE FROM deploy WHERE seq = 3", 3),
    ],
)
def test_a_row_that_was_changed_is_found(path: str, harm: str, seq: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(harm)
    verdict = verify(path)
    assert verdict.exit_code == 3
    (finding,) = verdict.audit.findings
    assert (finding.seq, finding.what.split(":")[0]) == (seq, f"deploy {seq}")
    assert told(path, full=False) == told(path)  # as by the events, not as by that row
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM deploy")  # as the page on damage says
    gone_on_with(path)
    assert verify(path).exit_code == 0
    same(path)


def test_the_loss_of_the_first_row_hides_no_other(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE deploy SET outcome = 'rolled_back'")
        db.execute("DELETE FROM deploy WHERE seq = 3")
    assert [each.what for each in verify(path).audit.findings] == [
        "deploy 3: its outcome is missing",
        "deploy 6: its outcome is not what follows from the events",
        "deploy 8: its outcome is not what follows from the events",
    ]
    gone_on_with(path)
    assert verify(path).exit_code == 0


def test_a_damaged_event_keeps_no_daemon_from_starting(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM deploy")
        db.execute("UPDATE event SET body = '{' WHERE seq = 3")
    with Journal.open(path) as journal:
        assert followed(journal).open == {}
        journal.append(
            [(9, journal.last_at + 1, "vassal_removed", "m", "a.ini", None, "{}", "[]")],
            known=[(9, None, "stopped", 9, None, None, None, True)],
        )
    assert "no outcome of a deploy up to event 8 is stored: " in caplog.text
    assert [each["seq"] for each in viewed(path)] == [9]


def test_a_journal_of_the_version_before_is_read_and_verifies(path: str) -> None:
    before = told(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP VIEW deploys")
        db.execute("DROP TABLE deploy")
        for statement in migrations.statements("0002_deploys"):
            db.execute(statement)
        db.execute("DELETE FROM _sqlite_migrations WHERE name > '0003_events'")
    assert told(path) == before
    assert verify(path).exit_code == 0
    gone_on_with(path)
    same(path)
    assert verify(path).exit_code == 0
