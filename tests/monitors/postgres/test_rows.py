"""pg:// on a real PostgreSQL: which rows are vassals, and which columns count."""

import pytest
from emperord.monitors.options import MonitorOptions
from emperord.monitors.postgres import monitor as postgres
from emperord.monitors.postgres.monitor import (
    open_url,
)
from support.postgres import PostgresSource

from ..watching import NEVER, failure_of, listing_of, watching
from .readings import SELDOM, asking

# Rows


async def test_the_default_query_fits_the_table_of_the_page(source: PostgresSource) -> None:
    source.put("a.ini", "one")
    told = await listing_of(open_url(source.conninfo, SELDOM))
    ((ts,),) = source.execute("SELECT (EXTRACT(epoch FROM ts) * 1000000)::bigint FROM vassals")
    assert told.seen["a.ini"].spec.ts == ts * 1000
    assert told.seen["a.ini"].content == b"one"


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        pytest.param("17", 17 * 10**9, id="integer"),
        pytest.param("1.5::float8", 1_500_000_000, id="float"),
        pytest.param("1700000000.123456789::numeric", 1_700_000_000_123_456_789, id="numeric"),
        pytest.param("'12.25'::text", 12_250_000_000, id="text"),
        pytest.param("-1::int2", -(10**9), id="before 1970"),
        pytest.param("timestamptz '1970-01-01 01:00:01.000001+01'", 1_000_001_000, id="tz"),
        pytest.param("timestamp '1970-01-01 00:00:02'", 2 * 10**9, id="timestamp, as UTC"),
        pytest.param("date '1970-01-02'", 86_400 * 10**9, id="date"),
    ],
)
async def test_ts(source: PostgresSource, ts: str, expected: int) -> None:
    told = await listing_of(asking(source, f"SELECT 'a.ini', 'one', {ts}"))
    assert told.seen["a.ini"].spec.ts == expected


async def test_uid_gid_and_socket_are_taken_from_their_columns(source: PostgresSource) -> None:
    query = "VALUES ('a.ini', 'one', 1, 33, 34, '/run/a'), ('b.ini', 'two', 2, 0, 0, ''),"
    query += " ('c.ini', 'three', 3, NULL, NULL, NULL)"
    told = await listing_of(asking(source, query, MonitorOptions(freq=NEVER, tyrant=True)))
    found = {name: (s.spec.uid, s.spec.gid, s.spec.socket) for name, s in told.seen.items()}
    expected = {"a.ini": (33, 34, "/run/a"), "b.ini": (0, 0, None), "c.ini": (None, None, None)}
    assert found == expected
    assert told.refused == {}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param("'\\x5b75775d00'::bytea", None, id="bytea with NUL"),
        pytest.param("'\\x5be95d'::bytea", b"[\xe9]", id="bytea"),
        pytest.param("'x '::char(5)", b"x", id="char(n)"),
        pytest.param("'{\"a\": 1}'::json", b'{"a": 1}', id="json"),
        pytest.param("'é'::varchar", "é".encode(), id="varchar"),
    ],
)
async def test_config_types(source: PostgresSource, config: str, expected: bytes | None) -> None:
    told = await listing_of(asking(source, f"SELECT 'a.ini', {config}, 1"))
    assert ({"a.ini": expected} if expected else {}) == {n: s.content for n, s in told.seen.items()}


GOOD = {"name": "'bad.ini'", "config": "'c'", "ts": "'1'", "uid": "0", "gid": "0", "socket": "''"}
LONG = "n" * 251


