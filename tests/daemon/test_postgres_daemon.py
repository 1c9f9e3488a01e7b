"""pg:// under a whole daemon: the SQL of the page, from rows to processes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.postgres import ALL_COLUMNS, blocks, conninfo_of, talking
from support.services import Service, service
from support.serving import serving
from support.vassals import SLEEPER, Application

from .conftest import MakeDaemon


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with service("postgres") as started:
        yield started


@pytest.fixture
def server(running: Service) -> Service:
    """A server with nothing in it but the table of the page."""
    with talking(conninfo_of(running, "postgres")) as link:
        link.execute("DROP DATABASE IF EXISTS emperor WITH (FORCE)")
        link.execute("CREATE DATABASE emperor")
    execute(running, blocks()[0])
    return running


def execute(server: Service, *statements: str) -> None:
    with talking(conninfo_of(server)) as link:
        for statement in statements:
            link.execute(statement.encode())


@pytest.fixture
def daemon(make_daemon: MakeDaemon, server: Service) -> Daemon:
    return make_daemon(monitors=[f"pg://{conninfo_of(server)};{ALL_COLUMNS}"])


def test_check_tells_whose_a_name_is(daemon: Daemon, server: Service) -> None:
    execute(server, f"INSERT INTO vassals (name, config) VALUES ('a.ini', '{SLEEPER}')")
    port = server.where["port"]
    uri = f"postgresql://emperor@127.0.0.1:{port}/emperor?application_name=it"
    daemon.monitors.append(f"{uri};{ALL_COLUMNS}")
    daemon.launch("--check")
    daemon.wait()
    first, sleeps, second, rejected = daemon.log().splitlines()
    place = f"host=127.0.0.1 port={port} user=emperor dbname=emperor"
    assert first == f"pg://{place};{ALL_COLUMNS}"
    assert sleeps == "  a.ini: sleep 1000"
    assert second == f"pg://{place} application_name=it;{ALL_COLUMNS}"
    assert rejected.startswith(f"  a.ini: rejected: the name belongs to {first}")


# As written


def test_the_example_of_the_seed(make_daemon: MakeDaemon, server: Service, tmp_path: Path) -> None:
    example = "pg://host=127.0.0.1 user=foobar dbname=emperor;SELECT name,config,ts FROM vassals"
    app = Application(tmp_path)
    execute(
        server,
        "DROP TABLE vassals; DROP ROLE IF EXISTS foobar; CREATE ROLE foobar LOGIN",
        "CREATE TABLE vassals (name text, config text, ts bigint)",
        "GRANT SELECT ON vassals TO foobar",
        f"INSERT INTO vassals VALUES ('django-001.ini', '{app.config('one')}', 1)",
    )
    port = {"PGPORT": str(server.where["port"])}
    daemon = make_daemon(monitors=[example], environ=port).start()
    master = serving(daemon, app, "one").master
    execute(server, f"UPDATE vassals SET config = '{app.config('two')}', ts = 2")
    assert serving(daemon, app, "two").master == master
    execute(server, "DELETE FROM vassals")
    daemon.gone("django-001.ini")
    assert app.answers() is None
    assert {event.monitor for event in daemon.events("vassal_added")} == {example}
    daemon.stop()


def test_the_sql_of_the_page(make_daemon: MakeDaemon, server: Service, tmp_path: Path) -> None:
    app = Application(tmp_path)
    execute(server, "DROP ROLE IF EXISTS foobar", blocks()[1])
    conninfo = conninfo_of(server, user="foobar")
    daemon = make_daemon("--freq", "3600", monitors=[f"pg://{conninfo}"]).start()
    start, change, reload, end = re.findall(
        r"^-- .*\n((?:(?!-- ).*\n)+)", blocks()[2], re.MULTILINE
    )
    execute(server, re.sub(r"\[uwsgi\]\n[^']*", app.config("hello"), start))
    serving(daemon, app, "hello")
    execute(server, change)
    daemon.event("vassal_changed", "hello.ini", change="ts,config")
    seq = daemon.last_seq()
    execute(server, reload)
    assert daemon.event("vassal_changed", "hello.ini", after=seq).body["change"] == "ts"
    execute(server, end)
    daemon.gone("hello.ini")
    daemon.stop()
