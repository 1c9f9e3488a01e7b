"""mongodb:// under a whole daemon: from documents to processes."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from support.daemon import Daemon
from support.gate import Gate
from support.mongodb import client_of
from support.services import Service, service
from support.serving import serving
from support.vassals import SLEEPER, Application

from .conftest import MakeDaemon

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
        master = serving(daemon, app, "one").master
        # One millisecond is a change.
        later = now.replace(microsecond=1000)
        put(vassals, "app.ini", app.config("two"), ts=later)
        assert serving(daemon, app, "two").master == master
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
    master = serving(daemon, app, "one").master
    (daemon.folder / "app.ini").write_text(app.config("two"))
    vassals.update_one({"name": "app.ini"}, {"$set": {"ts": next(times)}})
    assert serving(daemon, app, "two").master == master
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
