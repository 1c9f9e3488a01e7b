"""pg:// under a whole daemon: from rows to processes, through outages, floods and restarts."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.journal.chain import digest
from support import processes
from support.daemon import Daemon
from support.postgres import ALL_COLUMNS, blocks, conninfo_of, talking
from support.services import Service, service
from support.vassals import SLEEPER, Application

from .conftest import MakeDaemon

BARRED = "[emperor]\nnonsense = {}\n"  # is known, and never runs


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


def put(server: Service, name: str, config: str) -> None:
    with talking(conninfo_of(server)) as link:
        link.execute(
            "INSERT INTO vassals (name, config) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET config = excluded.config",
            (name, config),
        )


@pytest.fixture
def daemon(make_daemon: MakeDaemon, server: Service) -> Daemon:
    return make_daemon(monitors=[f"pg://{conninfo_of(server)};{ALL_COLUMNS}"])


def says(daemon: Daemon, app: Application, what: str) -> int:
    """Wait until the application says this; the pid of its master."""

    def asked() -> int | None:
        answer = app.answers()
        return answer.master if answer is not None and answer.says == what else None

    return daemon.until(asked, f"the application says {what}")


def test_check_reads_it(daemon: Daemon, server: Service) -> None:
    put(server, "a.ini", SLEEPER)
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
    master = says(daemon, app, "one")
    execute(server, f"UPDATE vassals SET config = '{app.config('two')}', ts = 2")
    assert says(daemon, app, "two") == master
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
    says(daemon, app, "hello")
    execute(server, change)
    daemon.event("vassal_changed", "hello.ini", change="ts,config")
    seq = daemon.last_seq()
    execute(server, reload)
    assert daemon.event("vassal_changed", "hello.ini", after=seq).body["change"] == "ts"
    execute(server, end)
    daemon.gone("hello.ini")
    daemon.stop()


# The record


def test_each_bad_row_is_rejected_once(daemon: Daemon, server: Service) -> None:
    put(server, "good.ini", SLEEPER)
    put(server, "bad", SLEEPER)
    put(server, "empty.ini", "")
    daemon.start()
    before = daemon.phase("good.ini", "ready")
    # Another text with the same ts is not believed, and that is said once, too.
    execute(server, "ALTER TABLE vassals DISABLE TRIGGER vassals_touch")
    put(server, "good.ini", SLEEPER + "# more\n")
    rejected = daemon.event("observation_rejected", "good.ini")
    assert "its ts did not" in rejected.body["reason"]
    for count in range(3):  # readings, by what each of them finds
        put(server, f"other{count}.ini", SLEEPER)
        daemon.event("vassal_added", f"other{count}.ini")
    assert sorted(e.body["name"] for e in daemon.events("observation_rejected")) == [
        "bad",
        "empty.ini",
        "good.ini",
    ]
    assert daemon.vassal("good.ini") == before
    execute(server, "UPDATE vassals SET ts = now() WHERE name = 'good.ini'")
    changed = daemon.event("vassal_changed", "good.ini")
    assert daemon.config_text(changed.body["spec"]["config"]) == (SLEEPER + "# more\n").encode()
    daemon.stop()


def test_secrets_are_shown_nowhere(make_daemon: MakeDaemon, server: Service) -> None:
    secret = "s3cr3t' ;@/x"  # noqa: S105
    literal = secret.replace("'", "''")
    execute(
        server,
        "DROP ROLE IF EXISTS guarded",
        f"CREATE ROLE guarded LOGIN PASSWORD '{literal}' IN ROLE needs_password",
        "GRANT SELECT ON vassals TO guarded",
    )
    put(server, "a.ini", SLEEPER)
    port = server.where["port"]
    good = f"pg://postgresql://guarded:s3cr3t%27%20%3B%40%2Fx@127.0.0.1:{port}/emperor"
    bad = f"pg://host=127.0.0.1 port={port} user=guarded password='s3cr3t no'"
    daemon = make_daemon(monitors=[good, bad]).start()
    daemon.phase("a.ini", "ready")
    failed = daemon.event("monitor_failed")
    assert "password authentication failed" in failed.body["reason"]
    execute(server, "ALTER TABLE vassals RENAME TO away")
    daemon.event("monitor_failed", count=2)
    children = [pid for pid in daemon.running() if pid != daemon.pid]
    assert children
    assert not any("s3cr3t" in word for pid in children for word in processes.argv_of(pid))
    daemon.stop()
    for path in (*daemon.state.rglob("*"), daemon.folder / "daemon.log"):
        if path.is_file():
            content = path.read_bytes()
            assert b"s3cr3t" not in content, path
            assert b"%27" not in content, path


# Outages and restarts


def test_the_server_restarts_in_between(daemon: Daemon, server: Service) -> None:
    put(server, "a.ini", SLEEPER)
    put(server, "b.ini", SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    server("stop")
    daemon.event("monitor_failed")
    server("start")
    daemon.event("monitor_recovered")
    execute(server, "DELETE FROM vassals WHERE name = 'b.ini'")
    daemon.gone("b.ini")
    put(server, "a.ini", SLEEPER + "# more\n")
    daemon.event("vassal_changed", "a.ini")
    assert daemon.events("spawned", "a.ini")[0].body["pid"] == pid
    assert len(daemon.events("monitor_failed")) == 1
    daemon.stop()


def test_the_daemon_restarts_in_between(daemon: Daemon, server: Service) -> None:
    for name in ("same", "changed", "gone"):
        put(server, f"{name}.ini", SLEEPER)
    daemon.start()
    before = {n: daemon.phase(f"{n}.ini", "ready").spec for n in ("same", "changed", "gone")}
    daemon.stop()
    seq = daemon.last_seq()
    put(server, "changed.ini", SLEEPER + "# more\n")
    put(server, "new.ini", SLEEPER)
    execute(server, "DELETE FROM vassals WHERE name = 'gone.ini'")
    daemon.start()
    for name in ("same", "changed", "new"):
        daemon.phase(f"{name}.ini", "ready")
    daemon.gone("gone.ini")
    told = {e.vassal: e.kind for e in daemon.events("vassal%ed", after=seq) if e.monitor}
    assert told == {
        "changed.ini": "vassal_changed",
        "new.ini": "vassal_added",
        "gone.ini": "vassal_removed",
    }
    same = daemon.vassal("same.ini")
    assert same is not None
    assert same.spec == before["same"]
    daemon.stop()


def test_a_silent_server_holds_up_nobody(
    make_daemon: MakeDaemon, server: Service, tmp_path: Path
) -> None:
    put(server, "a.ini", SLEEPER)
    daemon = make_daemon(monitors=[tmp_path / "vassals", f"pg://{conninfo_of(server)}"]).start()
    daemon.phase("a.ini", "ready")
    server("freeze")
    try:
        for count in range(3):
            (daemon.vassals / f"v{count}.ini").write_text(SLEEPER)
            daemon.phase(f"v{count}.ini", "ready", patience=5)
        began = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began < 8
        # And one that is silent from the start: the daemon is ready all the same.
        daemon.start()
        daemon.phase("v0.ini", "ready", patience=8)
    finally:
        server("thaw")
    daemon.phase("a.ini", "ready")
    daemon.stop()


# A flood

ROWS, CHANGES = 250, 5000


def memory_of(pid: int) -> int:
    """The most that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert peak is not None
    return int(peak[1]) * 1024