@pytest.mark.parametrize(
    ("bad", "label", "reason"),
    [
        pytest.param({"name": "NULL"}, "(no name)", "the name is missing", id="null name"),
        pytest.param({"name": "''"}, "(no name)", "the name is empty", id="empty name"),
        pytest.param({"name": "'bad'"}, "bad", "no extension", id="no extension"),
        pytest.param({"name": "E'b\\n.ini'"}, "b\\n.ini", "control character", id="newline"),
        pytest.param({"name": f"'{LONG}.ini'"}, f"{LONG}.ini", "255 bytes", id="long name"),
        pytest.param({"name": "'good.ini'"}, "good.ini", "twice; the first", id="twice"),
        pytest.param({"config": "NULL"}, "bad.ini", "the config is missing", id="no config"),
        pytest.param({"config": "''"}, "bad.ini", "the config is empty", id="empty config"),
        pytest.param({"config": "repeat('x', 65536)"}, "bad.ini", "65536 bytes", id="long config"),
        pytest.param({"ts": "NULL"}, "bad.ini", "the ts is missing", id="no ts"),
        pytest.param({"ts": "'soon'"}, "bad.ini", "no number but 'soon'", id="ts is text"),
        pytest.param({"ts": "'1e999999999'"}, "bad.ini", "out of range", id="ts monstrous"),
        pytest.param({"ts": "'NaN'"}, "bad.ini", "not finite", id="ts NaN"),
        pytest.param({"uid": "-1"}, "bad.ini", "the uid is", id="negative uid"),
        pytest.param({"gid": "4294967295"}, "bad.ini", "the gid is", id="gid -1"),
        pytest.param({"socket": "E'a\\nb'"}, "bad.ini", "the socket is not", id="socket"),
    ],
)
async def test_a_bad_row_stops_no_good_one(
    source: PostgresSource, bad: dict[str, str], label: str, reason: str
) -> None:
    rows = [{"name": "'good.ini'", "config": "'one'"}, bad, {"name": "'other.ini'"}]
    values = ", ".join(f"({', '.join({**GOOD, **row}.values())})" for row in rows)
    query = f"SELECT n, c, t, u::bigint, g::bigint, s FROM (VALUES {values}) AS v(n, c, t, u, g, s)"
    told = await listing_of(asking(source, query))
    assert [told.seen[name].content for name in ("good.ini", "other.ini")] == [b"one", b"c"]
    assert len(told.seen) == 2
    assert list(told.refused) == [label]
    assert reason in told.refused[label]


@pytest.mark.parametrize("ts", ["infinity", "-infinity", "12026-01-01", "0044-03-15 BC"])
async def test_a_time_that_python_has_not(source: PostgresSource, ts: str) -> None:
    source.put("good.ini", "one")
    source.execute("INSERT INTO vassals VALUES ('bad.ini', 'two', %s)", ts)
    async with watching(source.monitor(SELDOM)) as watch:
        assert list(watch.seen) == ["good.ini"]
        assert list(watch.refused) == ["bad.ini"]


async def test_a_row_that_goes_bad_is_not_gone(source: PostgresSource) -> None:
    source.put("a\u200b.ini", "one")  # a name that is printed otherwise than it is
    async with watching(source.monitor(SELDOM)) as watch:
        source.put("a\u200b.ini", "")
        await watch.until(lambda: watch.refused)
        assert watch.refused == {"a\u200b.ini": "the config is empty"}


async def test_too_many_rows_fail(source: PostgresSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "MOST_ROWS", 1000)
    query = "SELECT n || '.ini', 'c', n FROM generate_series(1, {}) AS n"
    assert len((await listing_of(asking(source, query.format(1000)))).seen) == 1000
    reason = await failure_of(asking(source, query.format(1001)))
    assert reason == "the query gives more than 1,000 rows"


async def test_too_much_text_fails(source: PostgresSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "MOST_BYTES", 1 << 20)
    query = "SELECT n || '.ini', repeat('x', 65535), n FROM generate_series(1, {}) AS n"
    assert len((await listing_of(asking(source, query.format(16)))).seen) == 16
    reason = await failure_of(asking(source, query.format(17)))
    assert reason == "the configs have more than 1 MiB"


@pytest.mark.parametrize("query", ["{}", "WITH v AS ({}) TABLE v"], ids=["guarded", "nested"])
async def test_further_columns_are_recorded_for_people(source: PostgresSource, query: str) -> None:
    columns = "'a.ini', 'one', 1, NULL, NULL, NULL, 'Zoë'::text AS author, 42 AS release,"
    rows = f"SELECT {columns} repeat('x', 5000) AS \"Long\", NULL AS nothing"
    told = await listing_of(asking(source, query.format(rows)))
    assert told.seen["a.ini"].spec.attrs == {
        "author": "Zoë",
        "release": "42",
        "Long": "(5000 bytes)",
    }
