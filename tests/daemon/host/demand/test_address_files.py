"""The files that give an address on demand, and commands that give it."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.on_demand import BESIDE, App
from support.vassals import program

from ...conftest import MakeDaemon


def test_a_directory_of_sockets(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    daemon = make_daemon("--on-demand-directory", str(sockets))
    app = App(daemon)
    app.write()
    app.address = str(sockets / "web.socket")
    daemon.start()
    app.wait()
    assert app.says() == "hello"
    daemon.stop()


def test_a_command_says_the_address(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    script = tmp_path / "where"
    script.write_text(f'#!/bin/sh\nset -e\ncat "{tmp_path}/$(basename "$1").address"\n')
    script.chmod(0o755)
    daemon = make_daemon("--on-demand-exec", f"{script}")
    name = "we b;$(touch x).ini"  # meets no shell
    app = App(daemon, name.removesuffix(".ini"))
    app.address = str(tmp_path / "x.sock")
    app.write()
    daemon.start()
    rejected = daemon.event("observation_rejected")
    assert (
        rejected.body["reason"]
        == f"it cannot be read: --on-demand-exec {script} failed with code 1"
    )
    (tmp_path / f"{name}.address").write_text(app.address)
    app.wait()
    assert app.says() == "hello"
    (tmp_path / f"{name}.address").unlink()
    app.write("changed")  # a config without its address does not end the process
    daemon.event("observation_rejected", count=2)
    assert app.says() == "hello"
    assert not (daemon.vassals / "x").exists()
    daemon.stop()


def test_a_command_that_hangs_is_ended(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon("--on-demand-exec", "sh -c 'sleep 1000; true'")
    App(daemon).write()
    daemon.launch()
    rejected = daemon.event("observation_rejected")
    assert "did not end within 5 s" in rejected.body["reason"]
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0
    daemon.until(lambda: not daemon.running(), "nothing of it is left")


@pytest.mark.few(1)
@pytest.mark.parametrize("text", ["", "\n", "   \n127.0.0.1:1\n"])
def test_an_empty_file_beside_says_that_it_is_not_on_demand(daemon: Daemon, text: str) -> None:
    (daemon.vassals / "a.ini.socket").write_text(text)
    (daemon.vassals / "a.ini").write_text(program("sleep", "1000"))
    daemon.start()
    daemon.phase("a.ini", "ready")
    daemon.stop()


def test_the_file_beside_is_seen_without_events(make_daemon: MakeDaemon) -> None:
    """The safety net sees it too: here it is reached through a directory without a watch."""
    daemon = make_daemon(*BESIDE, monitors=["vassals/*.ini"])
    app = App(daemon)
    app.name = "vassals/web.ini"
    (daemon.vassals / "web.ini").write_text(program("sleep", "1000"))
    daemon.start()
    daemon.phase(app.name, "ready")
    (daemon.vassals / "web.ini.socket").write_text(app.address)
    daemon.phase(app.name, "listening")
    daemon.until(partial(os.path.exists, app.address), "it listens")
    daemon.stop()
