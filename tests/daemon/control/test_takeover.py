"""A takeover from a daemon that dies meanwhile. Whole takeovers are in test_succession.py."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from emperord.daemon.control.takeover import open_journal
from emperord.daemon.keeper.link import KeeperLink
from emperord.journal.errors import JournalLocked
from emperord.journal.store import Journal

# It has the journal, and dies when it is asked; a child of it has both then, so often as told.
DYING = """
import os, socket, sys
from emperord.journal.store import Journal

path, control, deaths, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
journal = Journal.open(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(control)
listener.listen()
print("ready", flush=True)
for left in reversed(range(deaths)):
    client, _ = listener.accept()
    client.recv(65536)
    if how == "refuses":
        client.sendall(b'{"ok": false, "error": "it has a keeper"}\\n')
        listener.accept()
    if how == "breaks off":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(client, [b'{"ok": true}\\n'], [theirs.fileno()])
        theirs.close()
    if not left or os.fork():
        os._exit(0)
    with open(path + ".lock", "w") as lock:
        lock.write(f"{os.getpid()}\\n")
    client.close()
    if how == "breaks off":
        ours.close()
"""


@pytest.fixture
def keeper() -> Iterator[KeeperLink]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, closing(KeeperLink(theirs)) as link:
        yield link


def daemon(folder: Path, deaths: int, how: str) -> subprocess.Popen[str]:
    argv = [*(sys.executable, "-c", DYING), *(str(folder / "j.db"), str(folder / "j.sock"))]
    process = subprocess.Popen([*argv, str(deaths), how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("how", ["says nothing", "breaks off"])
@pytest.mark.parametrize("deaths", [1, 2, 3])
def test_a_daemon_that_dies_meanwhile_leaves_the_journal(
    tmp_path: Path, keeper: KeeperLink, deaths: int, how: str
) -> None:
    with (
        daemon(tmp_path, deaths, how),
        open_journal(str(tmp_path / "j.db"), str(tmp_path / "j.sock"), keeper) as journal,
    ):
        assert isinstance(journal, Journal)


def test_one_that_refuses_is_not_waited_for(tmp_path: Path, keeper: KeeperLink) -> None:
    began = time.monotonic()
    with daemon(tmp_path, 1, "refuses") as process:
        with pytest.raises(JournalLocked, match=f"in use by a running emperor .pid {process.pid}."):
            open_journal(str(tmp_path / "j.db"), str(tmp_path / "j.sock"), keeper)
        process.kill()
    assert time.monotonic() - began < 10


def test_one_that_lives_and_does_not_listen_is_not_waited_for_long(
    tmp_path: Path, keeper: KeeperLink
) -> None:
    with daemon(tmp_path, 1, "refuses") as process:
        with pytest.raises(JournalLocked):
            open_journal(str(tmp_path / "j.db"), str(tmp_path / "nosuch.sock"), keeper)
        process.kill()
