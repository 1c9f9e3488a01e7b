"""``verify``: is the record what was written, and would today's code decide the same?

Damage is in tests/journal/test_damage.py; here are decisions that diverged.
"""

import hashlib
import json
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.daemon.core import fold as fold_module
from emperord.daemon.core import process_moves
from emperord.daemon.core.rules import RULES
from emperord.journal import chain
from emperord.journal.store import Journal
from emperord.replay.main import cli
from emperord.replay.verify import verify
from journal_builder import MONITOR, START, Builder, building, busy_fleet
from support.replaying import asking

run = asking("verify")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "journal.db"
    with building(str(path), snapshot_every=50) as builder:
        busy_fleet(builder, 200, 4)
        builder.event("daemon_stopped")
    return path


@pytest.fixture
def path(pristine: Path, tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    return path


def test_one_line_when_all_is_well(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        seq, head = db.execute("SELECT seq, hash FROM chain WHERE name = 'head'").fetchone()
        (configs,) = db.execute("SELECT count(*) FROM config").fetchone()
        (snapshots,) = db.execute("SELECT count(*) FROM snapshot").fetchone()
    result = run(path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"{path}: verified: {seq} events up to {seq}, {snapshots} snapshots, {configs} configs;"
        f" head {head.hex()}\n"
        "  note: states are not compared: there is no checkpoint, only actions and snapshots\n"
    )


def test_a_journal_without_events(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.open(str(path)).close()
    result = run(path)
    assert result.exit_code == 0
    assert f"verified: 0 events up to 0, 0 snapshots, 0 configs; head {'00' * 32}" in result.stdout


def rebuilt(path: Path, change: Callable[[list[object]], None]) -> None:
    """Change rows and make the chain fit again: the record of another fold."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        previous = bytes(32)
        for row in db.execute("SELECT * FROM event ORDER BY seq").fetchall():
            columns = list(row[:8])
            change(columns)
            previous = chain.link(previous, tuple(columns))
            db.execute(
                "UPDATE event SET kind = ?, monitor = ?, body = ?, actions = ?, hash = ?"
                " WHERE seq = ?",
                (columns[2], columns[3], columns[6], columns[7], previous, columns[0]),
            )
            db.execute("UPDATE snapshot SET hash = ? WHERE seq = ?", (previous, columns[0]))
        db.execute("UPDATE chain SET hash = ? WHERE name = 'head'", (previous,))


def test_other_actions_are_a_divergence(path: Path) -> None:
    def change(columns: list[object]) -> None:
        if columns[0] == 3:
            columns[7] = str(columns[7]).replace("spawn", "reload")

    rebuilt(path, change)
    result = run(path)
    assert result.exit_code == 1
    first, recorded, computed, *_ = result.stdout.splitlines()
    assert first == f"{path}: diverged at event 3 (vassal_added of app000.ini)"
    assert recorded.startswith('  recorded: [{"attempt":3,')
    assert '"do":"reload"' in recorded
    assert '"do":"spawn"' in computed
    assert computed == recorded.replace("recorded", "computed").replace("reload", "spawn")


def test_another_fold_diverges(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {**fold_module.TABLE["vassal_loyal"], "accepting": process_moves.resign}
    monkeypatch.setitem(fold_module.TABLE, "vassal_loyal", row)
    verdict = verify(str(path))
    assert verdict.exit_code == 1
    assert verdict.first is not None
    assert (verdict.first.kind, verdict.first.recorded) == ("vassal_loyal", "[]")
    assert '"do":"stop"' in verdict.first.computed
    assert verdict.strange.keys() <= {50, 100, 150, 200}
    assert not verdict.audit.findings


def test_a_snapshot_that_differs_from_a_full_fold(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (packed,) = db.execute("SELECT fleet FROM snapshot WHERE seq = 100").fetchone()
        lie = zlib.compress(
            zlib.decompress(packed).replace(b'"phase":"', b'"deaths":7,"phase":"', 1)
        )
        db.execute(
            "UPDATE snapshot SET fleet = ?, check_sum = ? WHERE seq = 100",
            (lie, chain.digest(lie)),
        )
    result = run(path)
    assert result.exit_code == 1
    assert "snapshots that differ from a full fold: 100\n" in result.stdout
    assert "  snapshot 100: app000.ini, deaths: recorded 7, computed 0\n" in result.stdout


def test_a_snapshot_of_another_version_is_a_note(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        other = zlib.compress(b'{"seq":"one hundred"}')
        db.execute(
            "UPDATE snapshot SET fleet = ?, check_sum = ? WHERE seq = 100",
            (other, chain.digest(other)),
        )
    result = run(path)
    assert result.exit_code == 0
    assert "note: snapshot 100 is not of this version" in result.stdout


def test_an_event_that_breaks_the_fold_is_reported(path: Path) -> None:
    def change(columns: list[object]) -> None:
        if columns[0] == 120:
            columns[2:4] = ["monitor_failed", None]
            columns[6] = '{"reason":"whose?"}'

    rebuilt(path, change)
    result = run(path)
    assert result.exit_code == 1
    assert "diverged at event 120 (monitor_failed" in result.stdout
    assert "computed: none: event 120 (monitor_failed) cannot be folded" in result.stdout
    assert "note: nothing behind event 120 was folded" in result.stdout
    assert f"version 0.1.0, rules {RULES}, policy: max_starting 100\n" in result.stdout
    state = CliRunner().invoke(cli, ["--journal", str(path), "state"])
    assert state.exit_code in (0, 3)
    for arguments in (["history", "--full"], ["state", "--full"], ["state", "--seq", "121"]):
        result = CliRunner().invoke(cli, ["--journal", str(path), *arguments])
        assert result.exit_code == 3
        assert "event 120 (monitor_failed) cannot be folded by this version" in result.stderr


def test_verify_does_not_send_its_reader_to_verify(path: Path) -> None:
    def change(columns: list[object]) -> None:
        if columns[0] == 120:
            columns[2], columns[6] = "exited", '{"attempt":"seven"}'

    rebuilt(path, change)
    result = run(path)
    assert result.exit_code == 3
    assert "event 120: body of exited does not fit" in result.stdout
    assert "verify" not in result.stdout.replace(str(path), "")


WEIRD = {
    "no vassal": ("spawned", None, None, '{"attempt":1,"pid":1,"start_time":1}'),
    "no monitor": ("vassal_added", "x.ini", None, '{"spec":{"ts":1}}'),
    "neither": ("vassal_added", None, None, '{"spec":{"ts":1}}'),
    "unknown vassal": ("exited", "x.ini", None, '{"attempt":9}'),
    "unknown monitor": ("monitor_recovered", None, "zmq://nowhere", "{}"),
    "huge numbers": (
        "spawned", "app000.ini", None,
        '{"attempt":9223372036854775807,"pid":-1,"start_time":0}',
    ),
    "deadline of nobody": ("deadline_passed", "app000.ini", None, '{"deadline":-1}'),
    "operator and a stranger": ("operator_requested", "x.ini", None, '{"request":"stop"}'),
    "stopped twice": ("daemon_stopped", None, None, "{}"),
}  # fmt: skip


@pytest.mark.parametrize("weird", WEIRD.values(), ids=WEIRD.keys())
def test_well_formed_but_weird_events_never_end_in_a_traceback(
    path: Path, weird: tuple[str, str | None, str | None, str]
) -> None:
    kind, vassal, monitor, body = weird
    with Journal.open(str(path)) as journal:
        row = (journal.seq + 1, journal.last_at + 1, kind, monitor, vassal, None, body, "[]")
        journal.append([row])
    for arguments in (["verify"], ["state"], ["history"], ["events"], ["why", "app000.ini"]):
        result = CliRunner().invoke(cli, ["--journal", str(path), *arguments])
        assert result.exit_code in (0, 1, 3)
        assert isinstance(result.exception, SystemExit | None)


def test_a_newer_event_is_no_damage_but_cannot_be_judged(path: Path) -> None:
    with Journal.open(str(path)) as journal:
        row = (journal.seq + 1, START * 2, "vassal_cloned", MONITOR, "a.ini", None, "{}", "[]")
        journal.append([row])
    result = run(path)
    assert result.exit_code == 3
    assert f"{path}: newer rules: event " in result.stdout
    assert "'vassal_cloned' is not known to this version" in result.stdout
    assert "diverged at" not in result.stdout


def test_config_texts_that_were_left_out_are_a_note(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM config")
    result = run(path)
    assert result.exit_code == 0
    assert "note: it holds no config texts" in result.stdout


def test_a_text_that_no_event_names(path: Path) -> None:
    """It was put there by something else, or the event that announced it was taken away."""
    digests = [chain.digest(text) for text in (b"one", b"two")]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO config VALUES (?, ?)", (digests[0], b"one"))
    result = run(path)
    assert result.exit_code == 3
    assert f"config {digests[0]}: no event names it" in result.stdout
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO config VALUES (?, ?)", (digests[1], b"two"))
    assert "and 1 more: no event names it" in run(path).stdout


def test_while_a_daemon_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(str(path)) as journal:
        builder = Builder(journal, snapshot_every=50)
        busy_fleet(builder, 120, 4)
        result = run(path)
        assert result.exit_code == 0, result.output
        busy_fleet(builder, 300, 4)
        result = run(path)
        assert result.exit_code == 0, result.output
        assert f"verified: {builder.seq} events" in result.stdout


def least(path: Path) -> None:
    """Read, hash and decode every row: the least that a verification has to do."""
    with closing(sqlite3.connect(path)) as connection:
        before = b""
        for row in connection.execute("SELECT * FROM event ORDER BY seq"):
            text = json.dumps(row[:8], ensure_ascii=False)
            before = hashlib.sha256(before + text.encode()).digest()
            json.loads(row[6])
            json.loads(row[7])


def spent(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    began = time.process_time()
    work()
    return time.process_time() - began


def test_it_is_quick(tmp_path: Path) -> None:
    """It verifies some 50,000 events a second, which is twice the least that it has to do.

    Other work on the machine makes both slower.
    """
    path = tmp_path / "journal.db"
    with building(str(path), group=1000) as builder:
        busy_fleet(builder, 20_000, 50)
    times = [(spent(lambda: verify(str(path))), spent(lambda: least(path))) for _ in range(3)]
    verifying, reading = map(min, zip(*times, strict=True))
    assert verifying < 4 * reading
