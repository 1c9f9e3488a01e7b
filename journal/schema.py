"""The tables, as named migrations, and what makes a file ours.

The schema is public: readers, sqlite-utils and Datasette may open a journal any time. Each
migration runs once, inside a transaction, and is recorded by name in ``_sqlite_migrations`` (the
table that ``sqlite-utils migrate`` uses too). A journal that carries a migration this program
does not know was written by a newer one.

sqlite-utils is imported only when there is something to migrate: it would double the start of
a daemon whose journal is as it should be.
"""

import contextlib
import functools
import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from .errors import GIVE_THE_RIGHT_ONE, NewerFormat, NotAJournal, SchemaDamaged

if TYPE_CHECKING:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

# "EMPR"; SQLite's place for saying which program a database file belongs to.
APPLICATION_ID: Final = 0x454D5052
MIGRATION_SET: Final = "emperord"
MAGIC: Final = b"SQLite format 3\x00"

_RECORD = """
CREATE TABLE event (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,  -- UTC nanoseconds, strictly increasing
    kind    TEXT NOT NULL,
    monitor TEXT,
    vassal  TEXT,
    cause   INTEGER,           -- seq of the event that led here
    body    TEXT NOT NULL,     -- canonical JSON, fields by kind
    actions TEXT NOT NULL,     -- canonical JSON, what the fold ordered because of it
    hash    BLOB NOT NULL      -- SHA-256 over the hash before and all other columns
);
CREATE INDEX event_vassal ON event (vassal, seq) WHERE vassal IS NOT NULL;
CREATE TABLE config (
    digest  TEXT PRIMARY KEY,  -- SHA-256 of content, hex
    content BLOB NOT NULL
);
CREATE TABLE snapshot (
    seq   INTEGER PRIMARY KEY, -- the fleet as it stood after this event
    hash  BLOB NOT NULL,       -- that event's hash
    fleet BLOB NOT NULL,       -- canonical JSON, zlib
    check_sum TEXT NOT NULL    -- SHA-256 of fleet, hex
);
-- Where the chain in this file begins ('anchor': the event before its first) and ends ('head').
CREATE TABLE chain (
    name TEXT PRIMARY KEY,
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL
) WITHOUT ROWID;
"""

_DEPLOYS = """
CREATE VIEW deploys AS
WITH deploy AS (
    SELECT seq, at, kind, monitor, vassal,
           json_extract(body, '$.spec.config') AS config,
           lag(json_extract(body, '$.spec.config')) OVER same AS previous,
           lead(seq) OVER same AS next_seq
    FROM event
    WHERE kind IN ('vassal_added', 'vassal_changed', 'vassal_removed', 'vassal_destroyed')
    WINDOW same AS (PARTITION BY vassal ORDER BY seq)
)
SELECT seq,
       strftime('%Y-%m-%dT%H:%M:%S', at / 1000000000, 'unixepoch')
           || printf('.%09dZ', at % 1000000000) AS at,
       vassal, monitor, kind, config, previous,
       (SELECT e.kind FROM event AS e
        WHERE e.vassal = deploy.vassal AND e.seq > deploy.seq
          AND (next_seq IS NULL OR e.seq < next_seq)
          AND e.kind IN ('vassal_accepting', 'exited', 'spawn_failed')
        ORDER BY e.seq LIMIT 1) AS first_news
FROM deploy
ORDER BY seq;
"""

NAMES: Final = ("0001_record", "0002_deploys")
_SCRIPTS: Final = dict(zip(NAMES, (_RECORD, _DEPLOYS), strict=True))
TABLES: Final = ("event", "config", "snapshot", "chain")
_MIGRATIONS: Final = "_sqlite_migrations"


def migrations() -> "Migrations":
    """The set, for sqlite-utils."""
    from sqlite_utils.migrations import Migrations

    known = Migrations(MIGRATION_SET)

    @known(name=NAMES[0])
    def record(db: "Database") -> None:
        for statement in _statements(NAMES[0]):
            db.execute(statement)
        for name in ("anchor", "head"):
            db.execute("INSERT INTO chain VALUES (?, 0, zeroblob(32))", [name])

    @known(name=NAMES[1])
    def deploys(db: "Database") -> None:
        for statement in _statements(NAMES[1]):
            db.execute(statement)

    return known


def _statements(name: str) -> Iterator[str]:
    # Each by itself: executescript would commit the migration's transaction.
    return (each for each in _SCRIPTS[name].split(";\n") if each.strip())


