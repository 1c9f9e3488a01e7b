"""The table ``deploy``: the outcome of each deploy, as the daemon concluded it.

Each row follows from the events, so it is no part of the chain. The daemon writes it in the
transaction of that event. A journal may lack rows: an older version wrote it, or its disk was full
when the table was to be made. Then a daemon adds the rows when it starts.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from . import rows

DEPLOYED: Final = rows.DEPLOYED
DEPLOYS: Final = rows.DEPLOYS
Row = rows.Deploy

_MADE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'deploy'"
_FIRST: Final = (
    "SELECT seq FROM event WHERE kind IN ('vassal_added', 'vassal_changed', 'vassal_removed',"
    " 'vassal_destroyed') ORDER BY seq LIMIT 1"
)
_OPEN: Final = """
SELECT seq, at, vassal, monitor, kind,
       CASE WHEN json_valid(body) THEN json_extract(body, '$.spec.config') END, previous, outcome,
       outcome_seq, (SELECT at FROM event WHERE seq = outcome_seq), settled, attempt, ordered, trial
FROM deploy JOIN event USING (seq) WHERE NOT settled ORDER BY seq
"""


def is_made(db: sqlite3.Connection) -> bool:
    """Whether the journal has the table."""
    return db.execute(_MADE).fetchone() is not None


def is_filled(db: sqlite3.Connection) -> bool:
    """Whether there is a row for each deploy. They come together, so the first one tells."""
    first = db.execute(_FIRST).fetchone()
    if first is None:
        return True
    return db.execute("SELECT 1 FROM deploy WHERE seq = ?", first).fetchone() is not None


def store(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    db.executemany("INSERT OR REPLACE INTO deploy VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def unsettled(db: sqlite3.Connection) -> list[Any]:
    """Those of which more may be known some day, as the fields of a ``Deploy``, in order."""
    return db.execute(_OPEN).fetchall()
