"""A vassal that floods its emperor socket, or passes descriptors over it, delays no other."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

import pytest
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.host import descriptors
from emperord.daemon.host.process import Process
from emperord.daemon.host.read_limit import BURST, OWED, RATE, ReadLimit
from emperord.journal.events import Spec
from emperord.journal.leaky_bucket import Bucket
from support.daemon import Daemon
from support.floods import LINGER, closing_all, flood, lingering, passing, told_once, touch
from support.vassals import SLEEPER


def test_a_bucket_fills_and_leaks() -> None:
    bucket = Bucket(burst=10, rate=2)
    bucket.fill(10, now=100.0)
    assert bucket.room(100.0) == 0
    assert bucket.room(101.0) == 2
    assert bucket.wait(6, 101.0) == 2
    assert bucket.room(500.0) == 10
    assert bucket.wait(6, 500.0) == 0


def test_a_vassal_that_keeps_within_its_limit_is_always_read() -> None:
    read_limit = ReadLimit()
    for second in range(100):
        assert read_limit.room(float(second)) >= RATE
        read_limit.fill(RATE, float(second))
    assert read_limit.warning() is None


def test_what_is_too_much_is_not_read_until_half_of_the_bucket_is_free() -> None:
    read_limit = ReadLimit()
    read_limit.fill(BURST, 0.0)
    assert read_limit.room(0.0) == 0
    pause = read_limit.pause(0.0)
    assert pause == BURST / 2 / RATE
    assert read_limit.room(pause) == BURST / 2
    assert "; reading was paused once" in str(read_limit.warning())


def test_requests_for_the_config_have_a_limit_of_their_own() -> None:
    read_limit = ReadLimit()
    answered = [read_limit.is_answered(min(owed, OWED), 0.0) for owed in range(OWED + 5)]
    assert answered == [True] * OWED + [False] * 5
    assert read_limit.room(0.0) == 0
    assert "; requests for its config that are not answered: 5" in str(read_limit.warning())


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


@pytest.mark.parametrize("how", ["take", "drain"])
def test_a_lingering_connection_is_closed_at_once(
    ends: tuple[socket.socket, socket.socket], how: str
) -> None:
    ours, theirs = ends
    passed, kept = lingering()
    socket.send_fds(theirs, [b"x"], [passed.fileno()])
    passed.close()
    ours.setblocking(False)
    began = time.monotonic()
    if how == "take":
        assert descriptors.take(ours, 10) == b"x"
    else:
        descriptors.drain(ours)
        ours.close()
    assert time.monotonic() - began < LINGER / 10
    closing_all(kept)


def test_a_listener_is_closed_at_once_whatever_its_clients_have_sent(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    kept: list[socket.socket] = []
    for _ in range(3):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        passed, more = lingering()
        socket.send_fds(client, [b"x"], [passed.fileno()])
        passed.close()
        kept += [client, *more]
    began = time.monotonic()
    descriptors.empty(listener)
    listener.close()
    assert time.monotonic() - began < LINGER / 10
    closing_all(kept)


def test_many_descriptors_of_any_kind_are_closed(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    reading, writing = os.pipe()
    for _ in range(3):
        socket.send_fds(theirs, [b"xyz"], [writing] * 253)
    os.close(writing)
    ours.setblocking(False)
    descriptors.drain(ours)
    assert os.read(reading, 1) == b""  # its last writer is closed
    os.close(reading)


FLOODING = """\
import os, socket, sys
end = socket.socket(fileno=int(sys.argv[1]))
end.setblocking(False)
opened = socket.socket()
passed = [opened.fileno()] * 253
told = False
while True:
    try:
        socket.send_fds(end, [b"x"], passed)
    except BrokenPipeError:
        sys.exit("it is refused")
    except OSError:  # there is no room
        if not told:
            told = True
            print("full", flush=True)
