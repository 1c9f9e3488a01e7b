"""Whether a file is a journal, and whether its schema is what the migrations made.

The schema is public: readers, sqlite-utils and Datasette may open a journal any time. A journal
that carries a migration this program does not know was written by a newer one. A journal that
lacks some of ours was written by an older one, and is read as it is.
"""

import contextlib
import functools
import itertools
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from .errors import GIVE_THE_RIGHT_ONE, NewerFormat, NotAJournal, SchemaDamaged
from .migrations import MIGRATION_SET, NAMES, record_of_migrations, statements

# "EMPR"; SQLite's place for saying which program a database file belongs to.
APPLICATION_ID: Final = 0x454D5052
MAGIC: Final = b"SQLite format 3\x00"

TABLES: Final = ("event", "config", "snapshot", "chain")
_MIGRATIONS: Final = "_sqlite_migrations"


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
    if unknown and set(NAMES) <= set(names):  # a newer one has all of ours, too; else it is damage
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
    """Flaws of the schema: missing or changed parts, and foreign ones that can change a write."""
    found = []
    names = applied(connection)
    there = {(each.type, each.name): each for each in _objects(connection)}
    made, all_ = _made(tuple(name for name in names if name in NAMES)), _made(NAMES)
    if there.keys() & (all_.objects.keys() - made.objects.keys() | _passed_over(names)):
        found.append(f"table {_MIGRATIONS} is gone or does not name all migrations")
        made = all_
    lost = lacking(connection, tuple(made.columns))
    found += lost.values()
    for (kind, name), object_ in made.objects.items():
        here = there.get((kind, name))
        if kind == "table" and name in lost:
            continue
        if here is None:
            if all_.objects[kind, name].sql == object_.sql:  # else a migration makes it anew
                found.append(f"no {kind} {name}")
        elif here.sql != object_.sql:
            found.append(f"{kind} {name} is not defined as it was when it was made")
    return found + [
        f"{each.type} {each.name!r} on {each.table!r} is none of emperord's, and can change what"
        f" is written (DROP {each.type.upper()} takes it away)"
        for each in _foreign_objects(connection)
        if _changes_rows(each)
    ]


def _passed_over(names: tuple[str, ...]) -> set[tuple[str, str]]:
    """The objects of migrations that the journal does not name, though it names later ones."""
    found = set[tuple[str, str]]()
    for number, name in enumerate(NAMES):
        if name not in names and set(NAMES[number + 1 :]) & set(names):
            found |= (
                _made(NAMES[: number + 1]).objects.keys() - _made(NAMES[:number]).objects.keys()
            )
    return found


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
    """Harmless objects that another program put into the file, for people."""
    found = [
        f"{each.type} {each.name!r} is none of emperord's"
        for each in _foreign_objects(connection)
        if not _changes_rows(each)
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
    """The objects and columns that these migrations make."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for statement in itertools.chain(*(statements(name) for name in names)):
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


def _foreign_objects(connection: sqlite3.Connection) -> list[_Object]:
    ours = _made(NAMES).objects
    return [
        each
        for each in _objects(connection)
        if (each.type, each.name) not in ours
        and (each.type == "trigger" or each.table != _MIGRATIONS)
    ]


def _changes_rows(foreign: _Object) -> bool:
    """Whether it can change what is written: a row may be left out for lack of uniqueness."""
    if foreign.type == "trigger":
        return True
    unique = (foreign.sql or "").split()[1:2]
    return foreign.type == "index" and foreign.table in TABLES and unique == ["UNIQUE"]


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the journal to today's schema; does nothing if it is.

    The pending migrations are one transaction. A checkpoint follows, because tools that open the
    file as immutable do not read the log. A journal on a full disk keeps its old views: nothing
    here needs new ones.
    """
    done = set(applied(connection))
    pending = [name for name in NAMES if name not in done]
    if not pending:
        return
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in record_of_migrations():
            connection.execute(statement)
        for name in pending:
            _apply(connection, name)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if NAMES[0] not in done or error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise


def _apply(connection: sqlite3.Connection, name: str) -> None:
    for statement in statements(name):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)",
        (MIGRATION_SET, name, str(datetime.now(UTC))),
    )
