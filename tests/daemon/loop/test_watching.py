"""A daemon that stops its vassals watches nothing that the next one can look at.

The source that announces its vassals is heard until the end.
"""

import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from emperord.journal.events import Spec
from emperord.monitors.contract import Tell
from support.daemon import Daemon
from support.descriptors import descriptors
from support.ports import free_port
from support.pushing import Pusher
from support.steered import Source, inline, steered
from support.vassals import DEAF, SLEEPER, speaker_path


def watches(pid: int) -> int:
    """How many descriptors of inotify a process has."""
    return sum(target == "anon_inode:inotify" for _, target in descriptors(pid))


def test_changes_during_a_stop_are_the_next_daemons(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--mercy", "1000") as daemon:
        deaf, other = daemon.vassals / "deaf.ini", daemon.vassals / "other.ini"
        deaf.write_text(DEAF)
        other.write_text(SLEEPER)
        daemon.start()
        pid = daemon.phase("deaf.ini", "ready").pid
        daemon.phase("other.ini", "ready")
        assert daemon.process is not None
        leaving = daemon.process.pid
        assert watches(leaving) > 0
        daemon.send(signal.SIGTERM)
        daemon.until(lambda: watches(leaving) == 0, "it watches nothing")
        other.unlink()
        (daemon.vassals / "new.ini").write_text(SLEEPER)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert daemon.wait() == 0
        assert daemon.kinds("new.ini") == []
        assert "vassal_removed" not in daemon.kinds("other.ini")
        deaf.unlink()
        daemon.start()
        daemon.phase("new.ini", "ready")
        daemon.until(lambda: "vassal_removed" in daemon.kinds("other.ini"), "it is removed")
        daemon.stop()


def test_announcements_during_a_stop_are_not_lost(tmp_path: Path) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    url = f"zmq://{endpoint}"
    with Daemon(tmp_path, "--mercy", "1000", monitors=[url]) as daemon, Pusher(endpoint) as pusher:
        daemon.start()
        for name, text in (("deaf.ini", DEAF), ("gone.ini", SLEEPER)):
            pusher.touch(name, text)
            daemon.phase(name, "ready")
        pid = daemon.pid_of("deaf.ini")
        daemon.send(signal.SIGTERM)
        daemon.until(lambda: "exited" in daemon.kinds("gone.ini"), "it stops")
        pusher.touch("new.ini", SLEEPER)
        pusher.destroy("gone.ini")
        pusher.destroy("deaf.ini")
        daemon.until(lambda: "vassal_added" in daemon.kinds("new.ini"), "it is recorded")
        daemon.until(lambda: daemon.kinds().count("vassal_destroyed") == 2, "both are recorded")
        os.kill(pid, signal.SIGKILL)
        assert daemon.wait() == 0
        daemon.start()
        daemon.phase("new.ini", "ready")
        assert daemon.kinds("gone.ini").count("spawned") == 1
        daemon.stop()


def test_a_journal_that_is_lost_during_a_stop_is_missed_at_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--mercy", "1000") as daemon:
        (daemon.vassals / "deaf.ini").write_text(DEAF)
        daemon.start()
        pid = daemon.phase("deaf.ini", "ready").pid
        assert pid is not None
        assert daemon.process is not None
        leaving = daemon.process.pid
        daemon.send(signal.SIGTERM)
        daemon.until(lambda: watches(leaving) == 0, "it watches nothing")
        away = daemon.journal.with_name("away.db")
        daemon.journal.rename(away)
        daemon.until(lambda: "paused: " in daemon.log(), "it is told")
        away.rename(daemon.journal)
        os.kill(pid, signal.SIGKILL)
        assert daemon.wait() == 0


class Broken(Source):
    """A source that cannot tidy up when it is left."""

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fail_at_the_end)
            await super().run(tell, known)

    async def _fail_at_the_end(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("Read-only file system")


async def test_a_source_that_fails_when_it_is_left_does_not_end_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SPEAKER_NOTES", str(tmp_path))
    source = Broken()
    with caplog.at_level(logging.ERROR):
        async with steered(tmp_path, source, uwsgi=speaker_path(tmp_path)) as daemon:
            await source.lists(a=inline("say 1 5\n", 1))
            await daemon.phase("a.ini", "accepting")
    assert "a source was not left in order" in caplog.text
    with Daemon(tmp_path) as reader:
        reader.journal = tmp_path / "journal.db"
        assert reader.kinds()[-2:] == ["checkpoint", "daemon_stopped"]
        assert reader.kinds("a.ini")[-1] == "exited"