def test_a_flood_of_changes(make_daemon: MakeDaemon, server: Service, tmp_path: Path) -> None:
    with talking(conninfo_of(server)) as link, link.cursor() as cursor:
        rows = [(f"v{row}.ini", BARRED.format(row)) for row in range(ROWS)]
        cursor.executemany("INSERT INTO vassals (name, config) VALUES (%s, %s)", rows)
    daemon = make_daemon(monitors=[tmp_path / "vassals", f"pg://{conninfo_of(server)}"]).start()
    daemon.event("vassal_added", "v%", count=ROWS)
    before = memory_of(daemon.pid)
    changes = [(BARRED.format(c), f"v{c % ROWS}.ini") for c in range(CHANGES)]
    with talking(conninfo_of(server)) as link:
        for count, change in enumerate(changes):  # a transaction and a NOTIFY each
            link.execute("UPDATE vassals SET config = %s WHERE name = %s", change)
            if count % 500 == 0:
                (daemon.vassals / f"d{count}.ini").write_text(BARRED.format(count))
    for start in range(0, CHANGES, 500):
        daemon.event("vassal_added", f"d{start}.ini", patience=5)
    expected = {name: digest(config.encode()) for config, name in changes}

    def is_as_the_source() -> bool:
        fleet = daemon.fleet().vassals
        return all(fleet[name].spec.config == config for name, config in expected.items())

    daemon.until(is_as_the_source, "the fleet is as the source")
    assert memory_of(daemon.pid) - before < 60 * 1024 * 1024
    assert not daemon.events("monitor_failed")
    assert not daemon.events("observation_rejected")
    daemon.stop()
