"""Vassals that read no orders: uWSGI without a master, and what stands in for it."""

import os
from pathlib import Path
from typing import Final

from support.daemon import Daemon
from support.vassals import Application, notes

from ..conftest import MakeDaemon, MakeEmperor

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


LOADS: Final = "[uwsgi]\nsay 1 5\n"


def loads_for_long(daemon: Daemon) -> None:
    """Start a speaker, and have it load a config for as long as there is no file ``go``."""
    config = daemon.vassals / "app.ini"
    config.write_text(LOADS)
    daemon.start()
    daemon.phase("app.ini", "accepting")
    config.write_text(LOADS.replace("say 1 5", "await go\nsay 5"))
    daemon.phase("app.ini", "reloading")
    daemon.until(
        lambda: notes(daemon.vassals, "app.ini", "heard") == ["1"], "it has read the order"
    )


def goes_on_undisturbed(daemon: Daemon, pid: int) -> None:
    """Its patience ends, and it is still the same process, and not called deaf."""
    daemon.event("deadline_passed", "app.ini")
    (daemon.vassals / "go").touch()
    daemon.until(
        lambda: notes(daemon.vassals, "app.ini", "heard") == ["1", "1"], "it reads the other order"
    )
    daemon.phase("app.ini", "accepting")
    assert daemon.pid_of("app.ini") == pid
    assert daemon.events("vassal_deaf") == []
    daemon.stop()


def test_one_that_loads_and_has_another_order_unread_is_not_deaf(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--start-patience", PATIENCE, speakers=True)
    loads_for_long(daemon)
    pid = daemon.pid_of("app.ini")
    daemon.event("deadline_passed", "app.ini")  # so that the next order is sent while it loads
    os.utime(daemon.vassals / "app.ini", ns=(0, 1))
    changed = daemon.event("vassal_changed", "app.ini", count=2)
    daemon.event("deadline_passed", "app.ini", after=changed.seq)
    goes_on_undisturbed(daemon, pid)


def test_one_that_loads_for_a_daemon_that_died_is_not_deaf(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--start-patience", PATIENCE, speakers=True)
    loads_for_long(emperor)
    pid = emperor.pid_of("app.ini")
    emperor.restart()
    goes_on_undisturbed(emperor, pid)
