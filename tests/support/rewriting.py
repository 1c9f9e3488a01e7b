"""Rewrites a journal as a user who may write the file can, so that it verifies alone.

``rewrite`` changes rows and makes the chain anew. ``forge`` folds all events again as well, so
that orders and checkpoints fit to what was changed.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from emperord.daemon.core.actions import recorded
from emperord.daemon.core.checkpoints import digest_of
from emperord.daemon.core.fleet import Fleet
from emperord.journal import chain
from emperord.journal.events import Checkpoint
from emperord.journal.reading import open_journal
from emperord.journal.selection import Filter
from emperord.replay.rebuild import fold_one


def run_sql(path: Path, *statements: str) -> None:
    """Change rows, and nothing else."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount != 0, statement


def rewrite(path: Path, *statements: str) -> None:
    """Change rows, and make the chain anew so that it fits."""
    run_sql(path, *statements)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        previous, last = bytes(32), 0
        for row in db.execute("SELECT * FROM event ORDER BY seq").fetchall():
            previous, last = chain.link(previous, row[:8]), row[0]
            db.execute("UPDATE event SET hash = ? WHERE seq = ?", (previous, last))
            db.execute("UPDATE snapshot SET hash = ? WHERE seq = ?", (previous, last))
            if last == 1:
                db.execute("UPDATE chain SET hash = ? WHERE name = 'identity'", (previous,))
        db.execute("UPDATE chain SET seq = ?, hash = ? WHERE name = 'head'", (last, previous))
        db.execute("COMMIT")


def forge(path: Path, *statements: str) -> None:
    """Change rows, and fold all events again; what was concluded before is taken away."""
    rewrite(path, *statements)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM snapshot")
        db.execute("DELETE FROM deploy")
    fleet, folded = Fleet(), list[tuple[str, str | None, int]]()
    with open_journal(str(path)) as reader:
        for event in reader.events(Filter()):
            body = None
            if isinstance(event.body, Checkpoint):
                now = Checkpoint(v=event.body.v, digest=digest_of(fleet, event.body.v))
                body = chain.canonical(now).decode()
            folded.append((recorded(fold_one(fleet, event)), body, event.seq))
    with closing(sqlite3.connect(path)) as db, db:
        sql = "UPDATE event SET actions = ?, body = coalesce(?, body) WHERE seq = ?"
        db.executemany(sql, folded)
    rewrite(path)
