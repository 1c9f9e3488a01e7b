"""Cgroups beside a keeper or vassals of the former version."""

import os
from pathlib import Path

from support import processes
from support.cgroups import attempts, below, members, within
from support.former import Installation
from support.hostile_descendants import given, listed, removed
from support.vassals import SLEEPER, shell

from ...conftest import MakeEmperor


def test_a_former_keeper_and_its_vassals_below_a_delegated_cgroup(
    make_emperor: MakeEmperor, base: Path | None, tmp_path: Path
) -> None:
    """They were all in the unit's own cgroup; keeper and daemon leave it, the vassals stay."""
    if base is not None:
        os.setxattr(base, "trusted.delegate", b"1")
    installed = Installation(tmp_path)
    before = () if base is None else within(base)
    emperor = make_emperor(environ=installed.environ, before=before)
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini")
    installed.upgrade()
    emperor.restart()
    assert emperor.up("a.ini") == pids
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.phase("b.ini", "ready")
    assert listed(emperor, "a.ini") is None
    if base is not None:
        leaf = base / f"daemon.{emperor.pid}"
        assert members(base) == list(pids.values())
        both = sorted([emperor.pid, emperor.daemon_pid()])
        emperor.until(lambda: sorted(members(leaf)) == both, "the vassal is elsewhere")
        assert [listed(emperor, "b.ini")] == [str(made) for made in attempts(base)]
    emperor.stop()
    assert base is None or below(base) == []


def test_vassals_of_the_former_version_are_gone_on_with(
    make_emperor: MakeEmperor, base: Path | None, tmp_path: Path
) -> None:
    """They have no cgroup: they keep the tag, and what starts next has one."""
    installed = Installation(tmp_path)
    emperor = make_emperor(environ=installed.environ)
    hides = "(env -i setsid sleep 3000 & echo $! >hidden); exec sleep 1000"
    (emperor.vassals / "a.ini").write_text(shell(hides))
    emperor.start()
    pids = emperor.up("a.ini")
    note = emperor.vassals / "hidden"
    emperor.until(lambda: note.exists() and note.read_text().endswith("\n"), "it hides")
    pid = int(note.read_text())
    installed.upgrade()
    emperor.options += given(base)
    # The keeper of the former version refuses options that it does not know, so both are replaced.
    emperor.kill()
    emperor.start()
    assert emperor.up("a.ini") == pids
    assert listed(emperor, "a.ini") is None
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.phase("b.ini", "ready")
    assert (listed(emperor, "b.ini") is None) is (base is None)
    removed(emperor)
    emperor.gone("a.ini")
    assert not processes.alive(pid)
    emperor.stop()
    assert base is None or below(base) == []
