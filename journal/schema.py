"""The tables, as named migrations, and what makes a file ours.

The schema is public: readers, sqlite-utils and Datasette may open a journal any time. Each
migration runs once, inside a transaction, and is recorded by name in ``_sqlite_migrations`` (the
table that ``sqlite-utils migrate`` uses too). A journal that carries a migration this program
does not know was written by a newer one.

sqlite-utils is imported only when there is something to migrate: it would double the start of
a daemon whose journal is as it should be.
"""

import sqlite3
from typing import TYPE_CHECKING, Final

from .errors import NewerFormat, NotAJournal

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


def migrations() -> "Migrations":
    """The set, for sqlite-utils."""
    from sqlite_utils.migrations import Migrations

    known = Migrations(MIGRATION_SET)

    @known(name=NAMES[0])
    def record(db: "Database") -> None:
        # Each statement by itself: executescript would commit the migration's transaction.
        for statement in _RECORD.split(";\n"):
            if statement.strip():
                db.execute(statement)
        for name in ("anchor", "head"):
            db.execute("INSERT INTO chain VALUES (?, 0, zeroblob(32))", [name])

    @known(name=NAMES[1])
    def deploys(db: "Database") -> None:
        db.execute(_DEPLOYS)

    return known


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
        raise NotAJournal(f"{path}: an SQLite database, but not a journal of emperord")
    unknown = [name for name in applied(connection) if name not in NAMES]
    if unknown:
        raise NewerFormat(
            f"{path}: written by a newer emperord (it has {', '.join(unknown)}); "
            "read it with that version or a later one"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the journal to today's schema; does nothing if it is."""
    if applied(connection) == NAMES:
        return
    from sqlite_utils import Database

    migrations().apply(Database(connection))
