"""Paths of cgroups, and the program that enters one: without a daemon."""

import os
import subprocess
from pathlib import Path

import pytest
from emperord.daemon.host import cgroup_base, cgroup_files, cgroups, procfs
from emperord.daemon.host.cgroup_files import Mount
from support.cgroups import cgroup_of, own_cgroup

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
HYBRID = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
CPU = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu"
BLANK = r"50 31 0:38 /a\040b /mnt/x\134y\040z rw - cgroup2 none rw"
CONTAINER = "60 31 0:38 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw"

MOUNTS = [
    pytest.param([UNIFIED], [Mount("/", "/sys/fs/cgroup")], id="version 2 alone"),
    pytest.param([CPU, HYBRID], [Mount("/", "/sys/fs/cgroup/unified")], id="hybrid"),
    pytest.param([CPU], [], id="version 1 alone"),
    pytest.param([BLANK], [Mount("/a b", "/mnt/x\\y z")], id="escaped"),
]


@pytest.mark.parametrize(("lines", "found"), MOUNTS)
def test_mounts(lines: list[str], found: list[Mount]) -> None:
    assert cgroup_files.mounts("\n".join(lines)) == found


DIRECTORIES = [
    pytest.param([UNIFIED], "/", "/sys/fs/cgroup", id="the root"),
    pytest.param([UNIFIED], "/a/b", "/sys/fs/cgroup/a/b", id="below the root"),
    pytest.param([BLANK], "/a b/c", "/mnt/x\\y z/c", id="below a part that is mounted"),
    pytest.param([BLANK], "/a b", "/mnt/x\\y z", id="that part"),
    pytest.param([BLANK], "/a bc", None, id="beside that part"),
    pytest.param([CONTAINER], "/a", None, id="of another namespace"),
    pytest.param([BLANK, UNIFIED], "/a bc", "/sys/fs/cgroup/a bc", id="the mount that shows it"),
    pytest.param([CPU], "/", None, id="none is mounted"),
]


@pytest.mark.parametrize(("lines", "path", "found"), DIRECTORIES)
def test_directories(lines: list[str], path: str, found: str | None) -> None:
    assert cgroup_files.directory(path, cgroup_files.mounts("\n".join(lines))) == found


def test_a_name_tells_identity_attempt_time_and_vassal() -> None:
    name = cgroups.name_of("0123456789abcdef", procfs.mark(7, 1234, "/etc/v/a.ini"))
    assert name is not None
    assert name.startswith("0123456789abcdef.7.1234.")
    others = [procfs.mark(7, 1234, "/etc/v/b.ini"), procfs.mark(7, 1235, "/etc/v/a.ini")]
    assert len({name, *(cgroups.name_of("0123456789abcdef", mark) for mark in others)}) == 3
    longest = cgroups.name_of("f" * 16, procfs.mark(1 << 62, 1 << 62, "x" * 254))
    assert longest is not None
    assert len(longest) < 255
    assert "/" not in longest


@pytest.mark.parametrize("mark", ["", "7", "7.8", "7.8.", "a.8.b", "7.b.c", "\u0667.8.a", "None"])
def test_a_mark_that_is_none_names_no_cgroup(mark: str) -> None:
    assert cgroups.name_of("0123456789abcdef", mark) is None


LEAVES = [
    ("/system.slice/emperor.service/daemon.42", "/system.slice/emperor.service"),
    ("/system.slice/emperor.service", "/system.slice/emperor.service"),
    ("/daemon.42", "/"),
    ("/", "/"),
    ("/my.daemon.service", "/my.daemon.service"),
    ("/a/daemon.42/b", "/a/daemon.42/b"),
]


@pytest.mark.parametrize(("path", "outside"), LEAVES)
def test_the_cgroup_outside_of_a_daemons_leaf(path: str, outside: str) -> None:
    assert cgroup_base.outside_leaf(path) == outside


def run(cgroup: str, *words: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*cgroups.entering(cgroup), *words],
        env={"PATH": path, "a.b": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_is_executed_in_the_cgroup() -> None:
    with own_cgroup() as base:
        cgroup = "/nowhere" if base is None else str(base)
        done = run(cgroup, "cat", "/proc/self/cgroup")
        assert done.returncode == 0
        said = f"emperor: {cgroup}/cgroup.procs: No such file or directory\n"
        assert done.stderr == (said if base is None else "")
        ours = cgroup_of(os.getpid()) if base is None else f"/{base.name}"
        assert f"0::{ours}" in done.stdout


def test_without_the_cgroup_it_is_executed_all_the_same() -> None:
    done = run("/nowhere", "sh", "-c", "echo ran")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr == "emperor: /nowhere/cgroup.procs: No such file or directory\n"


FAILURES = [
    pytest.param(["/nowhere/program"], 127, "there is no such program", id="missing"),
    pytest.param(["no-such-program"], 127, "there is no such program", id="not on PATH"),
    pytest.param(["/etc/passwd"], 126, "Permission denied", id="no program"),
]


@pytest.mark.parametrize(("words", "code", "reason"), FAILURES)
def test_what_cannot_be_executed(words: list[str], code: int, reason: str) -> None:
    done = run("/nowhere", *words)
    assert done.returncode == code
    assert done.stderr.splitlines()[1] == f"emperor: {words[0]}: {reason}"


def test_a_program_is_looked_for_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    for folder, mode in (("first", 0o644), ("second", 0o755)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "mine").write_text(f"#!/bin/sh\necho {folder}\n")
        (tmp_path / folder / "mine").chmod(mode)
    done = run("/nowhere", "mine", path=f"/nowhere:{tmp_path}/first:{tmp_path}/second")
    assert done.stdout == "second\n"
