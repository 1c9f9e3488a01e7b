"""A divergence is told with all that helps to judge it, and newer rules are no divergence."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from emperord.daemon.core import fold as fold_module
from emperord.daemon.core import process_moves
from emperord.daemon.core.rules import RULES
from emperord.journal import chain
from emperord.journal.policy import Policy
from emperord.replay.verify import lines, verify
from emperord.version import VERSION
from journal_builder import BOOT, MONITOR, Builder, building, busy_fleet


def start(builder: Builder, version: str, rules: int = RULES) -> None:
    builder.event(
        "daemon_started",
        version=version,
        boot=BOOT,
        pid=100,
        policy=Policy(max_starting=100, mercy=12.0),
        monitors=(MONITOR,),
        rules=rules,
    )


def made(path: Path, version: str) -> int:
    """A journal with 14 events and a stop in its middle; the number of that stop."""
    with building(str(path)) as builder:
        start(builder, version)
        builder.event("daemon_ready")
        for name in ("a.ini", "b.ini", "c.ini"):
            builder.up(name)
        stop = builder.operator("stop", "b.ini")
        builder.exited("b.ini", code=0)
        builder.removed("c.ini")
    return stop


def rewritten(path: Path, seq: int, old: str, new: str) -> None:
    """Change the actions of one event, and make the chain fit again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        sql = "UPDATE event SET actions = replace(actions, ?, ?) WHERE seq = ?"
        assert db.execute(sql, (old, new, seq)).rowcount == 1
        previous = bytes(32)
        for row in db.execute("SELECT * FROM event ORDER BY seq").fetchall():
            previous = chain.link(previous, row[:8])
            db.execute("UPDATE event SET hash = ? WHERE seq = ?", (previous, row[0]))
            db.execute("UPDATE snapshot SET hash = ? WHERE seq = ?", (previous, row[0]))
        db.execute("UPDATE chain SET hash = ? WHERE name = 'head'", (previous,))


def told(path: Path) -> str:
    return "\n".join(lines(str(path), verify(str(path))))


@pytest.mark.parametrize(
    ("version", "judged"),
    [
        (VERSION, f"that is this very version: {VERSION} orders otherwise by these rules"),
        ("0.1.7", f"this is version {VERSION}, which keeps the rules of 0.1.7"),
    ],
    ids=["this version", "another version"],
)
def test_what_is_told(tmp_path: Path, version: str, judged: str) -> None:
    path = tmp_path / "journal.db"
    stop = made(path, version)
    rewritten(path, stop, '"do":"stop"', '"do":"kill"')
    text = told(path)
    assert f"diverged at event {stop} (operator_requested of b.ini)" in text
    assert 'differs: action 1, field \'do\': recorded "kill", computed "stop"' in text
    assert "b.ini was accepting before it, and is stopping after it by this fold" in text
    assert f"decided by version {version}, rules {RULES}, policy: mercy 12.0" in text
    assert judged in text
    assert "journal was rewritten" in text
    assert "no event behind it differs" in text
    assert "the 10 events before it:" in text
    before = text.partition("events before it:\n")[2].splitlines()
    assert [int(line.split()[0]) for line in before[:10]] == list(range(stop - 10, stop))


def test_what_follows_and_what_is_independent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a snapshot the fold goes on as recorded, so what differs there differs by itself."""
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=50) as builder:
        busy_fleet(builder, 200, 4)
    row = {**fold_module.TABLE["vassal_loyal"], "accepting": process_moves.resign}
    monkeypatch.setitem(fold_module.TABLE, "vassal_loyal", row)
    verdict = verify(str(path))
    found = verdict.divergences
    assert found.first is not None
    assert found.follow + found.may_follow + found.independent == found.count - 1
    assert found.follow > 0
    assert found.independent > 0
    assert found.first_independent is not None
    seq, kind, vassal = found.first_independent
    assert seq > found.first.seq // 50 * 50 + 50
    assert f"{found.independent} are independent of it, the first is event {seq}" in told(path)
    assert f"({kind} of {vassal})" in told(path)


def test_one_rewritten_row_leaves_no_trace_behind_a_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=50) as builder:
        busy_fleet(builder, 200, 4)
    rewritten(path, 3, '"do":"spawn"', '"do":"reload"')
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.diverged, verdict.divergences.resumed) == (1, 1, 50)
    assert not verdict.strange


def test_states_that_part_leave_the_outcomes_of_deploys_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=50) as builder:
        busy_fleet(builder, 120, 4)
        builder.event("checkpoint", v=1, digest="0" * 64)
        busy_fleet(builder, 200, 4)
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.audit.count, verdict.states.parted) == (1, 0, 1)


def test_one_missing_row_is_one_finding(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=50) as builder:
        busy_fleet(builder, 400, 20)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM event WHERE seq = 105")
    verdict = verify(str(path))
    assert [finding.what for finding in verdict.audit.findings] == ["event 105 is missing"]
    assert verdict.audit.count == 1


def test_newer_rules_are_no_divergence(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    made(path, VERSION)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        seq, head = db.execute("SELECT seq, hash FROM chain WHERE name = 'head'").fetchone()
        (body,) = db.execute("SELECT body FROM event WHERE seq = 1").fetchone()
        newer = body.replace(f'"rules":{RULES}', f'"rules":{RULES + 1}')
        rows = [
            (seq + 1, 2 * 10**18, "daemon_started", None, None, None, newer, "[]"),
            (seq + 2, 2 * 10**18 + 1, "daemon_ready", None, None, None, "{}", '[{"do":"dance"}]'),
        ]
        for row in rows:
            head = chain.link(head, row)
            db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, head))
        db.execute("UPDATE chain SET seq = ?, hash = ? WHERE name = 'head'", (seq + 2, head))
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.diverged) == (3, 0)
    assert f"newer rules: event {seq + 1}: a daemon decided by version {RULES + 1}" in told(path)
    assert f"the chain is whole up to {seq + 2}" in told(path)
