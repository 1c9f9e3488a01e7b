"""A daemon that stops its vassals watches nothing any more; the next one finds what changed."""

import os
import signal
from pathlib import Path

from support.daemon import Daemon
from support.vassals import SLEEPER, shell

DEAF = shell("trap '' TERM; while :; do sleep 1000 & wait $!; done")


def watches(pid: int) -> int:
    """How many descriptors of inotify a process has."""
    found = 0
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += os.readlink(f"/proc/{pid}/fd/{number}") == "anon_inode:inotify"
        except FileNotFoundError:
            continue  # it was closed meanwhile
    return found


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
