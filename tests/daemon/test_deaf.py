"""Vassals that read no orders: uWSGI without a master, and what stands in for it."""

import os
from pathlib import Path

from support.daemon import Daemon
from support.vassals import Application

from .conftest import MakeDaemon

PATIENCE = "2"  # seconds of --start-patience


def masterless(app: Application, says: str) -> str:
    return app.config(says).replace("master = true", "master = false")


def deaf_and_up(daemon: Daemon, config: Path, app: Application) -> None:
    """Start it, have it reload in vain, and wait until it runs again."""
    config.write_text(masterless(app, "one"))
    assert "master = false" in config.read_text()
    daemon.start()
    daemon.phase("app.ini", "accepting")
    os.utime(config, ns=(0, 1))
    told = daemon.event("vassal_deaf", "app.ini")
    assert [action["do"] for action in told.actions] == ["stop"]
    daemon.event("vassal_accepting", "app.ini", after=told.seq)


def test_a_reload_that_is_not_read_is_a_restart(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon("--start-patience", PATIENCE)
    app = Application(tmp_path)
    config = daemon.vassals / "app.ini"
    deaf_and_up(daemon, config, app)
    # With the same config nothing is waited for: its next reload is a restart at once.
    os.utime(config, ns=(0, 2))
    change = daemon.event("vassal_changed", "app.ini", count=2)
    assert [action["do"] for action in change.actions] == ["stop"]
    again = daemon.event("vassal_accepting", "app.ini", after=change.seq)
    assert len(daemon.events("vassal_deaf")) == 1
    # The new text is served, which no reload would have done.
    config.write_text(masterless(app, "two"))
    daemon.event("vassal_accepting", "app.ini", after=again.seq)
    answer = daemon.until(app.answers, "it answers")
    assert answer.says == "two"
    daemon.stop()


def test_it_is_stopped_by_a_signal_at_once(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon("--start-patience", PATIENCE)
    config = daemon.vassals / "app.ini"
    deaf_and_up(daemon, config, Application(tmp_path))
    config.unlink()
    removed = daemon.event("vassal_removed", "app.ini")
    ended = daemon.event("exited", "app.ini", after=removed.seq)
    assert (ended.at - removed.at) / 1e9 < 3  # far less than the mercy of 30 s
    assert ended.body["signal"] == 3  # QUIT
    daemon.stop()


def test_one_that_was_never_reloaded_does_not_take_the_mercy(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon()
    config = daemon.vassals / "app.ini"
    config.write_text(masterless(Application(tmp_path), "one"))
    daemon.start()
    daemon.phase("app.ini", "accepting")
    config.unlink()
    removed = daemon.event("vassal_removed", "app.ini")
    ended = daemon.event("exited", "app.ini", after=removed.seq)
    assert (ended.at - removed.at) / 1e9 < 15
    daemon.stop()
