"""zoo:// under a whole daemon: from znodes to processes, announcements, and a quorum."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon
from support.gate import Gate
from support.services import Service, service
from support.serving import serving
from support.vassals import SLEEPER, Application
from support.zookeeper import member, put, talking

from .conftest import MakeDaemon

PATH = "/emperor/vassals"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources-zookeeper.md"
CLI = "/usr/share/zookeeper/bin"  # where Debian has zkCli.sh


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    with service("zookeeper") as started:
        yield started


@pytest.fixture
def client(server: Service) -> Iterator[Any]:
    """A client of a server with nothing in it but the empty path."""
    with talking(server.where["hosts"]) as talks:
        talks.delete("/emperor", recursive=True)
        talks.create(PATH, makepath=True)
        yield talks


@pytest.fixture
def url(server: Service, client: Any) -> str:
    return f"zoo://{server.where['hosts']}{PATH}"


@pytest.fixture
def daemon(make_daemon: MakeDaemon, url: str) -> Daemon:
    return make_daemon(monitors=[url])


def test_a_znode_runs_reloads_and_ends(
    make_daemon: MakeDaemon, client: Any, url: str, tmp_path: Path
) -> None:
    app = Application(tmp_path)
    daemon = make_daemon("--freq", "3600", monitors=[url]).start()
    put(client, f"{PATH}/django.ini", app.config("one"))
    master = serving(daemon, app, "one").master
    put(client, f"{PATH}/django.ini", app.config("two"))
    assert serving(daemon, app, "two").master == master
    changed = daemon.event("vassal_changed", "django.ini")
    assert changed.body["spec"]["ts"] == client.exists(f"{PATH}/django.ini").mzxid
    assert changed.body["spec"]["attrs"] == {"version": "1"}
    assert changed.body["change"] == "ts,config"
    client.delete(f"{PATH}/django.ini")
    daemon.gone("django.ini")
    assert app.answers() is None
    daemon.stop()


def test_the_commands_of_the_page(
    make_daemon: MakeDaemon, client: Any, server: Service, tmp_path: Path
) -> None:
    block = re.search(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    folder, create, change, delete = block[1].splitlines()

    def run(command: str) -> None:
        there = command.replace("127.0.0.1:2181", server.where["hosts"])
        path = f"{CLI}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", there],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    app = Application(tmp_path)
    config = tmp_path / "hello.ini"
    config.write_text(app.config("hello"))
    run(folder)
    hosts = server.where["hosts"]
    daemon = make_daemon("--freq", "3600", monitors=[f"zoo://{hosts}/vassals"]).start()
    run(create)
    master = serving(daemon, app, "hello").master
    config.write_text(app.config("changed"))
    run(change)
    assert serving(daemon, app, "changed").master == master
    seq = daemon.last_seq()
    run(change)
    assert daemon.event("vassal_changed", "hello.ini", after=seq).body["change"] == "ts"
    run(delete)
    daemon.gone("hello.ini")
    daemon.stop()
    client.delete("/vassals")


def test_a_socket_that_is_added_puts_it_on_demand(
    daemon: Daemon, client: Any, tmp_path: Path
) -> None:
    put(client, f"{PATH}/a.ini", SLEEPER)
    daemon.start()
    daemon.phase("a.ini", "ready")
    put(client, f"{PATH}/a.ini/socket", str(tmp_path / "a.sock"))
    daemon.phase("a.ini", "listening")
    assert daemon.event("vassal_changed", "a.ini").body["change"] == "socket"
    client.delete(f"{PATH}/a.ini/socket")
    daemon.phase("a.ini", "ready")
    daemon.stop()


def test_a_path_that_does_not_exist_yet_is_told_once(
    make_daemon: MakeDaemon, client: Any, url: str
) -> None:
    client.delete(PATH)
    daemon = make_daemon(monitors=[url]).start()
    failed = daemon.event("monitor_failed")
    assert failed.body["reason"].startswith(f"there is no znode {PATH};")
    put(client, f"{PATH}/a.ini", SLEEPER)
    daemon.phase("a.ini", "ready")
    assert len(daemon.events("monitor_failed")) == 1
    assert len(daemon.events("monitor_recovered")) == 1
    daemon.stop()


def test_it_is_announced_while_it_runs(make_daemon: MakeDaemon, client: Any, url: str) -> None:
    def announced() -> Any:
        names = (
            client.get_children("/emperor/emperors") if client.exists("/emperor/emperors") else []
        )
        return [json.loads(client.get(f"/emperor/emperors/{name}")[0]) for name in names]

    put(client, f"{PATH}/a.ini", SLEEPER)
    daemon = make_daemon(monitors=[f"{url}?announce=/emperor/emperors/"]).start()
    expected = {"host": os.uname().nodename, "pid": daemon.pid, "path": PATH, "vassals": 1}
    daemon.until(lambda: announced() == [expected], "it is announced")
    put(client, f"{PATH}/b.ini", SLEEPER)
    daemon.until(lambda: announced() == [{**expected, "vassals": 2}], "it is announced anew")
    daemon.stop()
    assert announced() == []


# Outages and restarts


def test_a_server_that_was_made_anew_may_give_a_ts_again(make_daemon: MakeDaemon) -> None:
    """It counts its transactions from the start."""
    with service("zookeeper") as one, service("zookeeper") as other:
        for each in (one, other):
            with talking(each.where["hosts"]) as client:
                put(client, f"{PATH}/a.ini", f"{SLEEPER}# {each.where['port']}\n")
        with Gate(one.where["port"]) as gate:
            daemon = make_daemon(monitors=[f"zoo://127.0.0.1:{gate.port}{PATH}"]).start()
            before = daemon.phase("a.ini", "ready").spec
            daemon.stop()
        with Gate(other.where["port"], gate.port):
            daemon.start()
            changed = daemon.event("vassal_changed", "a.ini")
            assert changed.body["change"] == "config"
            assert changed.body["spec"]["ts"] == before.ts
            daemon.stop()


def test_a_quorum_that_goes_away_and_comes_back_is_told_once(make_daemon: MakeDaemon) -> None:
    with service("zookeeper-quorum") as quorum:
        hosts = quorum.where["hosts"]
        with talking(hosts) as client:
            put(client, f"{PATH}/a.ini", SLEEPER)
        daemon = make_daemon(monitors=[f"zoo://{hosts}{PATH}"]).start()
        pid = daemon.phase("a.ini", "ready").pid
        member(quorum, 3)("kill")
        with talking(hosts) as client:
            put(client, f"{PATH}/a.ini", SLEEPER + "# one was killed\n")
        daemon.event("vassal_changed", "a.ini")
        assert daemon.events("monitor_failed") == []
        member(quorum, 2)("kill")
        assert "no server serves us" in daemon.event("monitor_failed").body["reason"]
        member(quorum, 2)("start")
        daemon.event("monitor_recovered")
        with talking(hosts) as client:
            put(client, f"{PATH}/a.ini", SLEEPER + "# and another\n")
        daemon.event("vassal_changed", "a.ini", count=2)
        assert len(daemon.events("monitor_failed")) == 1
        assert daemon.events("spawned", "a.ini")[0].body["pid"] == pid
        daemon.stop()
