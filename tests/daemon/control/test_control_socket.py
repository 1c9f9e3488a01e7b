"""The control socket: its owner alone may ask, and hostile clients hold up no other."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from emperord.daemon.control import unix_sockets
from emperord.daemon.control.server import LONGEST, ControlInUse, bind
from support.kept import Emperor
from support.vassals import SLEEPER


def asked_as(uid: int, path: str) -> str:
    """The result of a connection by another user."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setuid(uid)
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
        except PermissionError:
            os._exit(13)
        finally:
            os._exit(1)
    return {13: "refused"}.get(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "let in")


def test_only_its_owner_may_ask(control: str) -> None:
    assert stat.S_IMODE(os.stat(control).st_mode) == 0o600
    assert asked_as(65534, control) == "refused"
    os.chmod(control, 0o666)  # noqa: S103
    assert asked_as(65534, control) == "let in"  # it was the mode that refused


# Hostile clients

HOSTILE: dict[str, bytes] = {
    "empty": b"\n",
    "no JSON": b"nonsense\n",
    "no object": b"[]\n",
    "nothing": b"{}\n",
    "a list": b'{"do": []}\n',
    "no name": b'{"do": "show"}\n',
    "a name that is none": b'{"do": "show", "name": {}}\n',
    "half a character": b'{"do": "stop", "name": "\\ud800"}\n',
    "no UTF-8": b'{"do": "\xff"}\n',
    "binary": b"\0\1\2\xfe\xff\n",
    "deep": b"[" * 60000 + b"\n",
    "deep objects": b'{"a":' * 10000 + b"\n",
    "a long number": b"1" * 60000 + b"\n",
    "a long name": b'{"do": "show", "name": "' + b"x" * 60000 + b'"}\n',
    "take over": b'{"do": "take_over"}\n',
}


def test_hostile_requests_are_refused_and_the_next_is_heard(kept_running: Emperor) -> None:
    running = kept_running  # without a keeper it may be taken over
    for case, request in HOSTILE.items():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(running.control))
            client.sendall(request + b'{"do": "status"}\n')
            answers = client.makefile("rb")
            first = json.loads(answers.readline())
            assert first["ok"] is False, case
            assert first["error"]
            assert len(first["error"]) < 500
            assert json.loads(answers.readline())["ok"] is True, case
    assert running.kinds().count("operator_requested") == 0
    running.stop()


def test_a_request_without_end(running: Emperor) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(running.control))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(b"x" * (1 << 20))
        answer = json.loads(client.recv(4096))
    assert str(LONGEST) in answer["error"]
    with socket.socket(socket.AF_UNIX) as client:  # nor does one that goes in the middle harm
        client.connect(str(running.control))
        client.sendall(b'{"do": "stat')
    assert running.ctl("status").returncode == 0
    running.stop()


def test_requests_in_pieces_and_many_on_one_connection(running: Emperor) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(running.control))
        for byte in b'{"do": "status"}\n':
            client.sendall(bytes([byte]))
        client.sendall(b'{"do": "list"}\n' * 50)
        answers = client.makefile("rb")
        assert "status" in json.loads(answers.readline())
        assert all("vassals" in json.loads(answers.readline()) for _ in range(50))
    running.stop()


def test_clients_that_read_nothing_hold_nobody_up(running: Emperor) -> None:
    deaf = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for client in deaf:
        client.connect(str(running.control))
        client.setblocking(False)
        try:
            while True:
                client.send(b'{"do": "list"}\n' * 100)
        except BlockingIOError:
            continue
    assert running.ctl("status").returncode == 0
    (running.vassals / "b.ini").write_text(SLEEPER)
    running.event("spawned", "b.ini")
    for client in deaf:
        client.close()
    running.stop()


def test_two_hundred_at_once(running: Emperor) -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(str(running.control))
                client.sendall(b'{"do": "list"}\n')
                assert json.loads(client.makefile("rb").readline())["ok"]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    running.stop()


# Where it listens


@pytest.mark.parametrize("name", ["c.sock", "n" * 200], ids=["long folder", "long name"])
def test_a_path_longer_than_an_address(emperor: Emperor, name: str) -> None:
    folder = emperor.folder / ("d" * 120)
    folder.mkdir()
    path = folder / name
    emperor.options += ["--control", str(path)]
    emperor.start()
    done = subprocess.run(
        [sys.executable, "-m", "emperord.daemon.ctl", "--control", path, "status"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    emperor.restart()
    emperor.stop()
    assert list(folder.iterdir()) == []


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    with bind(path), socket.socket(socket.AF_UNIX) as client:
        unix_sockets.connect(client, path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_socket_where_somebody_listens_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with bind(path), pytest.raises(ControlInUse, match="another process"):
        bind(path)


@pytest.mark.parametrize("kind", ["file", "folder", "symlink to a socket"])
def test_other_files_never_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as elsewhere:
            elsewhere.bind(str(tmp_path / "elsewhere"))
        path.symlink_to(tmp_path / "elsewhere")
    before = path.lstat()
    with pytest.raises(ControlInUse, match="no socket"):
        bind(str(path))
    assert path.lstat() == before


def test_a_control_socket_that_was_removed_is_there_again_after_a_restart(
    running: Emperor,
) -> None:
    running.control.unlink()
    running.restart()
    assert running.ctl("status").returncode == 0
    running.stop()
