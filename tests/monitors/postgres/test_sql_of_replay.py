"""The SQL of ``export-configs`` and ``undo``: a server has what the journal says."""

from pathlib import Path

import pytest
from journal_builder import building
from support.postgres import PostgresSource
from support.replaying import asking

ODD = b"[uwsgi]\r\nname = \xff\x00"
QUOTES = "[uwsgi]\nname = 'a''b' \\' \u202e; DROP TABLE vassals; --\r\n\ttab\x1b\n"
ROW = "it's -- \\ \u202e\nDROP TABLE vassals;\n"

run = asking()


@pytest.mark.parametrize("standard", ["on", "off"])
def test_what_sql_says_is_what_postgresql_has(
    tmp_path: Path, source: PostgresSource, standard: str
) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.added("it's.ini", QUOTES.encode(), uid=1007, gid=1008, socket="127.0.0.1:80\\")
        builder.added("plain.ini", b"[uwsgi]\n")
        builder.added("odd.ini", ODD)
    result = run(path, "export-configs", "--sql")
    assert (result.exit_code, "odd.ini is left out: it" in result.stderr) == (1, True)
    source.execute(f"SET standard_conforming_strings TO {standard}")
    try:
        source.execute(result.stdout)
    finally:
        source.execute("SET standard_conforming_strings TO on")
    rows = source.execute("SELECT name, config, uid, gid, socket FROM vassals ORDER BY name")
    assert rows == [
        ("it's.ini", QUOTES, 1007, 1008, "127.0.0.1:80\\"),
        ("plain.ini", "[uwsgi]\n", None, None, None),
    ]


def test_postgresql_has_what_was_there(tmp_path: Path, source: PostgresSource) -> None:
    path = str(tmp_path / "journal.db")
    monitor = "pg://dbname=emperor"
    with building(path) as builder:
        builder.start((monitor,))
        builder.added("it's.ini", ROW.encode(), monitor, path=None, uid=1007, gid=1008)  # 3
        builder.changed("it's.ini", b"two\n", monitor, path=None)  # 4
        builder.removed("it's.ini", monitor)  # 5
    source.execute(run(path, "undo", "5").stdout)
    source.execute(run(path, "undo", "4").stdout)
    assert source.execute("SELECT name, config FROM vassals") == [("it's.ini", ROW)]
    source.execute(run(path, "undo", "3").stdout)
    assert source.execute("SELECT name FROM vassals") == []
