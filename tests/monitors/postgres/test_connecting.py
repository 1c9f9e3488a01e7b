"""pg:// connects: queries that are none, passwords, services, and further hosts."""

from pathlib import Path

import pytest
from emperord.monitors.postgres.monitor import DEFAULT_QUERY, Postgres, open_url
from emperord.monitors.postgres.url import parse
from support.postgres import PostgresSource, shared

from ..watching import failure_of, listing_of
from .readings import SELDOM, asking

SECRET = "s3cr;t @'x"  # noqa: S105


# Failures


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("SELECT 'a.ini', 'c'", "gives 2 columns; it must give 3 to 22", id="2"),
        pytest.param("SELECT 1, 2" + ", 3" * 21, "gives 23 columns", id="23"),
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
