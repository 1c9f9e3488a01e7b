"""The chain, computed here by other means than the code's own."""

import json
import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest
from emperord.daemon.core.actions import Action
from emperord.journal import chain
from emperord.journal.events import Exited
from journal_builder import building

# The two vectors of docs/journal.md.
FIRST = (1, 1_795_500_000_000_000_000, "daemon_ready", None, None, None, "{}", "[]")
SECOND = (
    2, 1_795_500_000_000_000_001, "vassal_removed", "dir:///etc/vassals", "bücher \"1\".ini", 1,
    '{"reason":"the file is gone"}', "[]",
)  # fmt: skip
FIRST_HASH = "163d53a178bee4b9cb59db3921f5407df0b61d3d1ba306911e86a0f5e21e7e1c"
SECOND_HASH = "117dfc07d9fb59d451d998a961e19f7922e0f5f8d8c5da96facb6a5030eb7ba9"


def plainly(previous: bytes, columns: tuple[object, ...]) -> bytes:
    """The rule as docs/journal.md states it: two lines, a JSON encoder and SHA-256."""
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    return sha256(previous + text.encode()).digest()


def test_published_vectors() -> None:
    first = chain.link(chain.GENESIS, FIRST)
    assert first.hex() == FIRST_HASH
    assert chain.link(first, SECOND).hex() == SECOND_HASH


@pytest.mark.parametrize("columns", [FIRST, SECOND], ids=["first", "second"])
def test_the_rule_is_the_one_that_is_documented(columns: chain.Columns) -> None:
    assert chain.link(b"\x07" * 32, columns) == plainly(b"\x07" * 32, columns)


@pytest.mark.parametrize("column", range(8))
def test_every_column_is_in_the_hash(column: int) -> None:
    changed = list(SECOND)
    value = changed[column]
    changed[column] = value + 1 if isinstance(value, int) else f"{value} "
    other = chain.link(chain.GENESIS, tuple(changed))  # type: ignore[arg-type]
    assert other != chain.link(chain.GENESIS, SECOND)


def test_a_journal_on_disk_follows_the_rule(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("bücher.ini", "[uwsgi]\nname = bücher\n".encode())
        builder.exited("bücher.ini", code=1, log='quotes " and \\ and \x07 and €\n')
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT * FROM event ORDER BY seq").fetchall()
        head = db.execute("SELECT seq, hash FROM chain WHERE name = 'head'").fetchone()
        content = db.execute("SELECT digest, content FROM config").fetchall()
    db.close()
    previous = bytes(32)
    for *columns, recorded in rows:
        previous = plainly(previous, tuple(columns))
        assert recorded == previous
    assert head == (len(rows), previous)
    assert [digest for digest, _ in content] == [sha256(text).hexdigest() for _, text in content]


def test_canonical_json() -> None:
    assert chain.text(Exited(signal=9, log="x", attempt=3)) == '{"attempt":3,"log":"x","signal":9}'
    action = Action("spawn", "a.ini", 3, "c0ffee")
    assert chain.text(action) == '{"attempt":3,"config":"c0ffee","do":"spawn","vassal":"a.ini"}'
    assert chain.text({"b": [1, None, True], "a": "ü/€"}) == '{"a":"ü/€","b":[1,null,true]}'
