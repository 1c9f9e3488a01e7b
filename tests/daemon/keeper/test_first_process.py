"""The keeper as process 1 of a container: it reaps all orphans, and a SIGTERM ends all of it."""

import os
import signal
from pathlib import Path

from support.processes import argv_of
from support.root import need_root
from support.tyrant import status_of
from support.vassals import program
from support.waiting import until

from ..conftest import MakeEmperor

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
# Both leave the vassal's session and its process tree; one ends at once, the other lives on.
ORPHANS = program("sh", "-c", "setsid -f true; setsid -f sleep 1234; exec sleep 1000")


def inside(first: int) -> dict[int, dict[str, list[str]]]:
    """The status of the processes in the pid namespace of this one, itself included."""
    found = {}
    space = os.readlink(f"/proc/{first}/ns/pid")
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/ns/pid") == space:
                found[int(entry)] = status_of(int(entry))
        except OSError:
            continue  # it has ended meanwhile
    return found


def orphan_of(keeper: int) -> int | None:
    """The orphan that lives, when the keeper is its parent and the other one is gone."""
    sleepers = [
        pid
        for pid, status in inside(keeper).items()
        if status["PPid"] == [str(keeper)] and "1234" in argv_of(pid)
    ]
    return sleepers[0] if sleepers else None


def zombies(keeper: int) -> list[int]:
    return [pid for pid, status in inside(keeper).items() if status["State"][0] == "Z"]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_first_process_reaps_orphans_and_stops_all(make_emperor: MakeEmperor) -> None:
    need_root("make pid namespaces")
    emperor = make_emperor(before=CONTAINER)
    emperor.put("a.ini", ORPHANS)
    emperor.launch()
    emperor.event("spawned", "a.ini")
    (keeper,) = children(emperor.pid)  # of unshare
    assert status_of(keeper)["NSpid"][-1] == "1"
    # The daemon reaps orphans while it lives; those of its death are the keeper's.
    (daemon,) = children(keeper)
    os.kill(daemon, signal.SIGKILL)
    orphan = emperor.until(lambda: orphan_of(keeper), "the keeper has the orphan")
    emperor.until(lambda: emperor.kinds().count("daemon_ready") == 2, "a daemon is there again")
    os.kill(orphan, signal.SIGKILL)
    emperor.until(lambda: orphan not in inside(keeper), "the orphan is reaped")
    emperor.until(lambda: not zombies(keeper), "no zombie is left")
    os.kill(keeper, signal.SIGTERM)
    assert emperor.process is not None
    process = emperor.process
    until(lambda: process.poll() is not None, "it has ended")
    assert process.returncode == 0
    assert {"exited", "daemon_stopped"} <= set(emperor.kinds())
