"""Kills for want of memory, as the kernel tells of them: in its log, and in a cgroup's events."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from emperord.daemon.host.kernel_kills import KMSG, counted, killed
from support.daemon import Daemon
from support.root import need_root
from support.vassals import program

MEMORY = Path("/sys/fs/cgroup/memory")  # of cgroup v1, where the test may limit memory
_FILLS = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
held = []
while True:
    held.append(bytearray(b"x" * 2**20))
"""
KERNELS = "Memory cgroup out of memory: Killed process 4711 (uwsgi) total-vm:9kB, anon-rss:8kB"


@pytest.mark.parametrize(
    ("record", "found"),
    [
        pytest.param(f"3,70,1500000,-;{KERNELS}\n", {4711: (1.5, KERNELS)}, id="of a cgroup"),
        pytest.param(
            "3,7,9,-;Out of memory: Killed process 7 (a) x", {7: (9e-6, None)}, id="of the machine"
        ),
        pytest.param(f"11,70,1500000,-;{KERNELS}\n", {}, id="written by a program"),
        pytest.param(f"6,70,1500000,-;a[7]: {KERNELS}\n", {}, id="quoted by another line"),
        pytest.param("6,7,9,-;usb 1-1: new device\n", {}, id="another line"),
        pytest.param("no record", {}, id="no record"),
        pytest.param("", {}, id="empty"),
    ],
)
def test_the_kernels_lines_are_told_from_others(
    tmp_path: Path, record: str, found: dict[int, tuple[float, str | None]]
) -> None:
    path = tmp_path / "kmsg"
    path.write_text(record)
    told = killed(str(path))
    assert told is not None
    assert {pid: at for pid, (at, _) in told.items()} == {
        pid: pytest.approx(at) for pid, (at, _) in found.items()
    }
    assert all(text is None or told[pid][1] == text for pid, (_, text) in found.items())


def test_a_log_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    assert killed(str(tmp_path / "absent")) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n", 2),
        ("low 0\noom_kill 0\n", 0),
        ("oom_kill many\n", 0),
    ],
)
def test_kills_of_a_cgroup_are_counted(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "memory.events").write_text(text)
    assert counted(str(tmp_path)) == count


def test_a_cgroup_without_the_controller_counts_none(tmp_path: Path) -> None:
    assert (counted(str(tmp_path)), counted(None)) == (0, 0)


@contextmanager
def small_memory() -> Iterator[Path]:
    """A cgroup whose processes may have 24 MiB together."""
    need_root("limit the memory of a cgroup")
    limit = "memory.limit_in_bytes"
    if not (MEMORY / limit).exists() or killed(KMSG) is None:
        pytest.skip("no cgroup v1 with a limit of memory, or no kernel log")
    cgroup = MEMORY / f"emperord-test-{uuid.uuid4().hex[:12]}"
    cgroup.mkdir()
    try:
        (cgroup / limit).write_text(str(24 << 20))
        yield cgroup
    finally:
        cgroup.rmdir()


def test_a_kill_by_the_kernel_is_told_from_one_by_a_process(
    daemon: Daemon,
) -> None:
    with small_memory() as cgroup:
        fills = daemon.folder / "fills.py"
        fills.write_text(_FILLS)
        text = program(sys.executable, "-IS", str(fills), str(cgroup), restart="no")
        (daemon.vassals / "fills.ini").write_text(text)
        (daemon.vassals / "victim.ini").write_text(program("sh", "-c", "kill -9 $$", restart="no"))
        daemon.start()
        filled = daemon.event("exited", "fills.ini").body
        pid = daemon.event("spawned", "fills.ini").body["pid"]
        assert filled["signal"] == 9
        assert f"out of memory: Killed process {pid} (" in filled["oom"]
        victim = daemon.event("exited", "victim.ini").body
        assert victim["signal"] == 9
        assert "oom" not in victim
        daemon.stop()
        assert "by the kernel: out of memory (Memory cgroup out of memory: " in daemon.log()
