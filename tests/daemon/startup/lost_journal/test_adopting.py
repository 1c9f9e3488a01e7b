"""An operator has an estranged daemon adopt: which vassals it takes over, and when."""

import signal
import socket
from pathlib import Path

import pytest
from support import processes
from support.estranged import (
    Lose,
    answered,
    backup,
    decide,
    estrange,
    kill_both,
    put_back,
    remove,
    verified,
    waiting,
)
from support.kept import Emperor
from support.ports import free_port
from support.vassals import SLEEPER, Application, program
from support.waiting import until

from ...conftest import MakeEmperor


def leave(emperor: Emperor, tmp_path: Path) -> None:
    """Lose the journal and the daemon, and end the next one."""
    estrange(emperor, remove, tmp_path)
    emperor.send(signal.SIGTERM)
    assert emperor.wait() == 3


def test_what_no_source_has_is_left_alone_until_one_has(
    emperor: Emperor, app: Application, tmp_path: Path
) -> None:
    """One that is announced by a message is not listed when the daemon starts."""
    before = emperor.environments()
    estrange(emperor, remove, tmp_path)
    (emperor.vassals / "app.ini").rename(tmp_path / "app.ini")
    decide(emperor, "adopt")
    (pid, _) = emperor.running_for("app.ini")
    assert f"app.ini: process {pid} runs, and this journal does not know of it" in emperor.log()
    emperor.restart()
    status = emperor.ctl("status")
    assert status.returncode == 3
    assert f"app.ini: unknown process: process {pid} runs" in status.stdout
    worker = answered(app)
    (tmp_path / "app.ini").rename(emperor.vassals / "app.ini")
    emperor.phase("app.ini", "accepting")
    assert emperor.environments() == before
    assert answered(app) == worker
    assert emperor.ctl("status").returncode == 0
    verified(emperor)
    emperor.stop()


def test_addresses_on_demand_are_kept(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """One that serves is taken over, one that waits goes on waiting: no client is refused."""
    emperor = make_emperor("--on-demand-extension", ".socket")
    served, idle = Application(tmp_path), Application(tmp_path)
    for name, each in (("served", served), ("idle", idle)):
        (emperor.vassals / f"{name}.ini.socket").write_text(f"127.0.0.1:{each.port}")
        text = f"[uwsgi]\nmaster = true\nprotocol = http\nwsgi-file = {each.module}\n"
        (emperor.vassals / f"{name}.ini").write_text(text)
    emperor.start()
    worker = answered(served)
    emperor.event("vassal_loyal", "served.ini")
    before = emperor.environments()
    estrange(emperor, remove, tmp_path)
    assert answered(served) == worker
    decide(emperor, "adopt")
    emperor.phase("served.ini", "accepting")
    emperor.phase("idle.ini", "listening")
    assert emperor.environments() == before
    assert answered(served) == worker
    assert answered(idle).pid
    verified(emperor)
    emperor.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("lose", [kill_both, leave])
@pytest.mark.parametrize("kind", ["file", "port"])
def test_one_that_alone_has_its_address_on_demand_is_taken_over(
    make_emperor: MakeEmperor, tmp_path: Path, lose: Lose, kind: str
) -> None:
    """No keeper has the socket any more, and the address is in use until the process has ended."""
    address = str(tmp_path / "od.sock") if kind == "file" else f"127.0.0.1:{free_port()}"
    emperor = make_emperor("--on-demand-extension", ".socket")
    (emperor.vassals / "od.ini").write_text(SLEEPER)
    (emperor.vassals / "od.ini.socket").write_text(address)
    emperor.start()
    emperor.phase("od.ini", "listening")
    with connected(address):
        before = emperor.up("od.ini")
    lose(emperor, tmp_path)
    times = emperor.log().count("estranged: ")
    emperor.launch()
    emperor.until(lambda: emperor.log().count("estranged: ") > times, "it is estranged")
    decide(emperor, "adopt")
    emperor.phase("od.ini", "ready")
    assert emperor.up("od.ini") == before
    assert emperor.ctl("status").returncode == 0
    assert "listen failed" not in emperor.log()
    # It is in its hands: its death is known, and the address is bound again.
    processes.kill(before["od.ini"])
    emperor.phase("od.ini", "listening")
    seq = emperor.last_seq()
    with connected(address):
        emperor.event("spawned", "od.ini", after=seq)
    verified(emperor)
    emperor.stop()


def connected(address: str) -> socket.socket:
    """A client of this address, as soon as it is bound: it is recorded before that is done."""

    def client() -> socket.socket | None:
        host, _, port = address.rpartition(":")
        made = socket.socket(socket.AF_INET if host else socket.AF_UNIX)
        try:
            made.connect((host, int(port)) if host else address)
        except OSError:
            made.close()
            return None
        return made

    return until(client, f"{address} is bound")


def test_adopt_and_restore_are_refused_where_nothing_is_lost(emperor: Emperor) -> None:
    emperor.start()
    for words in (("adopt",), ("restore", "/x.db")):
        refused = emperor.ctl(*words)
        assert refused.returncode == 1
        assert "the daemon has its journal" in refused.stderr
    emperor.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("lives", [True, False], ids=["it runs", "it was killed"])
def test_adopt_waits_for_the_vassals_of_another_emperor(
    emperor: Emperor, app: Application, tmp_path: Path, lives: bool
) -> None:
    """The journal is another emperor's now, which runs vassals of the same names."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with Emperor(folder, "--freq", "0.2") as other:
        (other.vassals / "plain.ini").write_text(program("sleep", "2000"))
        other.start()
        theirs = other.up("plain.ini")["plain.ini"]
        before, worker = emperor.environments(), answered(app)
        first = backup(emperor.journal, tmp_path / "first.db")
        backup(other.journal, tmp_path / "older.db")
        estrange(emperor, put_back, tmp_path)
        if not lives:
            for pid in (other.pid, *other.daemons()):
                processes.kill(pid)
            other.kill()
        refused = emperor.ctl("adopt")
        assert refused.returncode == 1
        assert f"processes of it run: 1, such as {theirs} (plain.ini)" in refused.stderr
        assert "emperor-ctl restore FILE" in refused.stderr
        assert other.environments().keys() == {theirs}
        if lives:
            other.stop()
        else:
            processes.kill(theirs)
    assert emperor.environments() == before
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    # Back on the journal that they were started for: no other emperor may take them.
    first.rename(tmp_path / "older.db")
    estrange(emperor, put_back, tmp_path)
    decide(emperor, "adopt")
    emperor.until(lambda: not waiting(emperor), "all are taken over")
    assert emperor.environments() == before
    assert answered(app) == worker
    verified(emperor)
    emperor.stop()
