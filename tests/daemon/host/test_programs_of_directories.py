"""Programs from directories: equal names, many removals, and a directory that goes away."""

from functools import partial
from pathlib import Path

import pytest
from support import processes
from support.daemon import Daemon
from support.programs import begun
from support.vassals import SLEEPER, program

from ..conftest import MakeDaemon

# Two places, one name


def test_the_same_file_name_in_two_directories(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    first, second = tmp_path / "vassals", tmp_path / "second"
    second.mkdir()
    daemon = make_daemon(monitors=[first, second])
    (first / "a.ini").write_text(SLEEPER)
    daemon.start()
    pid = daemon.phase("a.ini", "ready").pid
    (second / "a.ini").write_text(program("sleep", "2000"))
    rejected = daemon.event("observation_rejected", monitor=None)
    assert rejected.monitor == f"dir://{second}"
    assert f"dir://{first}" in rejected.body["reason"]
    assert daemon.pid_of("a.ini") == pid
    # The first lets go: the second's comes, with its text in the record.
    (first / "a.ini").unlink()
    daemon.event("spawned", "a.ini", count=2)
    vassal = daemon.phase("a.ini", "ready")
    assert vassal.monitor == f"dir://{second}"
    daemon.until(partial(begun, vassal.pid or 0, "sleep"), "it has begun")
    assert processes.argv_of(vassal.pid or 0) == ["sleep", "2000"]
    assert daemon.config_text(vassal.spec.config) == program("sleep", "2000").encode()
    assert len(daemon.running()) == 1
    daemon.stop()


@pytest.mark.slow
def test_many_files_removed_at_once(daemon: Daemon) -> None:
    """Most of a directory is deleted on purpose: the daemon doubts it first, and then stops it."""
    names = [f"{number}.ini" for number in range(8)]
    for name in names:
        (daemon.vassals / name).write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == 8, "all are up")
    for name in names[1:]:
        (daemon.vassals / name).unlink()
    daemon.until(lambda: list(daemon.fleet().vassals) == names[:1], "they are gone")
    assert len(daemon.running()) == 1
    daemon.stop()


def test_a_directory_that_goes_away_stops_nobody(daemon: Daemon) -> None:
    for number in range(3):
        (daemon.vassals / f"{number}.ini").write_text(SLEEPER)
    daemon.start()
    daemon.until(lambda: len(daemon.events("spawned")) == 3, "all are up")
    away = daemon.vassals.rename(daemon.folder / "away")
    daemon.event("monitor_failed")
    assert len(daemon.running()) == 3
    away.rename(daemon.vassals)
    daemon.event("monitor_recovered")
    (daemon.vassals / "new.ini").write_text(SLEEPER)
    daemon.phase("new.ini", "ready")
    assert daemon.kinds().count("spawned") == 4
    daemon.stop()
