"""The tables and views of a journal, as named migrations.

Each migration runs once, in a transaction, and is recorded by name in ``_sqlite_migrations``, the
table of ``sqlite-utils migrate``. The daemon applies them itself (``schema.py``), because the
import of sqlite-utils takes longer than all else that makes a journal. That command can be given
this file, so nothing is imported here but the standard library and sqlite-utils:

    sqlite-utils migrate journal.db .../emperord/journal/migrations.py --list

A migration that was released is never changed; a view is changed by one that makes it anew.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

MIGRATION_SET: Final = "emperord"

# Makes the table as sqlite-utils 4 does. One that is there stays.
_RECORD_OF_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
"""

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
_ENDS = "INSERT INTO chain VALUES ('anchor', 0, zeroblob(32)), ('head', 0, zeroblob(32));"

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

_EVENTS = """
CREATE VIEW events AS
SELECT seq,
       strftime('%Y-%m-%dT%H:%M:%S', at / 1000000000, 'unixepoch')
           || printf('.%09dZ', at % 1000000000) AS at,
       date(at / 1000000000, 'unixepoch') AS day,
       kind, monitor, vassal, cause,
       coalesce(json_extract(body, '$.reason'), json_extract(body, '$.spec.bar')) AS reason,
       json_extract(body, '$.spec.config') AS config,
       json_extract(body, '$.attempt') AS attempt,
       json_extract(body, '$.pid') AS pid,
       json_extract(body, '$.code') AS code,
       json_extract(body, '$.signal') AS signal,
       json_extract(body, '$.request') AS request,
       json_extract(body, '$.uid') AS by,
       (SELECT group_concat(
                   json_extract(value, '$.do') || CASE WHEN json_extract(value, '$.vassal') = vassal
                       THEN '' ELSE ' ' || json_extract(value, '$.vassal') END, ', ')
        FROM json_each(actions)) AS orders,
       body
FROM (SELECT seq, at, kind, monitor, vassal, cause,
             CASE WHEN json_valid(body) THEN body END AS body,  -- a damaged row hides no other
             CASE WHEN json_valid(actions) THEN actions END AS actions
      FROM event)
ORDER BY seq;
"""

_OUTCOMES = """
-- What became of each deploy. It follows from the events: 'verify' compares it with a full fold.
CREATE TABLE deploy (
    seq         INTEGER PRIMARY KEY, -- the event that deployed
    previous    TEXT,                -- digest of the config that was wanted before
    outcome     TEXT NOT NULL,
    outcome_seq INTEGER,             -- the event that it follows from
    attempt     INTEGER,             -- that runs its config
    ordered     INTEGER,             -- the event that ordered it to
    trial       INTEGER,             -- UTC nanoseconds; until then a program's death counts
    settled     INTEGER NOT NULL     -- 0: more may be known some day
);
CREATE INDEX deploy_open ON deploy (seq) WHERE NOT settled;
"""

_DEPLOYS_AGAIN = """
DROP VIEW IF EXISTS deploys;
CREATE VIEW deploys AS
SELECT event.seq AS seq,
       strftime('%Y-%m-%dT%H:%M:%S', event.at / 1000000000, 'unixepoch')
           || printf('.%09dZ', event.at % 1000000000) AS at,
       event.vassal AS vassal, event.monitor AS monitor, event.kind AS kind,
       CASE WHEN json_valid(event.body) THEN json_extract(event.body, '$.spec.config') END
           AS config,
       previous, outcome, outcome_seq,
       strftime('%Y-%m-%dT%H:%M:%S', news.at / 1000000000, 'unixepoch')
           || printf('.%09dZ', news.at % 1000000000) AS outcome_at
FROM deploy JOIN event ON event.seq = deploy.seq
    LEFT JOIN event AS news ON news.seq = deploy.outcome_seq
ORDER BY deploy.seq;
"""

# Other outcomes follow from the same events since. The next daemon stores all of them anew.
_OUTCOMES_AGAIN = "DELETE FROM deploy;"

OUTCOMES_AGAIN: Final = "0006_outcomes"
_SCRIPTS: Final = {
    "0001_record": _RECORD + _ENDS,
    "0002_deploys": _DEPLOYS,
    "0003_events": _EVENTS,
    "0004_outcomes": _OUTCOMES,
    "0005_deploys": _DEPLOYS_AGAIN,
    OUTCOMES_AGAIN: _OUTCOMES_AGAIN,
}
NAMES: Final = tuple(_SCRIPTS)


def statements(name: str) -> Iterator[str]:
    """Those of a migration, one by one: executescript would commit its transaction."""
    return _split(_SCRIPTS[name])


def record_of_migrations() -> Iterator[str]:
    """Statements that make the table of the migrations' names, if it is not there."""
    return _split(_RECORD_OF_MIGRATIONS)


def _split(script: str) -> Iterator[str]:
    return (each for each in script.split(";\n") if each.strip())


def migrations() -> "Migrations":
    """The set, for sqlite-utils."""
    from sqlite_utils.migrations import Migrations

    known = Migrations(MIGRATION_SET)
    for name in NAMES:
        known(name=name)(_migration(name))
    return known


def _migration(name: str) -> Callable[["Database"], None]:
    def migrate(db: "Database") -> None:
        for statement in statements(name):
            db.execute(statement)

    return migrate


if __name__ != "emperord.journal.migrations":  # sqlite-utils executes it, and looks for sets
    emperord = migrations()
