"""``--stats``: the document of uWSGI's Emperor, and clients that do not behave."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emperord.daemon.control.stats import place
from support.ports import free_port
from support.vassals import SLEEPER, program
from support.waiting import until

from ..conftest import MakeDaemon, MakeEmperor

BROKEN = "[uwsgi]\n[emperor]\ncommand = false\n"


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    host, colon, port = address.rpartition(":")
    family = socket.AF_INET if colon else socket.AF_UNIX
    with socket.socket(family) as client:
        client.settimeout(20)
        client.connect((host, int(port)) if colon else address)
        yield client


def told(address: str, request: bytes = b"") -> dict[str, Any]:
    """The document that comes to one connection, which its server closes."""
    with connected(address) as client:
        client.sendall(request)
        with client.makefile("rb") as file:
            found: dict[str, Any] = json.loads(file.read())
            return found


def test_the_document_has_what_scripts_of_uwsgi_read(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    port, path = f"127.0.0.1:{free_port()}", str(tmp_path / "stats.sock")
    emperor = make_emperor("--stats", port, "--emperor-stats", path)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    (emperor.vassals / "b.ini").write_text(BROKEN)
    emperor.start()
    pid = emperor.pid_of("a.ini")
    emperor.phase("b.ini", "throttled")
    until(lambda: os.path.exists(path), "it listens")
    assert os.stat(path).st_mode & 0o777 == 0o600
    until(lambda: told(path)["blacklist"], "the failed vassal is throttled")
    document = told(port, b"GET / HTTP/1.0\r\n\r\n")
    assert document["pid"] == emperor.pid
    assert document["emperor"] == [f"dir://{emperor.vassals}"]
    assert (document["uid"], document["gid"]) == (os.getuid(), os.getgid())
    assert (document["emperor_tyrant"], document["throttle_level"]) == (0, 100)
    vassals = {each["id"]: each for each in document["vassals"]}
    assert vassals["a.ini"]["pid"] == pid
    assert vassals["a.ini"]["monitor"] == f"dir://{emperor.vassals}"
    modified = os.stat(emperor.vassals / "a.ini").st_mtime_ns
    assert vassals["a.ini"]["last_mod"] == modified // 1_000_000_000
    names = (
        "id pid born last_mod last_heartbeat loyal ready accepting last_loyal last_ready"
        " last_accepting first_run last_run cursed zerg on_demand suspended adopted uid gid"
        " monitor attrs respawns"
    )
    assert list(vassals["a.ini"]) == names.split()
    emperor.stop()
    assert not os.path.exists(path)


def test_it_listens_again_after_a_death_and_an_upgrade(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    port, path = f"127.0.0.1:{free_port()}", str(tmp_path / "stats.sock")
    emperor = make_emperor("--stats", port, "--stats", path).start()
    until(lambda: os.path.exists(path), "it listens")

    def answers(address: str) -> bool:
        try:
            return bool(told(address)["pid"] == emperor.pid)
        except (OSError, json.JSONDecodeError):
            return False

    after = emperor.last_seq()
    emperor.kill_daemon()
    emperor.event("daemon_ready", after=after)
    for address in (port, path):
        until(lambda: answers(address), f"{address} answers after a death")  # noqa: B023
    after = emperor.last_seq()
    os.kill(emperor.pid, signal.SIGUSR2)
    emperor.event("daemon_ready", after=after)
    for address in (port, path):
        until(lambda: answers(address), f"{address} answers after an upgrade")  # noqa: B023
    emperor.stop()


def test_clients_that_do_not_read_hold_nothing(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    path = str(tmp_path / "stats.sock")
    daemon = make_daemon("--stats", path)
    # A document that does not fit the buffers of a socket.
    for number in range(300):
        (daemon.vassals / f"{number}-{'x' * 200}.ini").write_text(program("/nowhere"))
    daemon.start()
    until(lambda: os.path.exists(path), "it listens")
    with connected(path) as first, connected(path) as second:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        second.sendall(b"x" * 65536)
        assert len(told(path)["emperor"]) == 1
        (daemon.vassals / "a.ini").write_text(SLEEPER)
        daemon.pid_of("a.ini")
        until(lambda: _is_closed(second), "the deadline ends a silent client's connection")
    daemon.stop()


def _is_closed(client: socket.socket) -> bool:
    """Whether the daemon has closed the connection, of which nothing is read."""
    try:
        client.send(b"x", socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def test_an_address_that_is_taken_is_tried_again(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    path = tmp_path / "stats.sock"
    path.write_text("a file")
    daemon = make_daemon("--stats", str(path)).start()
    reason = f"--stats {path}: there is a file that is no socket"
    daemon.until(lambda: reason in daemon.log(), "it is told")
    assert path.read_text() == "a file"
    path.unlink()
    until(path.is_socket, "it listens")
    daemon.stop()
    path.write_text("a file")
    checked = make_daemon("--stats", str(path), "--check").launch()
    assert checked.wait() == 1
    assert reason in checked.log().splitlines()


def test_an_address_without_a_host_is_of_this_machine_only() -> None:
    assert place(":1717").name == ("127.0.0.1", 1717)
    assert place("*:1717").name == place("0.0.0.0:1717").name


def test_a_directory_that_was_removed_ends_no_answer(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from emperord.daemon.control.stats import fields\n"
        "from emperord.daemon.core.fleet import Fleet\n"
        "os.rmdir(os.getcwd())\n"
        "print(repr(fields(Fleet(), 0, 1, lambda name: None)['cwd']))\n"
    )
    (tmp_path / "gone").mkdir()
    argv = [sys.executable, "-P", "-c", script]
    assert subprocess.check_output(argv, cwd=tmp_path / "gone", text=True) == "''\n"
