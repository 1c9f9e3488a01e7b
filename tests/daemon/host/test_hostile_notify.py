"""Messages that do not count, and vassals that send too many of them, or descriptors with them."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from emperord.daemon.host.notify_socket import NotifySocket
from emperord.daemon.host.read_limit import RATE
from emperord.daemon.keeper.link import KeeperLink
from support import processes
from support.daemon import Daemon
from support.floods import LINGER, closing_all, flood, lingering, passing, told_once, touch
from support.notifier import Notifier
from support.root import need_root
from support.tyrant import ALICE, ALICES, BOB
from support.vassals import program, shell

from .test_tyrant_user import MakeTyrant

SEND = "import socket, sys; socket.socket(1, 2).sendto(b'READY=1', sys.argv[1])"


def address_of(daemon: Daemon, name: str = "a.ini") -> str:
    """The socket that a vassal notifies over."""
    pid = daemon.pid_of(name)
    found = daemon.until(
        lambda: processes.environment_of(pid).get("NOTIFY_SOCKET"), "it is executed"
    )
    return str(found)


def test_a_message_of_a_foreign_process_does_not_count(daemon: Daemon) -> None:
    notifier = Notifier(daemon)
    notifier.put()
    daemon.start()
    subprocess.run([sys.executable, "-IS", "-c", SEND, address_of(daemon)], check=True)
    notifier.say("WATCHDOG=1")
    daemon.event("heartbeat_started", "a.ini")  # it is read behind the other
    daemon.phase("a.ini", "starting")
    daemon.stop()


def test_a_child_in_a_session_of_its_own_counts(daemon: Daemon) -> None:
    script = daemon.folder / "script.py"
    script.write_text(f"import time; {SEND}; time.sleep(1000)")
    send = f"env -i setsid {sys.executable} -IS {script}"
    (daemon.vassals / "a.ini").write_text(
        shell(f"{send} $NOTIFY_SOCKET & sleep 1000", ready="notify")
    )
    daemon.start()
    daemon.phase("a.ini", "accepting")
    daemon.stop()


def test_only_its_user_can_send(make_tyrant: MakeTyrant) -> None:
    need_root("run vassals as other users")
    tyrant = make_tyrant()
    tyrant.put("a.ini", shell("systemd-notify --ready; exec sleep 1000", ready="notify"))
    tyrant.start()
    tyrant.phase("a.ini", "accepting")
    address = address_of(tyrant)
    status = os.stat(address)
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o600, ALICE, ALICES)
    environ = {"NOTIFY_SOCKET": address, "PATH": os.environ["PATH"]}
    for user, refused in ((ALICE, False), (BOB, True)):
        tried = subprocess.run(
            ["systemd-notify", "STATUS=x"],
            env=environ, user=user, group=user, extra_groups=[], capture_output=True, text=True,
        )  # fmt: skip
        assert ("Permission denied" in tried.stderr) is refused
    tyrant.stop()


HOSTILE = """\
import array, os, socket, struct, time
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
end.connect(os.environ["NOTIFY_SOCKET"])
end.send(b"READY=1")
{}
"""
FLOODS = {
    "heartbeats": "b'WATCHDOG=1'",
    "statuses": "b'STATUS=%d' % _",
    "junk": "os.urandom(100)",
    "nothing": "b''",
    "long ones": "b'STATUS='.ljust(1 << 16, b'x')",
}
PASSED = """\
for last in (b"FDSTORE=1", b"WATCHDOG=1"):
    rights = array.array("i", [passed.fileno()] * 253)
    end.sendmsg([last], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
"""


def put_hostile(daemon: Daemon, script: str) -> None:
    path = daemon.folder / "hostile.py"
    path.write_text(HOSTILE.format(script))
    text = program(sys.executable, "-S", "-E", str(path), ready="notify")
    (daemon.vassals / "bad.ini").write_text(text)
    Notifier(daemon, "good").put()


@pytest.mark.few(1)
@pytest.mark.parametrize("message", FLOODS.values(), ids=FLOODS)
def test_a_flood_waits_in_its_socket_and_is_said_once(daemon: Daemon, message: str) -> None:
    put_hostile(daemon, flood(f"for _ in range(1 << 14): end.send({message})"))
    daemon.start()
    told_once(daemon, f"it sends more than {RATE}")
    assert len(daemon.events(vassal="bad.ini")) < 10


def test_descriptors_that_are_passed_are_closed(daemon: Daemon) -> None:
    put_hostile(daemon, passing(PASSED))
    daemon.start()
    daemon.event("heartbeat_started", "bad.ini")
    touch(daemon)
    (daemon.vassals / "bad.ini").unlink()
    daemon.gone("bad.ini")
    touch(daemon)
    daemon.stop()


def test_what_waits_at_its_end_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the messages that bring it are empty."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    keeper = KeeperLink(None)
    notify = NotifySocket.make(keeper, "1.2.a.ini", "i" * 16, None)
    reading, writing = os.pipe()
    passed, kept = lingering()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.connect(notify.path)
        for data in (b"", b"x"):
            socket.send_fds(end, [data], [writing] * 249 + [passed.fileno()] * 4)
    os.close(writing)
    passed.close()
    began = time.monotonic()
    notify.discard(keeper)
    assert time.monotonic() - began < LINGER / 10
    closing_all(kept)
    assert os.read(reading, 1) == b""  # its last writer is closed
    os.close(reading)
    assert not os.path.exists(notify.path)


def test_a_place_that_is_none_bars_it(daemon: Daemon) -> None:
    run = daemon.folder / ("x" * 90)
    daemon.environ["RUNTIME_DIRECTORY"] = str(run)
    Notifier(daemon).put()
    daemon.start()
    reason = str(daemon.phase("a.ini", "barred").reason)
    assert "its NOTIFY_SOCKET cannot be made" in reason
    assert "give the daemon another RUNTIME_DIRECTORY" in reason
    daemon.stop()
