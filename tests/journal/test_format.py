"""The format: migrations that are recorded, bodies that can be old, and what is newer than us."""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from emperord.daemon.loop.stored_deploys import followed
from emperord.journal import decoding, events, migrations, schema
from emperord.journal.errors import NewerFormat, UnreadableEvent
from emperord.journal.reading import open_journal
from emperord.journal.store import Journal
from journal_builder import building
from sqlite_utils import Database


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("app.ini", b"one\n")
        builder.changed("app.ini", b"two\n")
        builder.exited("app.ini", code=1)
        builder.removed("app.ini")
    return path


def test_migrations_are_recorded_where_sqlite_utils_looks(path: str) -> None:
    db = Database(path)
    applied = migrations.migrations().applied(db)
    pending = migrations.migrations().pending(db)
    db.close()
    assert [migration.name for migration in applied] == list(migrations.NAMES)
    assert pending == []


def test_a_new_journal_has_what_sqlite_utils_would_have_made(path: str) -> None:
    theirs = Database(memory=True)
    migrations.migrations().apply(theirs)
    db = sqlite3.connect(path)
    made = [
        (
            each.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall(),
            each.execute("SELECT id, migration_set, name FROM _sqlite_migrations").fetchall(),
            each.execute("SELECT name FROM chain WHERE name <> 'identity'").fetchall(),
        )
        for each in (db, theirs.conn)
    ]
    (applied,) = db.execute("SELECT max(applied_at) FROM _sqlite_migrations").fetchone()
    db.close()
    theirs.close()
    assert made[0] == made[1]
    assert datetime.fromisoformat(applied).tzinfo is not None


def test_a_second_start_migrates_nothing(path: str) -> None:
    before = Path(path).read_bytes()
    Journal.open(path).close()
    db = sqlite3.connect(path)
    assert schema.applied(db) == migrations.NAMES
    db.close()
    assert len(Path(path).read_bytes()) == len(before)


def test_a_journal_of_the_first_migration_alone_is_brought_up(path: str) -> None:
    db = sqlite3.connect(path)
    for made in ("VIEW deploys", "VIEW events", "TABLE deploy"):
        db.execute(f"DROP {made}")
    db.execute("DELETE FROM _sqlite_migrations WHERE name > ?", [migrations.NAMES[0]])
    db.commit()
    db.close()
    with Journal.open(path) as journal:
        followed(journal)
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM deploys").fetchone() == (3,)
    db.close()


