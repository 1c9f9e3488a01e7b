"""pg:// reads databases of every encoding as UTF-8."""

import uuid

import pytest
from emperord.monitors.postgres.monitor import (
    open_url,
)
from support.postgres import blocks, conninfo_of, shared, talking

from ..watching import failure_of, listing_of, watching
from .readings import SELDOM

# Encodings


def database(encoding: str) -> str:
    """The conninfo of a new database of an encoding, with the table of the page."""
    name = f"d{uuid.uuid4().hex}"
    with talking(conninfo_of(shared())) as link:
        link.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
            " TEMPLATE template0"
        )
    with talking(conninfo_of(shared(), name), "SQL_ASCII") as link:
        link.execute(blocks()[0])
    return conninfo_of(shared(), name)


@pytest.mark.parametrize(
    ("encoding", "text", "client"),
    [
        ("UTF8", "é€", ""),
        ("UTF8", "é€", " client_encoding=LATIN1"),
        ("LATIN1", "é", ""),
        ("LATIN1", "é", " client_encoding=SQL_ASCII"),
        ("EUC_JP", "日本", ""),
        ("EUC_JP", "日本", " client_encoding=LATIN1"),
        ("EUC_TW", "中", ""),
        ("MULE_INTERNAL", "plain", ""),
    ],
)
async def test_texts_come_as_utf8_whatever_the_encoding(
    encoding: str, text: str, client: str
) -> None:
    conninfo = database(encoding)
    with talking(conninfo, "SQL_ASCII" if encoding == "MULE_INTERNAL" else "UTF8") as link:
        link.execute("INSERT INTO vassals VALUES (%s, %s)", (f"{text}.ini", f"# {text}"))
    query = f"SELECT name, config, ts FROM vassals WHERE name = '{text}.ini'"
    told = await listing_of(open_url(f"{conninfo}{client};{query}", SELDOM))
    assert {name: seen.content for name, seen in told.seen.items()} == {
        f"{text}.ini": f"# {text}".encode()
    }


async def test_bytes_that_are_no_text_are_the_flaw_of_their_row() -> None:
    conninfo = database("SQL_ASCII")
    with talking(conninfo, "SQL_ASCII") as link:
        for name, config in ((b"a.ini", b"# \xe9"), (b"\xe9.ini", b"x"), (b"\xc3\xa9.ini", b"y")):
            link.execute(b"INSERT INTO vassals (name, config) VALUES ('%s', '%s')" % (name, config))
    async with watching(open_url(conninfo, SELDOM)) as watch:
        assert watch.contents == {"a.ini": b"# \xe9", "é.ini": b"y"}
        assert watch.refused == {"\\xe9.ini": "the name is not UTF-8"}
        with talking(conninfo, "SQL_ASCII") as link:  # nor does it matter what a NOTIFY brings
            link.execute(b"DELETE FROM vassals WHERE name = 'a.ini'; NOTIFY emperor, '\xe9'")
        await watch.until(lambda: "a.ini" not in watch.seen)


async def test_a_query_that_the_encoding_lacks() -> None:
    reason = await failure_of(open_url(f"{database('LATIN1')};SELECT '日.ini', 'c', 1", SELDOM))
    assert "the query has characters that the database's encoding (iso8859-1) lacks" in reason
