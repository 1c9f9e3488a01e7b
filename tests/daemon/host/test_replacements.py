"""``reload = replace``: a new instance starts beside the old one, which is stopped afterwards."""

import signal
import sys
from pathlib import Path

import pytest
from emperord.daemon.core.fleet import Vassal
from support import clients
from support.answering import SERVER, clients_at, tcp
from support.daemon import Daemon
from support.vassals import program

from ..conftest import MakeDaemon, MakeEmperor

QUICK = {"reload": "replace", "replace_settle": "300ms", "ready": "100ms"}


def server(folder: Path, answer: str, address: str, **settings: str) -> str:
    """The config of a program that gives this answer at its socket; ``dies`` ends at once.

    ``stays`` does not end of SIGTERM.
    """
    path = folder / "server.py"
    ends = "import sys\nif sys.argv[1] == 'dies': sys.exit(3)\n"
    stays = "if sys.argv[1] == 'stays': signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    path.write_text(ends + SERVER.replace("if int(", stays + "if int(", 1))
    words = (sys.executable, "-IS", str(path), answer)
    return program(*words, listen=address, **{**QUICK, **settings})


def known(daemon: Daemon, name: str = "a.ini") -> Vassal:
    """The vassal, by the journal."""
    vassal = daemon.vassal(name)
    assert vassal is not None
    return vassal


def replaced(daemon: Daemon, before: int | None) -> None:
    """Wait until another instance has taken the place of the one with this pid."""
    daemon.until(lambda: known(daemon).pid != before, "a new instance has taken over")


def test_a_program_is_replaced(daemon: Daemon, tmp_path: Path) -> None:
    """And one that ends at once takes the place of none: its change is refused."""
    address = tcp()
    config = daemon.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", address))
    daemon.start()
    first = daemon.phase("a.ini", "accepting").pid
    with clients_at(address) as told:
        daemon.until(lambda: told, "clients are served")
        config.write_text(server(tmp_path, "two", address))
        replaced(daemon, first)
        daemon.event("exited", "a.ini")
        count = len(told) + 2
        daemon.until(lambda: len(told) > count + 10, "the new one serves")
        assert set(told[count:]) == {"two"}
        seq = daemon.last_seq()
        config.write_text(server(tmp_path, "dies", address))
        assert daemon.event("exited", "a.ini", after=seq).body["code"] == 3
        refused = known(daemon).refused
        assert refused is not None
        assert refused.reason == "its new instance ended: exit code 3"
        count = len(told)
        daemon.until(lambda: len(told) > count + 10, "the old one serves")
    assert set(told) == {"one", "two"}
    daemon.catch_up()
    assert "its change was refused: its new instance ended: exit code 3" in daemon.log()
    daemon.stop()


def test_one_that_is_not_ready_in_time_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    address = tcp()
    config = daemon.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", address))
    daemon.start()
    first = daemon.phase("a.ini", "accepting").pid
    seq = daemon.last_seq()
    config.write_text(server(tmp_path, "two", address, ready="exec:false", ready_timeout="500ms"))
    daemon.event("exited", "a.ini", after=seq)
    vassal = known(daemon)
    assert vassal.pid == first
    assert vassal.refused is not None
    assert vassal.refused.reason == "its new instance was not ready within 500ms"
    assert clients.ask(address) == "one"
    daemon.stop()


def test_one_that_fails_a_check_of_its_health_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    """The old one is not checked meanwhile: a shared address would answer for the new one."""
    address = tcp()
    config = daemon.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", address))
    daemon.start()
    first = daemon.phase("a.ini", "accepting").pid
    seq = daemon.last_seq()
    sick = {"health": "exec:false", "health_interval": "1s", "replace_settle": "20s"}
    config.write_text(server(tmp_path, "two", address, **sick))
    lost = daemon.event("health_lost", "a.ini", after=seq)
    assert lost.body["failures"] == 1
    daemon.event("exited", "a.ini", after=seq)
    vassal = known(daemon)
    assert vassal.pid == first
    assert vassal.refused is not None
    assert vassal.refused.reason == "its new instance failed a check of its health"
    daemon.stop()


def test_what_a_failed_replacement_leaves_is_started_with_the_former_config(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    """Until an operator has it tried again."""
    daemon = make_daemon()
    address = tcp()
    config = daemon.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", address))
    daemon.start()
    daemon.phase("a.ini", "accepting")
    config.write_text(server(tmp_path, "dies", address))
    daemon.until(lambda: known(daemon).refused, "the change is refused")
    daemon.kill()
    daemon.start()
    assert clients.ask(address) == "one"
    assert known(daemon).refused is not None
    daemon.stop()


MOMENTS = {
    "starts": ("spawned", {"ready": "1500ms"}),
    "settles": ("vassal_accepting", {"replace_settle": "1500ms"}),
}


@pytest.mark.parametrize(("kind", "settings"), MOMENTS.values(), ids=MOMENTS)
def test_both_are_adopted(
    make_emperor: MakeEmperor, tmp_path: Path, kind: str, settings: dict[str, str]
) -> None:
    """The daemon is killed in the midst: the next one finds both, and goes on."""
    emperor = make_emperor()
    address = tcp()
    config = emperor.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", address))
    emperor.start()
    first = emperor.phase("a.ini", "accepting").pid
    with clients_at(address) as told:
        seq = emperor.last_seq()
        config.write_text(server(tmp_path, "two", address, **settings))
        emperor.event(kind, "a.ini", after=seq)
        both = emperor.running_for("a.ini")
        assert len(both) == 2
        seq = emperor.last_seq()
        emperor.restart()
        adopted = emperor.events("adopted", "a.ini", after=seq)
        assert sorted(each.body["pid"] for each in adopted) == sorted(both)
        assert known(emperor).pid == first
        gone = emperor.event("exited", "a.ini", after=seq)
        assert gone.body["attempt"] == emperor.events("spawned", "a.ini")[0].body["attempt"]
        assert [known(emperor).pid] == [pid for pid in both if pid != first]
        count = len(told)
        emperor.until(lambda: len(told) > count + 5, "the new one serves")
    assert set(told) == {"one", "two"}
    emperor.stop()


def test_the_old_one_leaves_while_the_daemon_is_killed(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """It does not end, so the next daemon tells it again, and kills it in the end."""
    emperor = make_emperor()
    address = tcp()
    config = emperor.vassals / "a.ini"
    config.write_text(server(tmp_path, "stays", address, stop_timeout="1s"))
    emperor.start()
    first = emperor.phase("a.ini", "accepting").pid
    seq = emperor.last_seq()
    config.write_text(server(tmp_path, "two", address))
    replaced(emperor, first)
    emperor.restart()
    assert len(emperor.events("adopted", "a.ini", after=seq)) == 2
    gone = emperor.event("exited", "a.ini", after=seq)
    assert gone.body["signal"] == signal.SIGKILL
    assert known(emperor).phase == "accepting"
    emperor.stop()


def test_a_stop_midway_stops_both(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor()
    address = tcp()
    config = emperor.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", address))
    emperor.start()
    emperor.phase("a.ini", "accepting")
    seq = emperor.last_seq()
    config.write_text(server(tmp_path, "two", address, ready="60s"))
    emperor.event("spawned", "a.ini", after=seq)
    shown = emperor.ctl("show", "a.ini").stdout
    assert "a new instance starts beside it" in shown
    assert "a new instance starts beside it" in emperor.ctl("list").stdout
    assert emperor.ctl("stop", "a.ini").returncode == 0
    assert not emperor.running_for("a.ini")
    assert known(emperor).phase == "held"
    emperor.stop()


def test_a_reload_waits_for_the_new_instance(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor()
    config = emperor.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", tcp()))
    emperor.start()
    first = emperor.phase("a.ini", "accepting").pid
    assert emperor.ctl("reload", "a.ini").returncode == 0
    assert known(emperor).pid != first
    server(tmp_path, "one", tcp())
    path = tmp_path / "server.py"
    path.write_text("raise SystemExit(4)")
    failed = emperor.ctl("reload", "a.ini")
    assert failed.returncode == 1
    assert "not replaced: its new instance ended: exit code 4" in failed.stderr
    emperor.stop()


def test_a_socket_file_that_was_removed_is_made_anew_by_the_new_instance(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """The old one does not have that socket. The log says how it gets it, if the new one fails."""
    emperor = make_emperor()
    address = str(tmp_path / "a.sock")
    config = emperor.vassals / "a.ini"
    config.write_text(server(tmp_path, "one", address))
    emperor.start()
    emperor.phase("a.ini", "accepting")
    (tmp_path / "a.sock").unlink()
    config.write_text(server(tmp_path, "dies", address))
    emperor.until(lambda: known(emperor).refused, "the change is refused")
    assert f"a.ini: its socket {address} is made anew; an instance that runs" in emperor.log()
    assert emperor.ctl("restart", "a.ini").returncode == 0
    assert clients.ask(address) == "one"
    emperor.stop()


def test_without_sockets_a_restart_is_made(daemon: Daemon, tmp_path: Path) -> None:
    config = daemon.vassals / "a.ini"
    config.write_text(program("sleep", "1000", reload="replace"))
    daemon.start()
    daemon.phase("a.ini", "ready")
    config.write_text(program("sleep", "1001", reload="replace"))
    daemon.event("exited", "a.ini")
    assert "as reload = replace needs listen, or a vassal on demand" in daemon.log()
    daemon.stop()
