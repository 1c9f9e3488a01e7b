"""ldap:// under a whole daemon: from entries to processes, through outages, floods, restarts."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from emperord.journal.chain import digest
from support import processes
from support.daemon import Daemon
from support.ldap import Directory, LdapSource
from support.services import Service, service
from support.vassals import SLEEPER, Application

from .conftest import MakeDaemon

BARRED = "[emperor]\nnonsense = {}\n"  # is known, and never runs
PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources-ldap.md"
BASE = "ou=vassals,dc=example,dc=com"  # of the page


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    with service("openldap") as started:
        yield started


@pytest.fixture
def source(server: Service) -> Iterator[LdapSource]:
    source = LdapSource(server=server, directory=Directory(server))
    yield source
    source.directory.close()


@pytest.fixture
def daemon(make_daemon: MakeDaemon, source: LdapSource) -> Daemon:
    return make_daemon(monitors=[f"ldap://{source.rest()}"])


def again(source: LdapSource) -> None:
    """Talk to the server that was started again."""
    source.directory.close()
    source.directory = Directory(source.server)


def says(daemon: Daemon, app: Application, what: str) -> int:
    """Wait until the application says this; the pid of its master."""

    def asked() -> int | None:
        answer = app.answers()
        return answer.master if answer is not None and answer.says == what else None

    return daemon.until(asked, f"the application says {what}")


def test_check_reads_it(daemon: Daemon, source: LdapSource) -> None:
    source.put("a.ini", SLEEPER)
    daemon.launch("--check")
    assert daemon.wait() == 0
    assert daemon.log().splitlines()[1:] == ["  a.ini: sleep 1000"]


# As written


def blocks() -> list[str]:
    """The LDIF that the page has to paste: the place, what to do then, the overlay."""
    return re.findall(r"^```ldif\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def modify(source: LdapSource, ldif: str, *more: str) -> None:
    """Have OpenLDAP's own client do it, at the place of the source."""
    where = source.server.where
    done = subprocess.run(
        [
            *("ldapmodify", "-x", "-H", f"ldap://127.0.0.1:{where['port']}", *more),
            *("-D", where["admin"], "-w", where["password"]),
        ],
        input=ldif.replace(BASE, source.base),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_ldif_of_the_page(make_daemon: MakeDaemon, source: LdapSource, tmp_path: Path) -> None:
    app = Application(tmp_path)
    source.directory.remove(source.base)
    modify(source, blocks()[0], "-a")
    secret = tmp_path / "password"
    secret.write_text(f"cn=emperor,{source.base}\nchange-me\n")
    secret.chmod(0o600)
    url = f"ldap://{source.rest()}????x-bindpw-file={secret}"
    daemon = make_daemon("--freq", "3600", monitors=[url]).start()
    config = tmp_path / "hello.ini"
    texts = [text.replace("/srv/hello.ini", str(config)) for text in blocks()[1].split("\n\n")]
    start, change, reload, end = texts
    config.write_text(app.config("hello"))
    modify(source, start)
    master = says(daemon, app, "hello")
    config.write_text(app.config("changed"))
    modify(source, change)
    assert says(daemon, app, "changed") == master
    seq = daemon.last_seq()
    modify(source, reload)
    assert daemon.event("vassal_changed", "hello.ini", after=seq).body["change"] == "ts"
    modify(source, end)
    daemon.gone("hello.ini")
    assert app.answers() is None
    daemon.stop()


def test_the_seed_of_the_design(
    make_daemon: MakeDaemon, source: LdapSource, tmp_path: Path
) -> None:
    """ldap://HOST/BASE??SCOPE?FILTER, by somebody who has seen nothing else."""
    app = Application(tmp_path)
    source.put("a.ini", app.config("one"), description="blue")
    source.put("b.ini", app.config("two"), description="green")
    daemon = make_daemon(monitors=[f"ldap://{source.rest('??one?(description=blue)')}"]).start()
    says(daemon, app, "one")
    assert [event.vassal for event in daemon.events("vassal_added")] == ["a.ini"]
    source.directory.change(source.dn("a.ini"), description="green")  # then it fits no more
    daemon.gone("a.ini")
    daemon.stop()


# The record


def test_each_bad_entry_is_rejected_once(daemon: Daemon, source: LdapSource) -> None:
    source.put("good.ini", SLEEPER)
    source.put("bad", SLEEPER)
    source.put("nul.ini", "a\0b")
    daemon.start()
    before = daemon.phase("good.ini", "ready")
    for count in range(3):  # readings, by what each of them finds
        source.put(f"other{count}.ini", SLEEPER)
        daemon.event("vassal_added", f"other{count}.ini")
    assert sorted(e.body["name"] for e in daemon.events("observation_rejected")) == [
        "bad",
        "nul.ini",
    ]
    assert daemon.vassal("good.ini") == before
    daemon.stop()


def test_secrets_are_shown_nowhere(
    make_daemon: MakeDaemon, source: LdapSource, tmp_path: Path
) -> None:
    where = source.server.where
    source.put("a.ini", SLEEPER)
    (tmp_path / "secrets").mkdir()
    urls = []
    for name, password in (("good", where["password"]), ("bad", "s3cr/t no")):
        path = tmp_path / "secrets" / name
        path.write_text(password)
        path.chmod(0o600)
        bind = f"cn=reader,{where['suffix']}".replace(",", "%2C")
        scope = {"good": "sub", "bad": "one"}[name]
        more = f"??{scope}??bindname={bind},x-bindpw-file={path},!x-starttls"
        urls.append(f"ldap://{source.rest(more)},x-tls-cacert={where['certificate']}")
    daemon = make_daemon(monitors=urls).start()
    daemon.phase("a.ini", "ready")
    failed = daemon.event("monitor_failed")
    assert "does not take the DN or the password of cn=reader" in failed.body["reason"]
    source.fail()
    daemon.event("monitor_failed", count=2)
    children = [pid for pid in daemon.running() if pid != daemon.pid]
    assert children
    assert not any("s3cr" in word for pid in children for word in processes.argv_of(pid))
    daemon.stop()
    for path in (*daemon.state.rglob("*"), daemon.folder / "daemon.log"):
        if path.is_file():
            assert b"s3cr" not in path.read_bytes(), path


# Outages and restarts


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_server_restarts_in_between(
    daemon: Daemon, source: LdapSource, server: Service, end: str
) -> None:
    source.put("a.ini", SLEEPER)
    source.put("b.ini", SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    server("stop" if end == "stop" else "kill")
    daemon.event("monitor_failed")
    server("start")
    daemon.event("monitor_recovered")
    again(source)
    source.remove("b.ini")
    daemon.gone("b.ini")
    source.put("a.ini", SLEEPER + "# more\n")
    daemon.event("vassal_changed", "a.ini")
    assert daemon.events("spawned", "a.ini")[0].body["pid"] == pid
    assert len(daemon.events("monitor_failed")) == 1
    daemon.stop()


def test_the_daemon_restarts_in_between(daemon: Daemon, source: LdapSource) -> None:
    for name in ("same", "changed", "gone"):
        source.put(f"{name}.ini", SLEEPER)
    daemon.start()
    before = {n: daemon.phase(f"{n}.ini", "ready").spec for n in ("same", "changed", "gone")}
    daemon.stop()
    seq = daemon.last_seq()
    source.put("changed.ini", SLEEPER + "# more\n")
    source.put("new.ini", SLEEPER)
    source.remove("gone.ini")
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
    make_daemon: MakeDaemon, source: LdapSource, server: Service, tmp_path: Path
) -> None:
    source.put("a.ini", SLEEPER)
    daemon = make_daemon(monitors=[tmp_path / "vassals", f"ldap://{source.rest()}"]).start()
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

ENTRIES, CHANGES = 250, 5000


def memory_of(pid: int) -> int:
    """The most that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert peak is not None
    return int(peak[1]) * 1024


def test_a_flood_of_changes(make_daemon: MakeDaemon, source: LdapSource, tmp_path: Path) -> None:
    for number in range(ENTRIES):
        source.put(f"v{number}.ini", BARRED.format(number))
    daemon = make_daemon(monitors=[tmp_path / "vassals", f"ldap://{source.rest()}"]).start()
    daemon.event("vassal_added", "v%", count=ENTRIES)
    before = memory_of(daemon.pid)
    changes = [(f"v{c % ENTRIES}.ini", BARRED.format(c)) for c in range(CHANGES)]
    for count, (name, config) in enumerate(changes):
        source.directory.change(source.dn(name), emperorConfig=config)
        if count % 500 == 0:
            (daemon.vassals / f"d{count}.ini").write_text(BARRED.format(count))
    for start in range(0, CHANGES, 500):
        daemon.event("vassal_added", f"d{start}.ini", patience=5)
    expected = {name: digest(config.encode()) for name, config in changes}

    def is_as_the_source() -> bool:
        fleet = daemon.fleet().vassals
        return all(fleet[name].spec.config == config for name, config in expected.items())

    daemon.until(is_as_the_source, "the fleet is as the source")
    assert memory_of(daemon.pid) - before < 60 * 1024 * 1024
    assert not daemon.events("monitor_failed")
    assert not daemon.events("observation_rejected")
    daemon.stop()
