"""pg:// URLs are read as libpq reads them, and no error shows a password."""

import subprocess
import sys

import pytest
from emperord.monitors.postgres.monitor import DEFAULT_QUERY
from emperord.monitors.postgres.url import parse, split, url_of
from emperord.monitors.registry import open_monitor
from emperord.monitors.urls import MonitorURLError

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
        "import sys; import emperord.daemon.main; from emperord.monitors import registry;"
        "registry.open_monitor('/tmp');"
        "print([name for name in sys.modules if name.startswith(('psycopg', 'trio_asyncio'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
