"""Replacements in tyrant mode: the new instance, its sockets and the former text are the user's."""

import os
import signal
from pathlib import Path

import pytest
from support import clients, processes
from support.ports import free_port
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon, status_of, uwsgi_for_all
from support.vassals import APP

TEXT = """[uwsgi]
protocol = http
http-socket = fd://3
http-socket = fd://4
wsgi-file = {app}
master = true
need-app = true
env = SAYS={says}

[emperor]
listen = 127.0.0.1:{port}, {home}/a.sock
reload = replace
replace-settle = {settle}
stop-timeout = 3s
"""


class Site:
    """A vassal of alice's under real uWSGI, at a port and in a directory of hers."""

    def __init__(self, tyrant: TyrantDaemon) -> None:
        self.tyrant, self.port = tyrant, free_port()
        self.home = tyrant.folder / "alice"
        self.home.mkdir()
        os.chown(self.home, ALICE, ALICES)
        (tyrant.folder / "app.py").write_text(APP)
        tyrant.options += ["--uwsgi", uwsgi_for_all(tyrant.folder)]

    def put(self, says: str, *, app: str = "app.py", settle: str = "300ms") -> int:
        """Give it this answer; the number of the last event before."""
        seq, path = self.tyrant.last_seq(), self.tyrant.folder / app
        values = {"app": path, "says": says, "port": self.port, "home": self.home}
        self.tyrant.put("a.ini", TEXT.format(**values, settle=settle))
        return seq

    def says(self) -> set[str]:
        """Its answers at both addresses."""
        return {clients.ask(each)["says"] for each in (f":{self.port}", f"{self.home}/a.sock")}

    def pid(self) -> int:
        return self.tyrant.pid_of("a.ini")


@pytest.fixture
def site(tyrant: TyrantDaemon) -> Site:
    made = Site(tyrant)
    made.put("one")
    tyrant.start()
    tyrant.phase("a.ini", "accepting")
    return made


def test_it_is_replaced_as_its_user(site: Site) -> None:
    first = site.pid()
    gone = site.tyrant.event("exited", "a.ini", after=site.put("two"))
    assert gone.cause is not None
    assert site.pid() != first
    assert status_of(site.pid())["Uid"] == [str(ALICE)] * 4
    assert site.says() == {"two"}
    site.tyrant.stop()


def test_after_a_refusal_its_user_can_read_the_former_text(site: Site) -> None:
    """The directory of the journal is closed to users, as packages make it."""
    tyrant = site.tyrant
    tyrant.event("exited", "a.ini", after=site.put("bad", app="nowhere.py"))
    assert tyrant.state.stat().st_mode & 0o077 == 0
    seq = tyrant.last_seq()
    os.kill(site.pid(), signal.SIGKILL)
    tyrant.event("vassal_accepting", "a.ini", after=seq)
    assert site.says() == {"one"}
    copy = Path(processes.argv_of(site.pid())[-1])
    assert (copy.stat().st_uid, copy.stat().st_mode & 0o777) == (ALICE, 0o400)
    tyrant.event("exited", "a.ini", after=site.put("three"), code=0)
    assert site.says() == {"three"}
    tyrant.until(lambda: not copy.exists(), "the copy is removed")
    tyrant.stop()


def test_another_user_gets_it_midway(site: Site) -> None:
    """Both instances of the former user end. Neither config is started again as that user."""
    tyrant = site.tyrant
    seq = site.put("two", settle="1h")
    tyrant.event("vassal_accepting", "a.ini", after=seq)
    old, new = site.pid(), tyrant.event("spawned", "a.ini", after=seq).body["pid"]
    os.chown(tyrant.vassals / "a.ini", BOB, BOBS)
    tyrant.until(lambda: not any(map(processes.alive, (old, new))), "both have ended")
    reason = tyrant.phase("a.ini", "barred").reason
    assert reason is not None
    assert "does not belong to uid" in reason
    tyrant.stop()
