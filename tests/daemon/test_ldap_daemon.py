"""ldap:// under a whole daemon: the LDIF of the page, from entries to processes."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.ldap import Directory, LdapSource
from support.services import Service, service
from support.serving import serving
from support.vassals import Application

from .conftest import MakeDaemon

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
    master = serving(daemon, app, "hello").master
    config.write_text(app.config("changed"))
    modify(source, change)
    assert serving(daemon, app, "changed").master == master
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
    """ldap://HOST/BASE??SCOPE?FILTER, by a user who has seen nothing else."""
    app = Application(tmp_path)
    source.put("a.ini", app.config("one"), description="blue")
    source.put("b.ini", app.config("two"), description="green")
    daemon = make_daemon(monitors=[f"ldap://{source.rest('??one?(description=blue)')}"]).start()
    serving(daemon, app, "one")
    assert [event.vassal for event in daemon.events("vassal_added")] == ["a.ini"]
    source.directory.change(source.dn("a.ini"), description="green")  # then it fits no more
    daemon.gone("a.ini")
    daemon.stop()
