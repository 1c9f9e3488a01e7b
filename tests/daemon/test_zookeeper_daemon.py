"""zoo:// under a whole daemon: from znodes to processes, through outages, floods and restarts."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from emperord.journal.chain import digest
from kazoo.security import make_digest_acl  # type: ignore[import-untyped]
from support import processes
from support.daemon import Daemon
from support.gate import Gate
from support.services import Service, service
from support.vassals import SLEEPER, Application
from support.zookeeper import ALL, UNREADABLE, member, put, talking

from .conftest import MakeDaemon

BARRED = "[emperor]\nnonsense = {}\n"  # is known, and never runs
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


def says(daemon: Daemon, app: Application, what: str) -> int:
    """Wait until the application says this; the pid of its master."""

    def asked() -> int | None:
        answer = app.answers()
        return answer.master if answer is not None and answer.says == what else None

    return daemon.until(asked, f"the application says {what}")


def test_check_reads_it(daemon: Daemon, client: Any) -> None:
    put(client, f"{PATH}/a.ini", SLEEPER)
    daemon.launch("--check")
    assert daemon.wait() == 0
    assert daemon.log().splitlines()[1:] == ["  a.ini: sleep 1000"]


def test_a_znode_runs_reloads_and_ends(
    make_daemon: MakeDaemon, client: Any, url: str, tmp_path: Path
) -> None:
    app = Application(tmp_path)
    daemon = make_daemon("--freq", "3600", monitors=[url]).start()
    put(client, f"{PATH}/django.ini", app.config("one"))
    master = says(daemon, app, "one")
    put(client, f"{PATH}/django.ini", app.config("two"))
    assert says(daemon, app, "two") == master
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
    master = says(daemon, app, "hello")
    config.write_text(app.config("changed"))
    run(change)
    assert says(daemon, app, "changed") == master
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


def test_each_bad_znode_is_rejected_once(daemon: Daemon, client: Any) -> None:
    put(client, f"{PATH}/good.ini", SLEEPER)
    put(client, f"{PATH}/bad", SLEEPER)
    put(client, f"{PATH}/empty.ini", "")
    put(client, f"{PATH}/long.ini", "#" * 65536)
    daemon.start()
    daemon.phase("good.ini", "ready")
    for count in range(3):  # readings, by what each of them finds
        put(client, f"{PATH}/other{count}.ini", SLEEPER)
        daemon.event("vassal_added", f"other{count}.ini")
    reasons = {e.body["name"]: e.body["reason"] for e in daemon.events("observation_rejected")}
    assert sorted(reasons) == ["bad", "empty.ini", "long.ini"]
    assert len(daemon.events("observation_rejected")) == 3
    assert "65536 bytes" in reasons["long.ini"]
    put(client, f"{PATH}/long.ini", SLEEPER)
    daemon.phase("long.ini", "ready")
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


def test_secrets_are_shown_nowhere(make_daemon: MakeDaemon, client: Any, server: Service) -> None:
    secret = "s3cr3t' ;@/x"  # noqa: S105
    put(client, f"{PATH}/a.ini", SLEEPER)
    for path in (f"{PATH}/a.ini", PATH):
        client.set_acls(path, [make_digest_acl("deployer", secret, read=True), *UNREADABLE])
    url = f"zoo://{server.where['hosts']}{PATH}?auth=digest:deployer:"
    daemon = make_daemon(monitors=[url + quote(secret), url + "s3cr3t-no&announce=/e"])
    daemon.start()
    daemon.phase("a.ini", "ready")
    failed = daemon.event("monitor_failed")
    assert failed.body["reason"] == f"ZooKeeper does not let us list {PATH}; check its ACL"
    assert {event.monitor for event in daemon.events("vassal_added")} == {f"{url}***"}
    children = [pid for pid in daemon.running() if pid != daemon.pid]
    assert children
    assert not any("s3cr3t" in word for pid in children for word in processes.argv_of(pid))
    daemon.stop()
    for path in (PATH, f"{PATH}/a.ini"):
        client.set_acls(path, ALL)
    for file in (*daemon.state.rglob("*"), daemon.folder / "daemon.log"):
        if file.is_file():
            content = file.read_bytes()
            assert b"s3cr3t" not in content, file
            assert b"%27" not in content, file


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


def test_the_server_restarts_in_between(daemon: Daemon, client: Any, server: Service) -> None:
    put(client, f"{PATH}/a.ini", SLEEPER)
    put(client, f"{PATH}/b.ini", SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    server("stop")
    daemon.event("monitor_failed")
    server("start")
    daemon.event("monitor_recovered")
    client.retry(client.delete, f"{PATH}/b.ini")
    daemon.gone("b.ini")
    put(client, f"{PATH}/a.ini", SLEEPER + "# more\n")
    daemon.event("vassal_changed", "a.ini")
    assert daemon.events("spawned", "a.ini")[0].body["pid"] == pid
    assert len(daemon.events("monitor_failed")) == 1
    daemon.stop()


def test_the_daemon_restarts_in_between(daemon: Daemon, client: Any) -> None:
    for name in ("same", "changed", "gone"):
        put(client, f"{PATH}/{name}.ini", SLEEPER)
    daemon.start()
    before = {n: daemon.phase(f"{n}.ini", "ready").spec for n in ("same", "changed", "gone")}
    daemon.stop()
    seq = daemon.last_seq()
    put(client, f"{PATH}/changed.ini", SLEEPER + "# more\n")
    put(client, f"{PATH}/new.ini", SLEEPER)
    client.delete(f"{PATH}/gone.ini")
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


def test_a_silent_server_holds_up_nobody(
    make_daemon: MakeDaemon, client: Any, server: Service, url: str, tmp_path: Path
) -> None:
    put(client, f"{PATH}/a.ini", SLEEPER)
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


# A flood

ZNODES, CHANGES = 250, 5000


def memory_of(pid: int) -> int:
    """The most that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert peak is not None
    return int(peak[1]) * 1024


def test_a_flood_of_changes(make_daemon: MakeDaemon, client: Any, url: str, tmp_path: Path) -> None:
    for number in range(ZNODES):
        client.create_async(f"{PATH}/v{number}.ini", BARRED.format(number).encode())
    client.sync(PATH)
    daemon = make_daemon(monitors=[tmp_path / "vassals", url]).start()
    daemon.event("vassal_added", "v%", count=ZNODES)
    before = memory_of(daemon.pid)
    expected: dict[str, str] = {}
    waiting: list[Any] = []
    for count in range(CHANGES):
        name, config = f"v{count % ZNODES}.ini", BARRED.format(count).encode()
        expected[name] = digest(config)
        waiting.append(client.set_async(f"{PATH}/{name}", config))
        if count % 100 == 99:
            for result in waiting:
                result.get(20)
            waiting.clear()
        if count % 500 == 0:
            (daemon.vassals / f"d{count}.ini").write_text(BARRED.format(count))
    for start in range(0, CHANGES, 500):
        daemon.event("vassal_added", f"d{start}.ini", patience=5)

    def is_as_the_source() -> bool:
        fleet = daemon.fleet().vassals
        return all(fleet[name].spec.config == config for name, config in expected.items())

    daemon.until(is_as_the_source, "the fleet is as the source")
    assert memory_of(daemon.pid) - before < 60 * 1024 * 1024
    assert not daemon.events("monitor_failed")
    assert not daemon.events("observation_rejected")
    daemon.stop()
