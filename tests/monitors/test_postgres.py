"""pg:// on a real PostgreSQL: what is a vassal, what fails, what hangs, what is never shown."""

import gc
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from emperord.monitors.contract import Listing
from emperord.monitors.options import MonitorOptions
from emperord.monitors.postgres import monitor as postgres
from emperord.monitors.postgres.monitor import (
    DEFAULT_QUERY,
    Postgres,
    open_url,
    parse,
    split,
    url_of,
)
from emperord.monitors.registry import open_monitor
from emperord.monitors.urls import MonitorURLError
from support.postgres import PostgresSource, blocks, conninfo_of, shared, talking
from support.services import Service, service

from .watching import NEVER, OFTEN, SLOW, Watching, taking_turns, watching

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)
SECRET = "s3cr;t @'x"  # noqa: S105


@pytest.fixture
def source() -> PostgresSource:
    return PostgresSource()


@pytest.fixture(scope="module")
def breakable() -> Iterator[Service]:
    with service("postgres") as running:
        yield running


@pytest.fixture
def server(breakable: Service) -> Iterator[Service]:
    """A server to be stopped, killed and frozen; it runs again when the test is over."""
    yield breakable
    breakable("thaw")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """A connection that only the garbage collector closes was left behind."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def asking(source: PostgresSource, query: str, options: MonitorOptions = SELDOM) -> Postgres:
    return open_url(f"{source.conninfo};{query}", options)


def hurried(
    conninfo: str, query: str, options: MonitorOptions = BUSY, limit: float = 1
) -> Postgres:
    return Postgres(parse(conninfo), query, options, limit=limit)


async def listing_of(monitor: Postgres) -> Listing:
    async with watching(monitor) as watch:
        (told,) = watch.told
        assert isinstance(told, Listing), told
        return told


async def failure_of(monitor: Postgres) -> str:
    async with watching(monitor) as watch:
        assert watch.kinds()[0] == "Failed"
        return watch.failures()[0]


# The URL


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        pytest.param(
            "host=127.0.0.1 user=foobar dbname=emperor;SELECT name,config,ts FROM vassals",
            "host=127.0.0.1 user=foobar dbname=emperor;SELECT name,config,ts FROM vassals",
            id="seed",
        ),
        pytest.param("dbname=x host = h", f"host=h dbname=x;{DEFAULT_QUERY}", id="default query"),
        pytest.param("host=h; ;", f"host=h;{DEFAULT_QUERY}", id="empty query"),
        pytest.param("", f";{DEFAULT_QUERY}", id="all from the environment"),
        pytest.param("service=x", f"service=x;{DEFAULT_QUERY}", id="service"),
        pytest.param(
            "postgresql://u@h:5433/d?sslmode=require;SELECT 1;",
            "host=h port=5433 user=u dbname=d sslmode=require;SELECT 1",
            id="URI",
        ),
        pytest.param("postgres://%2Ftmp/d;TABLE v", "host=/tmp dbname=d;TABLE v", id="URI, socket"),
        pytest.param(
            "host=h dbname='a;b \\'c\\\\';SELECT ';'",
            "host=h dbname='a;b \\'c\\\\';SELECT ';'",
            id="semicolon in quotes",
        ),
        pytest.param("dbname=a\\;b;SELECT 1", "dbname='a;b';SELECT 1", id="semicolon escaped"),
    ],
)
def test_the_url_is_what_libpq_understood(rest: str, expected: str) -> None:
    monitor = open_monitor(f"pg://{rest}")
    assert monitor.url == f"pg://{expected}"
    assert open_monitor(monitor.url).url == monitor.url


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param("host=h user=u password=hidden", id="plain"),
        pytest.param("host=h user=u password = hidden", id="spaces around ="),
        pytest.param("host=h password='hidden; \\'hidden' user=u", id="quoted"),
        pytest.param("postgresql://u:hidden@h", id="userinfo"),
        pytest.param("postgresql://u:hidden%3B%40%2Fhidden@h", id="userinfo, escaped"),
        pytest.param("postgresql://u@h?password=hidden", id="query of the URI"),
        pytest.param("host=h user=u passfile=/hidden sslpassword='hidden'", id="others"),
        pytest.param("postgresql://u@h?sslpassword=hidden&passfile=hidden", id="others in a URI"),
    ],
)
def test_the_url_has_no_secret_and_does_not_depend_on_it(rest: str) -> None:
    assert open_monitor(f"pg://{rest}").url == f"pg://host=h user=u;{DEFAULT_QUERY}"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "POSTGRESQL"])
def test_a_uri_may_stand_alone(scheme: str) -> None:
    uri = f"{scheme}://u:hid%3Bden@h:5433/d?sslmode=require;SELECT name, config, ts FROM v;"
    monitor = open_monitor(uri)
    assert monitor.url == (
        "pg://host=h port=5433 user=u dbname=d sslmode=require;SELECT name, config, ts FROM v"
    )
    assert open_monitor(f"{scheme}://").url == f"pg://;{DEFAULT_QUERY}"


@pytest.mark.parametrize(
    ("conninfo", "shown"),
    [
        pytest.param(
            "host=x password=''hid den'' user=y", "host=x password=*** user=y", id="pairs"
        ),
        pytest.param("postgresql://u:hid@den@h/d", "postgresql://u:***@h/d", id="URI"),
        pytest.param(
            "postgresql://u@h/d?password=hid", "postgresql://u@h/d?password=***", id="URI's query"
        ),
        pytest.param("postgresql://h:5432/d", "postgresql://h:5432/d", id="URI without one"),
    ],
)
def test_a_conninfo_inside_the_query_is_hidden_too(conninfo: str, shown: str) -> None:
    query = "SELECT * FROM dblink('{}', 'SELECT 1 AS \"x@y\"') AS t(a, b, c)"
    url = open_monitor(f"pg://host=h;{query.format(conninfo)}").url
    assert url == f"pg://host=h;{query.format(shown)}"


@pytest.mark.parametrize(
    ("rest", "advice"),
    [
        pytest.param("host", "write it as for psql", id="no ="),
        pytest.param("user:hidden@h/d", "postgresql://user@host", id="URI without its scheme"),
        pytest.param("host=h nonsense=1", 'invalid connection option "nonsense"', id="option"),
        pytest.param("host=h password=it hidden", "write it as for psql", id="unquoted space"),
        pytest.param("host=h password='hidden", "unterminated quoted string", id="open quote"),
        pytest.param('password=\'a"b hidden"c', "write it as for psql", id="quotes in it"),
        pytest.param("password=a;hidden host=h;SELECT 1", "password='…'", id="unquoted semicolon"),
        pytest.param("postgresql://u:a@hidden@h/d", "%40", id="URI, @"),
        pytest.param("postgresql://u:1/hidden@h/d", "%2F", id="URI, slash"),
        pytest.param("postgresql://u:hidden/d", "%3A", id="URI, no host"),
        pytest.param("postgresql://u:1;hidden@h/d;SELECT 1", "%3B", id="URI, semicolon"),
        pytest.param("postgresql://u:1;hid den@h/d;SELECT 1", "%3B", id="URI, semicolon, space"),
        pytest.param("postgresql://h/d?hidden=x@h", "write it as for psql", id="URI, unknown"),
        pytest.param("postgresql://u:%ff%zz@h", "write it as for psql", id="URI, escapes"),
    ],
)
def test_what_cannot_be_understood_is_refused_without_a_secret(rest: str, advice: str) -> None:
    with pytest.raises(MonitorURLError) as refused:
        open_monitor(f"pg://{rest}")
    assert advice in str(refused.value)
    assert "hid" not in str(refused.value).replace("'hidden'", "")
    assert "\n" not in str(refused.value)


def test_urls_of_any_values_are_read_back() -> None:
    for value in ("a", "a b", "a;b", "'", "\\", "a'b\\c;d", "é", "=", "@"):
        parameters = {"host": "h", "user": value, "dbname": value + "x"}
        conninfo, query = split(url_of(parameters, "SELECT 1").removeprefix("pg://"))
        assert (parse(conninfo), query) == (parameters, "SELECT 1")


def test_psycopg_is_imported_for_such_a_monitor_only() -> None:
    code = (
        "import sys; from emperord.daemon import main; main.open_monitor('/tmp');"
        "print([name for name in sys.modules if name.startswith(('psycopg', 'trio_asyncio'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


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


# Failures


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("SELECT 'a.ini', 'c'", "gives 2 columns; it must give 3 to 6", id="2"),
        pytest.param("SELECT 1, 2, 3, 4, 5, 6, 7", "gives 7 columns", id="7"),
        pytest.param("SELECT name FROM vassals", "gives 1 columns", id="1, of no rows"),
        pytest.param("SELECT 1, 2, 3 FROM nowhere", '"nowhere" does not exist', id="no table"),
        pytest.param("SELEC", 'syntax error at or near "SELEC"', id="syntax"),
        pytest.param("SELECT 'a.ini', 'c', 1/0", "division by zero", id="error in a row"),
        pytest.param("SELECT 1, 2, 1/(5-n) FROM generate_series(1, 9) n", "by zero", id="later"),
        pytest.param("DELETE FROM vassals RETURNING *", "read-only transaction", id="writes"),
        pytest.param("SELECT 1, 2, 3; SELECT 1, 2, 3", "multiple commands", id="two statements"),
        pytest.param("SET timezone = 'UTC'", "gives no rows; it must be a SELECT", id="no SELECT"),
        pytest.param("COPY vassals TO STDOUT", "gives no rows", id="COPY out"),
        pytest.param("COPY vassals FROM STDIN", "read-only transaction", id="COPY in"),
        pytest.param("-- nothing", "gives no rows", id="empty"),
    ],
)
async def test_a_query_that_is_none(source: PostgresSource, query: str, reason: str) -> None:
    source.put("a.ini", "one")
    assert reason in await failure_of(asking(source, query))
    assert source.execute("SELECT count(*) FROM vassals") == [(1,)]


async def test_a_wrong_password_fails_and_is_not_told(source: PostgresSource) -> None:
    conninfo = guarded(source)
    wrong = SECRET + "?"
    monitor = open_url(f"{conninfo.replace(quoted(SECRET), quoted(wrong))}", SELDOM)
    reason = await failure_of(monitor)
    assert "password authentication failed" in reason
    assert not any(part in reason + monitor.url for part in (SECRET, wrong, "s3cr"))


async def test_a_right_password_lets_in(source: PostgresSource) -> None:
    source.put("a.ini", "one")
    told = await listing_of(open_url(guarded(source), SELDOM))
    assert list(told.seen) == ["a.ini"]


async def test_a_secret_that_an_error_quotes_is_hidden(source: PostgresSource) -> None:
    conninfo = f"{source.conninfo} password={quoted(SECRET)}"
    query = f"SELECT 1, 2, {quoted(SECRET, doubled=True)}::int"
    reason = await failure_of(Postgres(parse(conninfo), query, SELDOM))
    assert reason == 'invalid input syntax for type integer: "***"'


def quoted(text: str, *, doubled: bool = False) -> str:
    return "'" + text.replace("'", "''" if doubled else "\\'") + "'"


def guarded(source: PostgresSource) -> str:
    """A conninfo that needs a password."""
    role = f"r{source.schema}"
    source.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD {quoted(SECRET, doubled=True)} IN ROLE needs_password;"
        f"GRANT USAGE ON SCHEMA {source.schema} TO {role}; GRANT SELECT ON vassals TO {role}"
    )
    return source.conninfo.replace("user=emperor", f"user={role} password={quoted(SECRET)}")


async def test_a_service(
    source: PostgresSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put("a.ini", "one")
    given = parse(source.conninfo)
    lines = [f"{key}={value}" for key, value in given.items() if key != "user"]
    file = tmp_path / "services"
    file.write_text(
        "\n".join(["[x]", "host=nowhere.invalid", "", "# [e]", "[e]", *lines, "[y]", "port=1"])
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    monitor = open_url("service=e user=emperor", SELDOM)
    assert monitor.url == f"pg://user=emperor service=e;{DEFAULT_QUERY}"
    assert list((await listing_of(monitor)).seen) == ["a.ini"]
    monkeypatch.setenv("PGSERVICE", "e")
    assert list((await listing_of(open_url("user=emperor", SELDOM))).seen) == ["a.ini"]
    monkeypatch.delenv("PGSERVICE")
    reason = await failure_of(open_url("service=none", SELDOM))
    assert reason == 'connection is bad: definition of service "none" not found'


async def test_a_secret_of_a_service_is_hidden(
    source: PostgresSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "services"
    file.write_text("[e]\npassword=hidden\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    query = "SELECT 1, 2, 'hidden'::int"
    reason = await failure_of(open_url(f"{source.conninfo} service=e;{query}", SELDOM))
    assert reason == 'invalid input syntax for type integer: "***"'


async def test_the_next_host_has_its_turn(source: PostgresSource) -> None:
    source.put("a.ini", "one")
    port = shared().where["port"]
    two = source.conninfo.replace("host=127.0.0.1", "host=127.0.0.2,127.0.0.1")
    told = await listing_of(open_url(two.replace(f"port={port}", f"port=1,{port}"), SELDOM))
    assert list(told.seen) == ["a.ini"]


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("nowhere.invalid", "nowhere.invalid", id="unknown"),
        pytest.param("a..b", "no name that a host can have", id="impossible"),
    ],
)
async def test_a_host_that_does_not_exist(host: str, reason: str) -> None:
    told = await failure_of(open_url(f"host={host} user=x", SELDOM))
    assert reason in told
    assert "Errno" not in told


# The connection


def sessions(schema: str) -> list[tuple[Any, ...]]:
    with talking(conninfo_of(shared())) as link:
        return link.execute(
            "SELECT pid, state, query FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = 'emperor'",
            (schema,),
        ).fetchall()


async def test_one_connection_is_kept(source: PostgresSource) -> None:
    conninfo = f"{source.conninfo} application_name={source.schema}"
    async with watching(open_url(conninfo, BUSY)) as watch:
        pids = set()
        for _ in range(20):
            await watch.listings(1)
            ((pid, _, _),) = sessions(source.schema)
            pids.add(pid)
        assert len(pids) == 1
    await gone(source.schema)


async def gone(schema: str) -> None:
    """Return when the server has no session of this name."""
    while await trio.to_thread.run_sync(sessions, schema):
        await trio.lowlevel.checkpoint()


async def test_the_session_is_what_the_page_says(source: PostgresSource) -> None:
    query = "SELECT name || '.ini', setting, 1 FROM pg_settings WHERE name IN ("
    query += "'application_name', 'default_transaction_read_only', 'statement_timeout')"
    told = await listing_of(asking(source, query))
    assert {name: seen.content for name, seen in told.seen.items()} == {
        "application_name.ini": b"emperord",
        "default_transaction_read_only.ini": b"on",
        "statement_timeout.ini": b"9000",
    }


@pytest.mark.few(1)
@pytest.mark.usefixtures("way")
async def test_configs_that_are_slow_to_read_are_read_at_last_and_hold_up_nobody(
    source: PostgresSource,
) -> None:
    query = f"SELECT n || '.yml', '{SLOW}', n FROM generate_series(1, 10) AS n"
    monitor = hurried(source.conninfo, query, limit=0.5)
    async with taking_turns() as turns, watching(monitor) as watch:
        await watch.until(lambda: len(watch.seen) == 10)
        assert set(watch.contents) == set(watch.seen)
    assert turns.longest < turns.all / 2


async def test_a_slow_query_is_ended_by_the_server(source: PostgresSource) -> None:
    conninfo = f"{source.conninfo} application_name={source.schema}"
    reason = await failure_of(hurried(conninfo, "SELECT 'a.ini', 'c', pg_sleep(100)", limit=0.5))
    assert reason == "canceling statement due to statement timeout"
    await gone(source.schema)


@pytest.mark.usefixtures("way")
async def test_a_query_that_nobody_waits_for_is_cancelled(source: PostgresSource) -> None:
    conninfo = f"{source.conninfo} application_name={source.schema}"
    monitor = hurried(conninfo, "SELECT 'a.ini', 'c', pg_sleep(100)", limit=60)
    async with watching(monitor, listed=False):
        while not any("pg_sleep" in query for _, _, query in sessions(source.schema)):
            await trio.lowlevel.checkpoint()
    await gone(source.schema)


async def test_notify_wakes(source: PostgresSource) -> None:
    async with watching(source.monitor(SELDOM)) as watch:
        told = len(watch.told)
        source.execute("NOTIFY emperor")
        await watch.until(lambda: len(watch.told) > told)


async def test_a_change_while_it_reads_is_not_missed(source: PostgresSource) -> None:
    source.put("a.ini", "one")
    query = "SELECT name, config, ts FROM vassals, (SELECT pg_advisory_xact_lock_shared(1)) AS held"
    with talking(conninfo_of(shared())) as link:
        link.execute("SELECT pg_advisory_lock(1)")
        async with watching(asking(source, query), listed=False) as watch:
            waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while link.execute(waiting).fetchone() is None:
                await trio.lowlevel.checkpoint()
            source.put("a.ini", "two")  # the reading has begun, so it does not see this
            link.execute("SELECT pg_advisory_unlock(1)")
            await watch.shows("a.ini", "one")
            await watch.shows("a.ini", "two")


# Servers that come, go and hang


def filled(server: Service) -> str:
    with talking(conninfo_of(server)) as link:
        link.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        link.execute(blocks()[0])
        link.execute("INSERT INTO vassals (name, config) VALUES ('a.ini', 'one')")
    return conninfo_of(server)


def change(server: Service, content: str) -> None:
    with talking(conninfo_of(server)) as link:
        link.execute("UPDATE vassals SET config = %s", (content,))


async def order(server: Service, *orders: Any) -> None:
    for each in orders:
        await trio.to_thread.run_sync(server, each)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_that_restarts(server: Service, end: str) -> None:
    async with watching(hurried(filled(server), DEFAULT_QUERY, SELDOM)) as watch:
        await order(server, end)
        await watch.until(watch.failures)
        assert list(watch.seen) == ["a.ini"]
        await order(server, "start")
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        await trio.to_thread.run_sync(change, server, "two")
        await watch.shows("a.ini", "two")


async def test_a_server_that_is_silent_at_connect(server: Service) -> None:
    conninfo = filled(server)
    await order(server, "freeze")
    async with watching(hurried(conninfo, DEFAULT_QUERY)) as watch:
        assert watch.failures() == ["connecting to it took longer than 1 s"]
        await order(server, "thaw")
        await watch.shows("a.ini", "one")


async def test_a_server_that_is_silent_at_read(server: Service) -> None:
    async with watching(hurried(filled(server), DEFAULT_QUERY)) as watch:
        await order(server, "freeze")
        await watch.until(watch.failures)
        assert watch.failures() == ["reading it took longer than 1 s"]
        assert list(watch.seen) == ["a.ini"]
        await order(server, "thaw")
        await trio.to_thread.run_sync(change, server, "two")
        await watch.shows("a.ini", "two")


@pytest.mark.few(2)
@pytest.mark.usefixtures("way")
@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("silent", ["connect", "read", "wait"])
async def test_who_is_cancelled_does_not_wait_for_a_silent_server(
    server: Service, silent: str
) -> None:
    conninfo = filled(server)
    options = SELDOM if silent == "wait" else BUSY
    monitor = hurried(conninfo, DEFAULT_QUERY, options, limit=60)
    if silent == "connect":
        await order(server, "freeze")
    before = os.listdir("/proc/self/fd")
    watch = Watching()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(monitor.run, watch.tell, {}))
        if silent != "connect":
            await watch.listings(1)
            await order(server, "freeze")
        with trio.move_on_after(0.2):  # let it run into the silence
            await watch.listings(1000)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < 5
    assert os.listdir("/proc/self/fd") == before