def test_the_schema_is_what_it_was_released_as(path: str) -> None:
    db = sqlite3.connect(path)
    tables = {
        table: [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
        for table in ("event", "config", "snapshot", "chain", "deploy", "deploys", "events")
    }
    (identity,) = db.execute("PRAGMA application_id").fetchone()
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    db.close()
    assert (identity, mode) == (0x454D5052, "wal")
    assert tables == {
        "event": [
            "seq", "at", "kind", "monitor", "vassal", "cause", "body", "actions", "hash"
        ],
        "config": ["digest", "content"],
        "snapshot": ["seq", "hash", "fleet", "check_sum"],
        "chain": ["name", "seq", "hash"],
        "deploys": [
            "seq", "at", "vassal", "monitor", "kind", "config", "previous", "outcome",
            "outcome_seq", "outcome_at",
        ],
        "deploy": [
            "seq", "previous", "outcome", "outcome_seq", "attempt", "ordered", "trial", "settled"
        ],
        "events": [
            "seq", "at", "day", "kind", "monitor", "vassal", "cause", "reason", "config",
            "attempt", "pid", "code", "signal", "request", "by", "orders", "body",
        ],
    }  # fmt: skip


def test_deploys_for_people(path: str) -> None:
    db = sqlite3.connect(path)
    rows = db.execute("SELECT seq, at, vassal, kind, outcome, outcome_seq FROM deploys").fetchall()
    links = db.execute("SELECT config, previous FROM deploys").fetchall()
    db.close()
    assert rows == [
        (3, "2026-11-24T06:00:03.000000000Z", "app.ini", "vassal_added", "accepting", 5),
        (6, "2026-11-24T06:00:06.000000000Z", "app.ini", "vassal_changed", "died", 7),
        (8, "2026-11-24T06:00:08.000000000Z", "app.ini", "vassal_removed", "stopped", 8),
    ]
    assert links[0][0] == links[1][1]
    assert links[1][0] == links[2][1]
    assert links[2][0] is None


# Journals that are newer than us


def newer_migration(db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('emperord', '0099_future', '2099-01-01')"
    )


def newer_kind(db: sqlite3.Connection) -> None:
    db.execute("UPDATE event SET kind = 'vassal_cloned' WHERE seq = 6")


def newer_body(db: sqlite3.Connection) -> None:
    db.execute("UPDATE event SET body = json_set(body, '$.v', 99) WHERE seq = 6")


@pytest.mark.parametrize("make_newer", [newer_migration, newer_kind, newer_body])
def test_a_newer_journal_is_refused_by_name(
    path: str, make_newer: Callable[[sqlite3.Connection], None]
) -> None:
    db = sqlite3.connect(path)
    make_newer(db)
    db.commit()
    db.close()
    with pytest.raises(NewerFormat) as caught, open_journal(path) as reader:
        list(reader.events())
    assert any(word in str(caught.value) for word in ("0099_future", "vassal_cloned", "version 99"))
    assert "\n" not in str(caught.value)


def test_a_newer_migration_keeps_the_daemon_away(path: str) -> None:
    db = sqlite3.connect(path)
    newer_migration(db)
    db.commit()
    db.close()
    with pytest.raises(NewerFormat, match="0099_future"):
        Journal.open(path)


def test_a_field_that_we_do_not_know_is_no_obstacle(path: str) -> None:
    body = decoding.decode_body("exited", '{"attempt":3,"code":1,"mood":"bad"}')
    assert body == events.Exited(attempt=3, code=1)


# Journals that are older than us


class Renamed(events.Body, frozen=True):
    VERSION = 3
    attempt: int
    code: int | None = None


@pytest.fixture
def later_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in which the body of ``exited`` is at its third version."""

    def to_2(old: dict[str, Any]) -> dict[str, Any]:
        return {"attempt": old["try"], "status": old["status"]}

    def to_3(old: dict[str, Any]) -> dict[str, Any]:
        return {"attempt": old["attempt"], "code": old["status"] >> 8}

    monkeypatch.setitem(events.KINDS, "exited", Renamed)
    monkeypatch.setitem(decoding._VERSIONS, "exited", 3)
    monkeypatch.setitem(decoding._DECODERS, "exited", msgspec.json.Decoder(Renamed))
    monkeypatch.setitem(decoding.UPCASTERS, ("exited", 1), to_2)
    monkeypatch.setitem(decoding.UPCASTERS, ("exited", 2), to_3)


@pytest.mark.parametrize(
    "body",
    ['{"try":7,"status":256}', '{"v":2,"attempt":7,"status":256}', '{"v":3,"attempt":7,"code":1}'],
    ids=["first", "second", "third"],
)
@pytest.mark.usefixtures("later_version")
def test_old_bodies_are_brought_up_step_by_step(body: str) -> None:
    assert decoding.decode_body("exited", body) == Renamed(v=3, attempt=7, code=1)


@pytest.mark.usefixtures("later_version")
def test_an_old_body_that_does_not_fit_its_version() -> None:
    with pytest.raises(UnreadableEvent):
        decoding.decode_body("exited", '{"v":3,"attempt":"seven"}')


@pytest.mark.parametrize(
    "body", ["", "[]", "null", "{", '{"attempt":"x"}', '"text"', "{}"],
    ids=["empty", "array", "null", "cut", "type", "string", "without fields"],
)  # fmt: skip
def test_a_body_that_is_none(body: str) -> None:
    with pytest.raises(UnreadableEvent):
        decoding.decode_body("exited", body)


def test_every_old_version_of_every_kind_has_its_way_up() -> None:
    for kind, body in events.KINDS.items():
        for version in range(1, body.VERSION):
            assert (kind, version) in decoding.UPCASTERS
