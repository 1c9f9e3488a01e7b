"""A takeover from a daemon that dies meanwhile. Whole takeovers are in test_succession.py."""

import fcntl
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from emperord.daemon.control import takeover
from emperord.daemon.control.takeover import open_journal, pass_on
from emperord.daemon.keeper import link as keeper_link
from emperord.daemon.keeper.link import KeeperLink, Kept
from emperord.journal.errors import JournalLocked
from emperord.journal.store import Journal
from support.descriptors import descriptors

# It has the journal, and dies when it is asked; a child of it has both then, so often as told.
DYING = """
import fcntl, os, socket, sys
from emperord.journal.store import Journal

path, control, deaths, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
journal = Journal.open(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(control)
listener.listen()
lock = open(path + ".identity", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("ready", flush=True)
for left in reversed(range(deaths)):
    client, _ = listener.accept()
    client.recv(65536)
    if how == "refuses":
        client.sendall(b'{"ok": false, "error": "it has a keeper"}\\n')
        listener.accept()
    if how in ("breaks off", "breaks off midway", "hands over"):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(client, [b'{"ok": true}\\n'], [theirs.fileno()])
        theirs.close()
        if how != "breaks off":
            kept = b'{"say": "kept", "name": "journal", "about": {}}'
            socket.send_fds(ours, [kept], [lock.fileno()])
        if how == "hands over":
            ours.send(b'{"say": "all"}')
            ours.recv(65536)
    if not left or os.fork():
        os._exit(0)
    with open(path + ".lock", "w") as lock:
        lock.write(f"{os.getpid()}\\n")
    client.close()
    if how.startswith("breaks off"):
        ours.close()
"""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, KeeperLink]]:
    """The keeper's end, and the daemon's link."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, closing(KeeperLink(theirs)) as link:
        yield ours, link


@pytest.fixture
def keeper(ends: tuple[socket.socket, KeeperLink]) -> KeeperLink:
    """The link to a keeper that says nothing."""
    return ends[1]


def daemon(folder: Path, deaths: int, how: str) -> subprocess.Popen[str]:
    argv = [*(sys.executable, "-c", DYING), *(str(folder / "j.db"), str(folder / "j.sock"))]
    process = subprocess.Popen([*argv, str(deaths), how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def check_free(path: Path) -> None:
    """Check that no process has this file locked any more, this one included."""
    with path.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("how", ["says nothing", "breaks off", "breaks off midway"])
@pytest.mark.parametrize("deaths", [1, 2, 3])
def test_a_daemon_that_dies_meanwhile_leaves_the_journal(
    tmp_path: Path, keeper: KeeperLink, deaths: int, how: str
) -> None:
    with (
        daemon(tmp_path, deaths, how),
        open_journal(str(tmp_path / "j.db"), str(tmp_path / "j.sock"), keeper) as journal,
    ):
        assert isinstance(journal, Journal)
        check_free(tmp_path / "j.db.identity")


@pytest.mark.parametrize("lacking", ["a keeper that takes packets", "descriptors"])
def test_a_takeover_that_fails_leaves_no_lock(
    tmp_path: Path, keeper: KeeperLink, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    """Otherwise this process would find the identity of the journal locked, by itself."""
    monkeypatch.setattr(keeper_link, "_PATIENCE", 1.0)
    if lacking == "descriptors":
        monkeypatch.setattr(takeover, "_SPARE", 1 << 40)
    while lacking != "descriptors" and not keeper.congested:
        keeper.acknowledge((7, 1))
    with daemon(tmp_path, 1, "hands over"), pytest.raises(JournalLocked):
        open_journal(str(tmp_path / "j.db"), str(tmp_path / "j.sock"), keeper)
    assert not keeper.kept
    check_free(tmp_path / "j.db.identity")


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


def test_what_was_passed_on_is_newer_than_what_the_keeper_says(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    """A successor that was killed while it took over has left its keeper with what was then."""
    keeper, link = ends
    socket.send_fds(keeper, [b'{"say": "kept", "name": "a", "about": {"at": "old"}}'], [0])
    keeper.send(b'{"say": "all"}')
    before = descriptors()
    pass_on(link, "a", Kept({"at": "new"}, [1]))
    link.receive_all()
    assert link.kept == {"a": Kept({"at": "new"}, [1])}
    assert descriptors() <= before


def test_what_is_passed_on_takes_the_place_of_what_the_keeper_has_told(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    """Otherwise each socket would be open twice, and an address stay in use after its removal."""
    keeper, link = ends
    before = descriptors()
    socket.send_fds(keeper, [b'{"say": "kept", "name": "a", "about": {"at": "old"}}'], [0])
    keeper.send(b'{"say": "all"}')
    link.receive_all()
    assert not descriptors() <= before
    pass_on(link, "a", Kept({"at": "new"}, [1]))
    assert link.kept == {"a": Kept({"at": "new"}, [1])}
    assert descriptors() <= before
