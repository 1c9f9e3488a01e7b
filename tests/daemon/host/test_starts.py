"""Vassals start in a thread that has few descriptors: they have their own ones, and no others."""

from pathlib import Path

import pytest
from support import clients, processes
from support.answering import server, tcp
from support.daemon import Daemon
from support.descriptors import descriptors
from support.vassals import SLEEPER, program, shell

from ..conftest import MakeDaemon


def pid_of(daemon: Daemon, vassal: str) -> int:
    """The pid of a vassal, when its program runs."""
    pid = int(daemon.event("spawned", vassal).body["pid"])
    daemon.until(lambda: daemon.running_for(vassal) == [pid], "it executes its program")
    return pid


def of(pid: int) -> set[int]:
    return {number for number, _ in descriptors(pid)}


def emperor_fd(pid: int) -> int:
    return int(processes.environment_of(pid)["UWSGI_EMPEROR_FD"])


def test_a_program_has_its_own_descriptors_only(daemon: Daemon) -> None:
    (daemon.vassals / "first.ini").write_text(SLEEPER)
    daemon.start()
    pid_of(daemon, "first.ini")
    daemon.catch_up()
    before = of(daemon.pid)
    (daemon.vassals / "second.ini").write_text(SLEEPER)
    pid = pid_of(daemon, "second.ini")
    assert of(pid) == {0, 1, 2, emperor_fd(pid)}
    (daemon.vassals / "second.ini").unlink()
    daemon.gone("second.ini")
    daemon.until(lambda: of(daemon.pid) <= before, "the daemon has no more than before")
    daemon.stop()


@pytest.mark.parametrize("log", ["files", "inherit"])
def test_the_output_is_where_it_should_be(log: str, make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--log", log)
    (daemon.vassals / "a.ini").write_text(shell("echo out; echo err >&2; exec sleep 1000"))
    daemon.start()
    pid_of(daemon, "a.ini")
    read = daemon.log if log == "inherit" else (daemon.logs / "a.ini.log").read_text
    daemon.until(lambda: {"out", "err"} <= set(read().splitlines()), "its lines are there")
    daemon.stop()


def test_kept_sockets_are_inherited(daemon: Daemon, tmp_path: Path) -> None:
    addresses = [tcp() for _ in range(3)]
    (daemon.vassals / "server.ini").write_text(server(tmp_path, "hello", *addresses))
    daemon.start()
    daemon.phase("server.ini", "ready")
    assert [clients.ask(address) for address in addresses] == ["hello"] * 3
    daemon.stop()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param(program("/nowhere/to/be/found"), "spawn_failed", id="no program"),
        pytest.param(None, "exited", id="a script without an interpreter"),
    ],
)
def test_what_cannot_be_executed(
    text: str | None, kind: str, daemon: Daemon, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("exit 3\n")
    script.chmod(0o755)
    (daemon.vassals / "a.ini").write_text(text or program(str(script)))
    daemon.start()
    event = daemon.event(kind, "a.ini")
    assert event.body.get("code", 3) == 3
    daemon.stop()
