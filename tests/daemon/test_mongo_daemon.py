"""mongodb:// under a whole daemon: from documents to processes, through outages and floods."""

import itertools
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from emperord.journal.chain import digest
from pymongo import MongoClient, ReplaceOne
from pymongo.collection import Collection
from support import processes
from support.daemon import Daemon
from support.gate import Gate
from support.mongodb import client_of
from support.services import Service, service
from support.vassals import SLEEPER, Application

from .conftest import MakeDaemon

BARRED = "[emperor]\nnonsense = {}\n"  # is known, and never runs
Vassals = Collection[dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    with service("mongodb") as started:
        yield started


@pytest.fixture
def client(server: Service) -> Iterator[MongoClient[dict[str, Any]]]:
    with client_of(server) as talking:
        yield talking


@pytest.fixture
def vassals(client: MongoClient[dict[str, Any]]) -> Vassals:
    """The collection, with nothing in it."""
    client.drop_database("emperor")
    return client["emperor"]["vassals"]


@pytest.fixture
def url(server: Service) -> str:
    return f"mongodb://{server.where['hosts']},emperor.vassals,{{enabled:1}}"


@pytest.fixture
def daemon(make_daemon: MakeDaemon, url: str) -> Daemon:
    return make_daemon(monitors=[url])


times = itertools.count(1)


def put(vassals: Vassals, name: str, config: str | None, **more: Any) -> None:
    """Insert a document, or change it."""
    document = {"name": name, "config": config, "ts": next(times), "enabled": 1, **more}
    vassals.replace_one({"name": name}, document, upsert=True)


def says(daemon: Daemon, app: Application, what: str) -> int:
    """Wait until the application says this; the pid of its master."""

    def asked() -> int | None:
        answer = app.answers()
        return answer.master if answer is not None and answer.says == what else None

    return daemon.until(asked, f"the application says {what}")


def test_check_reads_it(daemon: Daemon, vassals: Vassals) -> None:
    put(vassals, "a.ini", SLEEPER)
    daemon.launch("--check")
    assert daemon.wait() == 0
    assert daemon.log().splitlines()[1:] == ["  a.ini: sleep 1000"]


# As written


def test_the_example_of_the_seed(
    make_daemon: MakeDaemon, server: Service, vassals: Vassals, tmp_path: Path
) -> None:
    example = "mongodb://127.0.0.1:27107,emperor.vassals,{enabled:1}"
    app, other = Application(tmp_path), Application(tmp_path)
    now = datetime(2024, 2, 29, tzinfo=UTC)
    put(vassals, "app.ini", app.config("one"), ts=now)
    put(vassals, "other.ini", other.config("never"), ts=now, enabled=0)
    with Gate(server.where["port"], port=27107):
        daemon = make_daemon(monitors=[example]).start()
        master = says(daemon, app, "one")
        # One millisecond is a change.
        later = now.replace(microsecond=1000)
        put(vassals, "app.ini", app.config("two"), ts=later)
        assert says(daemon, app, "two") == master
        vassals.update_one({"name": "app.ini"}, {"$set": {"enabled": 0}})
        daemon.gone("app.ini")
        assert app.answers() is None
        assert [event.vassal for event in daemon.events("vassal_added")] == ["app.ini"]
        assert {event.monitor for event in daemon.events("vassal_added")} == {example}
        daemon.stop()


def test_a_document_without_a_config_is_a_file(
    daemon: Daemon, vassals: Vassals, tmp_path: Path
) -> None:
    app = Application(tmp_path)
    (daemon.folder / "app.ini").write_text(app.config("one"))
    put(vassals, "app.ini", None)
    daemon.start()
    master = says(daemon, app, "one")
    (daemon.folder / "app.ini").write_text(app.config("two"))
    vassals.update_one({"name": "app.ini"}, {"$set": {"ts": next(times)}})
    assert says(daemon, app, "two") == master
    assert daemon.config_text(daemon.fleet().vassals["app.ini"].spec.config) is not None
    daemon.stop()


def test_a_socket_means_on_demand(daemon: Daemon, vassals: Vassals) -> None:
    socket = str(daemon.folder / "a.sock")
    put(vassals, "a.ini", SLEEPER, socket=socket)
    daemon.start()
    assert daemon.phase("a.ini", "listening").spec.socket == socket
    put(vassals, "a.ini", SLEEPER, socket="")
    daemon.phase("a.ini", "ready")
    daemon.stop()


# The record


def test_each_bad_document_is_rejected_once(daemon: Daemon, vassals: Vassals) -> None:
    put(vassals, "good.ini", SLEEPER)
    put(vassals, "bad", SLEEPER)
    put(vassals, "nan.ini", SLEEPER, ts=float("nan"))
    vassals.insert_one({"_id": "nameless", "config": SLEEPER, "ts": 1, "enabled": 1})
    daemon.start()
    before = daemon.phase("good.ini", "ready")
    # Another text with the same ts is not believed, and that is said once, too.
    vassals.update_one({"name": "good.ini"}, {"$set": {"config": SLEEPER + "# more\n"}})
    rejected = daemon.event("observation_rejected", "good.ini")
    assert "its ts did not" in rejected.body["reason"]
    for count in range(3):  # readings, by what each of them finds
        put(vassals, f"other{count}.ini", SLEEPER)
        daemon.event("vassal_added", f"other{count}.ini")
    assert sorted(e.body["name"] for e in daemon.events("observation_rejected")) == [
        "bad",
        "document nameless",
        "good.ini",
        "nan.ini",
    ]
    assert daemon.vassal("good.ini") == before
    vassals.update_one({"name": "good.ini"}, {"$set": {"ts": next(times)}})
    changed = daemon.event("vassal_changed", "good.ini")
    assert daemon.config_text(changed.body["spec"]["config"]) == (SLEEPER + "# more\n").encode()
    # And a known vassal whose document is bad now is not gone.
    known = daemon.phase("other0.ini", "ready")
    vassals.update_one({"name": "other0.ini"}, {"$set": {"ts": "soon"}})
    daemon.event("observation_rejected", count=5)
    put(vassals, "last.ini", SLEEPER)
    daemon.phase("last.ini", "ready")
    assert daemon.vassal("other0.ini") == known
    daemon.stop()


def test_secrets_are_shown_nowhere(
    make_daemon: MakeDaemon,
    server: Service,
    client: MongoClient[dict[str, Any]],
    vassals: Vassals,
) -> None:
    secret = "s3cr3t' ,@/x"  # noqa: S105
    escaped = "s3cr3t%27%20%2C%40%2Fx"
    client.admin.command("createUser", "guarded", pwd=secret, roles=["readAnyDatabase"])
    put(vassals, "a.ini", SLEEPER)
    hosts = server.where["hosts"]
    monitors = [
        f"mongodb://guarded:{escaped}@{hosts}/?authSource=admin,emperor.vassals",
        f"mongodb2://addr={hosts},coll=x.y,username=me,password=s3cr3t no,db=admin",
        "mongodb://me:s3cr3t@127.0.0.1:1,x.y",
    ]
    daemon = make_daemon(monitors=monitors).start()
    daemon.phase("a.ini", "ready")
    for shown in ("me:***@127.0.0.1:1", f"me:***@{hosts}"):
        daemon.until(
            lambda shown=shown: [  # type: ignore[misc]
                event for event in daemon.events("monitor_failed") if shown in str(event.monitor)
            ],
            f"{shown} has failed",
        )
    children = [pid for pid in daemon.running() if pid != daemon.pid]
    assert children
    assert not any("s3cr3t" in word for pid in children for word in processes.argv_of(pid))
    daemon.stop()
    client.admin.command("dropUser", "guarded")
    for path in (*daemon.state.rglob("*"), daemon.folder / "daemon.log"):
        if path.is_file():
            content = path.read_bytes()
            assert b"s3cr3t" not in content, path
            assert b"%27" not in content, path


# Outages and restarts


def test_the_server_restarts_in_between(daemon: Daemon, server: Service, vassals: Vassals) -> None:
    put(vassals, "a.ini", SLEEPER)
    put(vassals, "b.ini", SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    server("stop")
    daemon.event("monitor_failed")
    server("start")
    daemon.event("monitor_recovered")
    vassals.delete_one({"name": "b.ini"})
    daemon.gone("b.ini")
    put(vassals, "a.ini", SLEEPER + "# more\n")
    daemon.event("vassal_changed", "a.ini")
    assert daemon.events("spawned", "a.ini")[0].body["pid"] == pid
    assert len(daemon.events("monitor_failed")) == 1
    daemon.stop()


def test_the_daemon_restarts_in_between(daemon: Daemon, vassals: Vassals) -> None:
    for name in ("same", "changed", "gone"):
        put(vassals, f"{name}.ini", SLEEPER)
    daemon.start()
    before = {n: daemon.phase(f"{n}.ini", "ready").spec for n in ("same", "changed", "gone")}
    daemon.stop()
    seq = daemon.last_seq()
    put(vassals, "changed.ini", SLEEPER + "# more\n")
    put(vassals, "new.ini", SLEEPER)
    vassals.delete_one({"name": "gone.ini"})
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
    make_daemon: MakeDaemon, server: Service, vassals: Vassals, url: str, tmp_path: Path
) -> None:
    put(vassals, "a.ini", SLEEPER)
    daemon = make_daemon(monitors=[tmp_path / "vassals", url]).start()
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

DOCUMENTS, CHANGES = 250, 5000


def memory_of(pid: int) -> int:
    """The most that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert peak is not None
    return int(peak[1]) * 1024


def test_a_flood_of_changes(
    make_daemon: MakeDaemon, vassals: Vassals, url: str, tmp_path: Path
) -> None:
    def change(count: int) -> dict[str, Any]:
        name, config = f"v{count % DOCUMENTS}.ini", BARRED.format(count)
        return {"name": name, "config": config, "ts": count, "enabled": 1}

    vassals.insert_many({"_id": n, **change(n)} for n in range(DOCUMENTS))
    daemon = make_daemon(monitors=[tmp_path / "vassals", url]).start()
    daemon.event("vassal_added", "v%", count=DOCUMENTS)
    before = memory_of(daemon.pid)
    for start in range(DOCUMENTS, CHANGES + DOCUMENTS, 500):
        part = range(start, start + 500)
        vassals.bulk_write([ReplaceOne({"_id": n % DOCUMENTS}, change(n)) for n in part])
        (daemon.vassals / f"d{start}.ini").write_text(BARRED.format(start))
    for start in range(DOCUMENTS, CHANGES + DOCUMENTS, 500):
        daemon.event("vassal_added", f"d{start}.ini", patience=5)
    last = [change(n) for n in range(CHANGES, CHANGES + DOCUMENTS)]
    expected = {each["name"]: digest(each["config"].encode()) for each in last}

    def is_as_the_source() -> bool:
        fleet = daemon.fleet().vassals
        return all(fleet[name].spec.config == config for name, config in expected.items())

    daemon.until(is_as_the_source, "the fleet is as the source")
    assert memory_of(daemon.pid) - before < 60 * 1024 * 1024
    assert not daemon.events("monitor_failed")
    assert not daemon.events("observation_rejected")
    daemon.stop()