def applied(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Names of the migrations this journal has seen."""
    try:
        rows = connection.execute(
            "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY rowid",
            (MIGRATION_SET,),
        )
        return tuple(name for (name,) in rows)
    except sqlite3.OperationalError:
        return ()


def check_ours(connection: sqlite3.Connection, path: str) -> None:
    """Raise NotAJournal or NewerFormat unless this program can read the journal."""
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    if identity != APPLICATION_ID:
        raise NotAJournal(
            f"{path}: an SQLite database, but not a journal of emperord{GIVE_THE_RIGHT_ONE}"
        )
    names = applied(connection)
    unknown = [str(name) for name in names if name not in NAMES]
    if unknown and set(NAMES) <= set(names):  # who is newer has all of ours; else it is damage
        raise NewerFormat(
            f"{path}: written by a newer emperord (it has {', '.join(unknown)}); "
            "read it with that version or a later one"
        )


# Whether the schema is what the migrations made


class _Object(NamedTuple):
    """A table, index, view or trigger."""

    type: str
    name: str
    table: str
    sql: str | None


def check_whole(connection: sqlite3.Connection, path: str) -> None:
    """Raise SchemaDamaged unless the schema is what the migrations on record have made."""
    if found := flaws(connection):
        raise as_error(path, found)


def as_error(path: str, found: Iterable[str]) -> SchemaDamaged:
    return SchemaDamaged(
        f"{path}: its schema is damaged: {', '.join(found)}; put that right, restore the journal"
        " from a copy, or start a new one"
    )


def flaws(connection: sqlite3.Connection) -> list[str]:
    """What of the schema is missing, changed, or can change what is written."""
    found = []
    names = applied(connection)
    there = {(each.type, each.name): each for each in _objects(connection)}
    made, all_ = _made(tuple(name for name in names if name in NAMES)), _made(NAMES)
    if there.keys() & (all_.objects.keys() - made.objects.keys()):
        found.append(f"table {_MIGRATIONS} is gone or does not name all migrations")
        made = all_
    lost = lacking(connection, tuple(made.columns))
    found += lost.values()
    for (kind, name), object_ in made.objects.items():
        here = there.get((kind, name))
        if kind == "table" and name in lost:
            continue
        if here is None:
            found.append(f"no {kind} {name}")
        elif here.sql != object_.sql:
            found.append(f"{kind} {name} is not defined as it was when it was made")
    return found + [
        f"{each.type} {each.name!r} on {each.table!r} is none of emperord's, and can change what"
        f" is written (DROP {each.type.upper()} takes it away)"
        for each in _strangers(connection)
        if _meddles(each)
    ]


def lacking(connection: sqlite3.Connection, tables: Iterable[str] = TABLES) -> dict[str, str]:
    """By table, which of these, or of their columns, are not there."""
    found = {}
    for table in tables:
        there = _columns(connection, table)
        missing = [name for name in _made(NAMES).columns[table] if name not in there]
        if not there:
            found[table] = f"no table {table}"
        elif missing:
            found[table] = f"table {table} has no column {', '.join(missing)}"
    return found


def additions(connection: sqlite3.Connection) -> list[str]:
    """What somebody else put into the file, and does no harm; for people."""
    found = [
        f"{each.type} {each.name!r} is none of emperord's"
        for each in _strangers(connection)
        if not _meddles(each)
    ]
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != 0:
        found.append(f"somebody set its user_version to {version}; emperord leaves it 0")
    return found


class _Made(NamedTuple):
    objects: dict[tuple[str, str], _Object]
    columns: dict[str, list[str]]  # by table


@functools.cache
def _made(names: tuple[str, ...]) -> _Made:
    """What these migrations make."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for statement in itertools.chain(*(_statements(name) for name in names)):
            fresh.execute(statement)
        objects = {(each.type, each.name): each for each in _objects(fresh)}
        return _Made(objects, {t: _columns(fresh, t) for t in TABLES if ("table", t) in objects})


def _objects(connection: sqlite3.Connection) -> list[_Object]:
    # SQLite's own have reserved names; no trigger does.
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master"
        " WHERE type = 'trigger' OR substr(name, 1, 7) <> 'sqlite_'"
    )
    return [_Object(*row) for row in rows]


def _strangers(connection: sqlite3.Connection) -> list[_Object]:
    ours = _made(NAMES).objects
    return [
        each
        for each in _objects(connection)
        if (each.type, each.name) not in ours
        and (each.type == "trigger" or each.table != _MIGRATIONS)
    ]


def _meddles(stranger: _Object) -> bool:
    """Whether it can change what is written: a row may be left out for want of uniqueness."""
    if stranger.type == "trigger":
        return True
    unique = (stranger.sql or "").split()[1:2]
    return stranger.type == "index" and stranger.table in TABLES and unique == ["UNIQUE"]


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the journal to today's schema; does nothing if it is."""
    if applied(connection) == NAMES:
        return
    from sqlite_utils import Database

    migrations().apply(Database(connection))
