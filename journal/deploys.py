"""The table ``deploy``: the outcome of each deploy, as the daemon concluded it.

Each row follows from the events, so it is no part of the chain. The daemon writes it in the
transaction of that event. The table has all rows or none. It has none where an older version wrote
the journal, or where the disk was full when the table was to be made. Then a daemon makes all rows
when it starts. Until it can, it adds none.

An event that is damaged says nothing of the deploys before it. Then the table has the rows of all
deploys behind the next snapshot. The row ``deploys`` of the table ``chain`` names that event, for
the next daemon. ``verify`` does not ask for it: behind damage it folds and compares nothing.

The definition of outcomes may change. A migration then empties the table, so that the next daemon
makes all rows anew. Until it has run, a reader takes no row for an outcome of today.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from . import rows, schema
from .migrations import OUTCOMES_AGAIN

DEPLOYED: Final = rows.DEPLOYED
DEPLOYS: Final = rows.DEPLOYS
Row = rows.Deploy
COLUMNS: Final = "seq, previous, outcome, outcome_seq, attempt, ordered, trial, settled"
"""Those of a ``Row``, in this order."""

SINCE: Final = "deploys"
"""The row of the table ``chain`` that names the event behind which the table has all rows."""
_SINCE: Final = (
    "SELECT event.seq FROM chain JOIN event USING (seq, hash) WHERE name = ? AND event.seq > ?"
)
_MADE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'deploy'"
_FIRST: Final = (
    "SELECT seq FROM event WHERE kind IN ('vassal_added', 'vassal_changed', 'vassal_removed',"
    " 'vassal_destroyed') AND seq > ? ORDER BY seq LIMIT 1"
)
_OPEN: Final = """
SELECT seq, at, vassal, monitor, kind,
       CASE WHEN json_valid(body) THEN json_extract(body, '$.spec.config') END, previous, outcome,
       outcome_seq, (SELECT at FROM event WHERE seq = outcome_seq), settled, attempt, ordered, trial
FROM deploy JOIN event USING (seq) WHERE NOT settled AND seq > ? ORDER BY seq
"""


def is_made(db: sqlite3.Connection) -> bool:
    """Whether the journal has the table."""
    return db.execute(_MADE).fetchone() is not None


def is_current(db: sqlite3.Connection) -> bool:
    """Whether the journal has the table, with outcomes as this version defines them."""
    return is_made(db) and OUTCOMES_AGAIN in schema.applied(db)


def is_filled(db: sqlite3.Connection, begin: int) -> bool:
    """Whether there is a row for each deploy behind event ``begin``.

    They come together, so the first one tells. ``verify`` finds out whether others are missing.
    """
    first = db.execute(_FIRST, (begin,)).fetchone()
    if first is None:
        return True
    return db.execute("SELECT 1 FROM deploy WHERE seq = ?", first).fetchone() is not None


def since(db: sqlite3.Connection, begin: int) -> int:
    """The event behind which there is a row for each deploy, unless there is none at all.

    It is ``begin``, where the journal begins, unless an event behind that was damaged.
    """
    row = db.execute(_SINCE, (SINCE, begin)).fetchone()
    return begin if row is None else int(row[0])


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether there is no row at all: no daemon has filled the table yet."""
    return db.execute("SELECT 1 FROM deploy LIMIT 1").fetchone() is None


def fill(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Store all rows in place of those that are there."""
    db.execute("DELETE FROM deploy")
    store(db, rows)


def store(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    db.executemany("INSERT OR REPLACE INTO deploy VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


class Former(NamedTuple):
    """The rows of some deploys after event ``seq``, by number; None where there was none."""

    seq: int
    rows: Mapping[int, Row | None]


def former(db: sqlite3.Connection, seq: int, rows: Sequence[Row]) -> Former:
    """Those of the same deploys as ``rows``, after event ``seq``, which is the last."""
    query = f"SELECT {COLUMNS} FROM deploy WHERE seq = ?"
    return Former(seq, {row[0]: db.execute(query, row[:1]).fetchone() for row in rows})


def undo(db: sqlite3.Connection, seq: int, former: Former) -> None:
    """Have the rows as they were after event ``seq``, the last that stays."""
    db.execute("DELETE FROM deploy WHERE seq > ?", (seq,))
    if former.seq == seq:  # otherwise another program has added the events
        db.executemany("DELETE FROM deploy WHERE seq = ?", [(one,) for one in former.rows])
        store(db, [row for row in former.rows.values() if row is not None])


def unsettled(db: sqlite3.Connection, begin: int) -> list[Any]:
    """Those behind event ``begin`` of which more may be known some day, in order.

    Each is the fields of a ``Deploy``.
    """
    return db.execute(_OPEN, (begin,)).fetchall()
