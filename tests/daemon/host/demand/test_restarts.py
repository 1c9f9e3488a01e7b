"""The addresses on demand stay open while the daemon restarts or is upgraded."""

import os
import signal
import stat
from pathlib import Path

import pytest
from support import clients, processes
from support.daemon import Daemon
from support.on_demand import BESIDE, App

from ...conftest import MakeDaemon

# Restarts of the daemon


@pytest.mark.few(1)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restarted_while_listening(daemon: Daemon, how: int) -> None:
    """Without a keeper: a socket file that a dead daemon left is replaced."""
    app = App(daemon).start()
    if how == signal.SIGKILL:
        daemon.kill()
        assert os.path.exists(app.address)
    else:
        daemon.stop()
        assert not os.path.exists(app.address)
    daemon.start()
    app.wait()
    assert app.says() == "hello"
    daemon.stop()


def test_under_a_keeper_the_address_is_never_refused(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(*BESIDE)
    daemon.module = "emperord.daemon.keeper"
    app = App(daemon).start()
    other = App(daemon, "other").start()
    assert other.says() == "hello"
    daemon.phase(other.name, "accepting")
    daemon_pid = processes.children_of(daemon.pid)[0]
    with clients.dial(app.address) as connected:  # it is wanted just when no process is there
        after = daemon.last_seq()
        processes.kill(daemon_pid)
        for _ in range(50):
            clients.dial(app.address).close()
            clients.dial(other.address).close()
        daemon.event("daemon_ready", after=after)
        assert clients.finish(connected)["says"] == "hello"
    assert other.says() == "hello"
    inode = os.stat(app.address).st_ino
    after = daemon.last_seq()
    daemon.send(signal.SIGUSR2)
    daemon.event("daemon_ready", after=after)
    assert app.says() == "hello"
    assert os.stat(app.address).st_ino == inode
    daemon.stop()
    assert not os.path.exists(app.address)


@pytest.mark.slow
def test_an_upgrade_with_other_options_changes_the_socket(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    options = tmp_path / "emperor.yml"
    options.write_text("on-demand-mode: '666'\n")
    daemon = make_daemon(*BESIDE, "--config", str(options))
    daemon.module = "emperord.daemon.keeper"
    app = App(daemon).start()
    before = os.stat(app.address)
    assert stat.S_IMODE(before.st_mode) == 0o666
    options.write_text("on-demand-mode: '600'\n")
    daemon.send(signal.SIGUSR2)
    daemon.until(lambda: stat.S_IMODE(os.stat(app.address).st_mode) == 0o600, "its mode is new")
    assert os.stat(app.address).st_ino == before.st_ino
    assert app.says() == "hello"
    daemon.stop()
