"""Limits of a vassal's cgroup: which files get which values, and what is said where there are none.

The machine of a test may have no controllers, so plain files stand for those of the kernel. A real
cgroup without controllers, or none at all, is in the last test.
"""

from pathlib import Path

import pytest
from emperord.daemon.host import cgroup_limits
from support.cgroups import own_cgroup
from support.hostile_descendants import attention, given
from support.vassals import shell

from ..conftest import MakeDaemon

ASKED = {"memory-max": "64M", "cpu-weight": "50", "tasks-max": "100", "as": "1G"}
VALUES = {"memory.max": str(64 << 20), "cpu.weight": "50", "pids.max": "100"}


def cgroup(base: Path, controllers: str, *names: str) -> Path:
    """A cgroup in a base that can have these controllers, with these files."""
    (base / "cgroup.controllers").write_text(controllers + "\n")
    (base / "cgroup.subtree_control").write_text("")
    made = base / "attempt"
    made.mkdir()
    for name in names:
        (made / name).write_text("max\n")
    return made


def test_limits_are_written(tmp_path: Path) -> None:
    made = cgroup(tmp_path, "cpu memory pids", *VALUES)
    assert cgroup_limits.limit(str(made), ASKED) is None
    assert {name: (made / name).read_text()[: len(VALUES[name])] for name in VALUES} == VALUES
    assert (tmp_path / "cgroup.subtree_control").read_text() == ""  # it has them already


def test_nothing_is_done_unasked(tmp_path: Path) -> None:
    made = cgroup(tmp_path, "")
    assert cgroup_limits.limit(str(made), {"as": "1G"}) is None
    assert cgroup_limits.limit(None, {"nofile": "100"}) is None


def test_a_controller_is_enabled_when_it_is_needed(tmp_path: Path) -> None:
    made = cgroup(tmp_path, "cpu memory")
    reason = cgroup_limits.limit(str(made), {"memory-max": "64M"})
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
    assert reason == f"memory-max is not set: {made}/memory.max: No such file or directory"


@pytest.mark.parametrize("inside", [True, False])
def test_something_is_missing(tmp_path: Path, inside: bool) -> None:
    made = cgroup(tmp_path, "cpuset", "cpu.weight") if inside else None
    reasons = (
        f"memory-max is not set: {tmp_path} has no controller memory;"
        f" tasks-max is not set: {tmp_path} has no controller pids"
        if inside
        else "memory-max is not set, because vassals have no cgroups here;"
        " cpu-weight is not set, because vassals have no cgroups here;"
        " tasks-max is not set, because vassals have no cgroups here"
    )
    assert cgroup_limits.limit(None if made is None else str(made), ASKED) == reasons


def test_a_vassal_without_its_limits_runs_and_that_is_told_once(make_daemon: MakeDaemon) -> None:
    with own_cgroup() as base:
        daemon = make_daemon(*given(base))
        for name in ("a.ini", "b.ini"):
            (daemon.vassals / name).write_text(shell("exec sleep 1000", memory_max="64M"))
        daemon.start()
        for name in ("a.ini", "b.ini"):
            daemon.phase(name, "ready")
        controllers = base and (base / "cgroup.controllers").read_text().split()
        if not controllers or "memory" not in controllers:
            entries = [each for each in attention(daemon) if each["what"] == "no limits"]
            assert [each["reason"].startswith("memory-max is not set") for each in entries] == [
                True
            ]
            assert daemon.log().count("vassals run without limits of their cgroups") == 1
        daemon.stop()
