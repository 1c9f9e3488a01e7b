"""``ready = notify`` under a real daemon: programs that say by sd_notify(3) when they are up."""

import os
import signal
import sys
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.vassals import program, shell

from ..conftest import MakeDaemon, MakeEmperor

# Sends each line that is appended to the file in argv[1]; "\\n" in it is a line end.
NOTIFIER = r"""
import os, signal, socket, sys, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
end.connect(os.environ["NOTIFY_SOCKET"])
sent = 0
while True:
    lines = open(sys.argv[1]).read().split("\n")[:-1]
    for line in lines[sent:]:
        end.send(line.replace("\\n", "\n").encode())
    sent = len(lines)
    open(sys.argv[1] + ".sent", "w").write(str(sent))
    time.sleep(0.02)
"""


class Notifier:
    """A vassal that sends messages as a test tells it to."""

    def __init__(self, daemon: Daemon, name: str = "a") -> None:
        self._until = daemon.until
        self.config = daemon.vassals / f"{name}.ini"
        self._script = daemon.folder / "notifier.py"
        self._said = daemon.folder / f"{name}.said"
        self._said.touch()

    def put(self, **settings: str) -> None:
        self._script.write_text(NOTIFIER)
        words = (sys.executable, "-IS", str(self._script), str(self._said))
        self.config.write_text(program(*words, ready="notify", **settings))

    def say(self, *assignments: str) -> None:
        with self._said.open("a") as file:
            file.write("\\n".join(assignments) + "\n")
        count, sent = len(self._said.read_text().splitlines()), Path(f"{self._said}.sent")
        self._until(lambda: sent.exists() and sent.read_text() == str(count), "it is sent")


@pytest.fixture
def notifier(daemon: Daemon) -> Notifier:
    return Notifier(daemon)


def test_it_starts_until_it_says_that_it_is_ready(daemon: Daemon, notifier: Notifier) -> None:
    notifier.put()
    daemon.start()
    daemon.event("spawned", "a.ini")
    assert daemon.phase("a.ini", "starting").slot
    notifier.say("STATUS=loading")
    notifier.say("READY=1", "STATUS=up")
    daemon.phase("a.ini", "accepting")
    daemon.stop()


def test_a_daemon_that_dies_loses_no_message(make_emperor: MakeEmperor) -> None:
    """Nor one that has just been started: the keeper has the socket."""
    emperor = make_emperor()
    notifier = Notifier(emperor)
    notifier.put()
    emperor.start()
    pid = emperor.pid_of("a.ini")
    os.kill(emperor.daemon_pid(), signal.SIGSTOP)
    notifier.say("STATUS=on its way")
    notifier.say("READY=1")
    emperor.restart()
    assert emperor.phase("a.ini", "accepting").pid == pid
    seq = emperor.last_seq()
    emperor.ctl("upgrade")
    emperor.next_ready(seq)
    assert len(emperor.events("vassal_accepting", "a.ini")) == 1
    assert len(list((emperor.folder / "run" / "notify").iterdir())) == 1
    emperor.stop()
    assert list((emperor.folder / "run" / "notify").iterdir()) == []


def test_one_that_says_nothing_is_killed_and_throttled(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon("--throttle", "1000000", "--max-throttle", "1000000")
    notifier = Notifier(daemon)
    notifier.put(ready_timeout="500ms")
    daemon.start()
    assert daemon.phase("a.ini", "throttled").reason == "was not ready within 500ms"
    daemon.stop()


def test_systemd_notify(daemon: Daemon) -> None:
    """It is a child that ends when its message was read."""
    (daemon.vassals / "a.ini").write_text(
        shell("systemd-notify --ready; exec sleep 1000", ready="notify")
    )
    daemon.start()
    daemon.phase("a.ini", "accepting")
    daemon.stop()


def test_without_a_keeper_nothing_waits_for_a_message(daemon: Daemon, notifier: Notifier) -> None:
    """Its socket died with the daemon, so it counts as up."""
    notifier.put()
    daemon.start()
    notifier.say("STATUS=it has its socket")
    pid = daemon.pid_of("a.ini")
    daemon.kill()
    daemon.start()
    assert daemon.phase("a.ini", "ready").pid == pid
    daemon.stop()
