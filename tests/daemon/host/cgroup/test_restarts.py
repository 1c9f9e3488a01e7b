"""The next daemon finds the processes of its vassals by their cgroups."""

import os
import signal
from pathlib import Path

from emperord.daemon.host import cgroups
from emperord.daemon.startup.identity import short
from emperord.journal.store import Journal
from support import processes
from support.cgroups import attempts, below
from support.crafted import Crafted, started
from support.hostile_descendants import attention, given, hidden, hostile, listed
from support.vassals import SLEEPER, shell
from support.waiting import PATIENCE

from ...conftest import MakeDaemon, MakeEmperor


def test_the_next_daemon_goes_on_with_the_same_cgroup(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    emperor = make_emperor(*given(base))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini")
    before = listed(emperor, "a.ini")
    assert (before is None) is (base is None)
    emperor.restart()
    assert emperor.up("a.ini") == pids
    assert listed(emperor, "a.ini") == before
    emperor.ctl("upgrade")
    emperor.event("daemon_ready", count=3)
    assert emperor.up("a.ini") == pids
    assert listed(emperor, "a.ini") == before
    emperor.stop()
    assert base is None or below(base) == []


def test_the_next_daemon_ends_what_it_does_not_adopt(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    """The leader has died with its daemon; its descendant can be found in its cgroup alone."""
    emperor = make_emperor(*given(base))
    with hostile(emperor) as find:
        emperor.start()
        pid, leader = find(), emperor.pid_of("a.ini")
        os.kill(emperor.pid, signal.SIGSTOP)  # the keeper: there is no next daemon yet
        emperor.kill_daemon()
        processes.kill(leader)
        seq = emperor.last_seq()
        os.kill(emperor.pid, signal.SIGCONT)
        emperor.event("exited", "a.ini", after=seq)
        assert hidden(pid) is (base is None)
        emperor.next_ready(seq)
        emperor.event("spawned", "a.ini", count=2)
        if base is not None:
            emperor.until(lambda: len(below(base)) == 1, "its new one alone")
        emperor.stop()


def test_what_a_leader_left_in_its_cgroup_lives_on_with_it(
    make_emperor: MakeEmperor, base: Path | None
) -> None:
    """The leader moves out, as container engines do; the next daemon adopts it."""
    emperor = make_emperor(*given(base))
    outside = Path("/dev/null")
    if base is not None:
        (base / "outside").mkdir()
        outside = base / "outside" / "cgroup.procs"
    script = f"sleep 3000 & echo 0 >{outside}; echo $! >inside; exec sleep 1000"
    (emperor.vassals / "a.ini").write_text(shell(script))
    note = emperor.vassals / "inside"
    emperor.start()
    emperor.until(lambda: note.exists() and note.read_text().endswith("\n"), "it has moved")
    pids, pid, before = emperor.up("a.ini"), int(note.read_text()), listed(emperor, "a.ini")
    assert (before is None) is (base is None)
    emperor.restart()
    assert emperor.up("a.ini") == pids
    assert processes.argv_of(pid) == ["sleep", "3000"]
    assert listed(emperor, "a.ini") == before
    emperor.stop()
    assert not processes.alive(pid)
    assert base is None or below(base) == ["outside"]


def in_its_cgroup(crafted: Crafted, base: Path | None) -> str:
    """A shell's words to enter the cgroup of an attempt, which are made; none without a base."""
    if base is None:
        return ":"
    with Journal.open(str(crafted.daemon.journal)) as journal:
        assert journal.head is not None
        identity = short(journal.head.identity)
    name = cgroups.name_of(identity, crafted.environ["EMPERORD_ATTEMPT"])
    (base / str(name)).mkdir()
    return f"echo 0 >{base}/{name}/cgroup.procs"


def test_a_start_that_was_not_recorded_is_found_in_its_cgroup(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    """The daemon died between the fork and the record."""
    daemon = make_daemon(*given(base))
    crafted = Crafted(daemon)
    script = f"{in_its_cgroup(crafted, base)}; exec sleep 1000"
    with started("sh", "-c", script, **crafted.environ) as child:
        daemon.until(lambda: processes.argv_of(child.pid)[:1] == ["sleep"], "it is in there")
        daemon.start()
        assert daemon.event("adopted", "a.ini").body["pid"] == child.pid
        if base is not None:
            assert [listed(daemon, "a.ini")] == [str(made) for made in attempts(base)]
        daemon.stop()
        assert child.wait(PATIENCE) == -signal.SIGTERM
    assert base is None or below(base) == []


def test_a_start_that_was_not_recorded_and_hides_is_ended(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    daemon = make_daemon(*given(base))
    crafted = Crafted(daemon)
    script = f"{in_its_cgroup(crafted, base)}; exec env -i sleep 1000"
    with started("sh", "-c", script, **crafted.environ) as child:
        daemon.until(lambda: processes.argv_of(child.pid)[:1] == ["sleep"], "it is in there")
        daemon.start()
        daemon.event("spawn_failed", "a.ini")
        assert processes.alive(child.pid) is (base is None)
        daemon.event("spawned", "a.ini")
        daemon.stop()
    assert base is None or below(base) == []


def test_a_process_outside_of_its_cgroup_is_told_and_ended(
    make_daemon: MakeDaemon, base: Path | None
) -> None:
    """Root can move it; the daemon does not rely on its cgroup then."""
    daemon = make_daemon(*given(base))
    script = "(env -i setsid sleep 3000 & echo $! >hidden); exec sleep 1000"
    (daemon.vassals / "a.ini").write_text(shell(script))
    note = daemon.vassals / "hidden"
    daemon.start()
    daemon.until(lambda: note.exists() and note.read_text().endswith("\n"), "it hides")
    daemon.phase("a.ini", "ready")
    if base is not None:
        (base / "outside").mkdir()
        for pid in (daemon.pid_of("a.ini"), int(note.read_text())):
            (base / "outside" / "cgroup.procs").write_text(str(pid))
    daemon.until(lambda: attention(daemon), "it is told")
    told = attention(daemon)[0]["reason"]
    assert base is None or told == f"a.ini: process {daemon.pid_of('a.ini')} is not in its cgroup"
    daemon.stop()
    assert not processes.alive(int(note.read_text()))
    assert base is None or below(base) == ["outside"]