"""


@pytest.mark.parametrize("how", ["drain", "empty"])
def test_a_peer_that_goes_on_sending_ends_the_reading(tmp_path: Path, how: str) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        argv = [sys.executable, "-S", "-E", "-c", FLOODING, str(client.fileno())]
        with subprocess.Popen(
            argv, pass_fds=[client.fileno()], stdout=PIPE, stderr=PIPE
        ) as flooding:
            try:
                assert flooding.stdout is not None
                assert flooding.stdout.readline() == b"full\n"
                if how == "empty":
                    descriptors.empty(listener)
                else:
                    ours, _ = listener.accept()
                    ours.setblocking(False)
                    descriptors.drain(ours)  # it ends, although the socket is open
                    flooding.wait()
                    ours.close()
                _, said = flooding.communicate()
            finally:
                flooding.kill()
    assert said == b"it is refused\n"


def test_the_kernel_refuses_descriptors(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    if not descriptors.refuse(ours):
        pytest.skip("this needs Linux 6.16")
    with pytest.raises(PermissionError):
        socket.send_fds(theirs, [b"x"], [0])
    theirs.send(b"y")
    assert ours.recv(10) == b"y"


HOSTILE = """\
import os, socket, struct, time
end = socket.socket(fileno=int(os.environ["UWSGI_EMPEROR_FD"]))
end.setblocking(True)
{}
"""
TRY = """\
try: socket.send_fds(end, [bytes([26])], [passed.fileno()])
except PermissionError: end.send(bytes([26]))
"""


def put_hostile(daemon: Daemon, script: str) -> None:
    path = daemon.folder / "hostile.py"
    path.write_text(HOSTILE.format(script))
    # A program speaks no protocol for the fleet, but its socket is heard all the same.
    text = f"[emperor]\ncommand = {sys.executable} -S -E {path}\n"
    (daemon.vassals / "bad.ini").write_text(text)
    (daemon.vassals / "good.ini").write_text(SLEEPER)


BYTES = {"heartbeats": 26, "accepting": 5, "loyal": 17, "help": 30, "config": 2, "unknown": 99}


@pytest.mark.few(1)
@pytest.mark.parametrize("byte", BYTES.values(), ids=BYTES)
def test_a_flood_waits_in_its_socket_and_is_said_once(daemon: Daemon, byte: int) -> None:
    put_hostile(daemon, flood(f"end.sendall({bytes([byte])!r} * (1 << 20))"))
    daemon.start()
    told_once(daemon, "it sends more than")


def test_a_lingering_connection_that_is_passed_stops_no_daemon(daemon: Daemon) -> None:
    put_hostile(daemon, passing(TRY))
    daemon.start()
    daemon.event("heartbeat_started", "bad.ini")
    touch(daemon)
    (daemon.vassals / "bad.ini").unlink()
    daemon.gone("bad.ini")
    touch(daemon)
    daemon.stop()


def test_a_lingering_connection_that_a_client_passes_stops_no_daemon(daemon: Daemon) -> None:
    address = daemon.folder / "on-demand"
    (daemon.vassals / "bad.ini").write_text(SLEEPER)  # which accepts no client
    (daemon.vassals / "bad.ini.address").write_text(str(address))
    (daemon.vassals / "good.ini").write_text(SLEEPER)
    daemon.options += ["--on-demand-extension", ".address"]
    daemon.start()
    daemon.phase("bad.ini", "listening")
    passed, kept = lingering()
    with socket.socket(socket.AF_UNIX) as client:
        # It is recorded that it is listened for, and then it is.
        daemon.until(lambda: client.connect_ex(str(address)) == 0, "it is listened for")
        socket.send_fds(client, [b"x"], [passed.fileno()])
    passed.close()
    daemon.event("spawned", "bad.ini")
    (daemon.vassals / "bad.ini").unlink()
    daemon.gone("bad.ini")
    touch(daemon)
    daemon.stop()
    closing_all(kept)


@pytest.mark.parametrize("over", [False, True], ids=["the daemon leaves", "the attempt is over"])
def test_bytes_that_wait_are_left_to_the_next_daemon(
    ends: tuple[socket.socket, socket.socket], *, over: bool
) -> None:
    ours, theirs = ends
    spec = Spec(ts=0)
    vassal = Vassal("a.ini", "dir:///", spec, "ready", 0, 1, attempt=1, running=spec)
    process = Process(vassal, os.getpid(), 0, os.pidfd_open(os.getpid()))
    process.use_sockets(ours, None)
    process.takes_rights = True  # as on a kernel before Linux 6.16
    with ours.dup() as keepers:
        keepers.setblocking(False)
        theirs.send(b"\x05")
        if over:
            process.discard()
            assert keepers.recv(10) == b""  # it was emptied and shut
        else:
            process.close()
            assert keepers.recv(10) == b"\x05"
