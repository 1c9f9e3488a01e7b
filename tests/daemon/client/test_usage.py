"""CPU and memory of a vassal: of its cgroup, or of its process tree."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.client.usage import Sample, Sampler, sample
from support.cgroups import own_cgroup
from support.root import need_root
from support.waiting import until

FAMILY = "sleep 1000 & (sleep 1000 & wait) & wait"
BURNS = "while True: pass"


@pytest.fixture
def family() -> Iterator[int]:
    """A shell with a child and, through a subshell, a grandchild."""
    with subprocess.Popen(["sh", "-c", FAMILY], start_new_session=True) as shell:
        yield shell.pid
        os.killpg(shell.pid, 9)


def test_a_tree_is_a_process_and_its_descendants(family: int) -> None:
    def all_run() -> Sample | None:
        found = sample(family, None)
        return found if found is not None and found.processes == 4 else None

    found = until(all_run, "all run")
    alone = int(Path(f"/proc/{family}/statm").read_text().split()[1])
    assert found.memory > alone * os.sysconf("SC_PAGE_SIZE")


# A process of its own: that of the tests starts others for itself at any time.
OTHER_THREAD = """
import os, subprocess, threading
from emperord.daemon.client.usage import sample
before = sample(os.getpid(), None)
children, started, ended = [], threading.Event(), threading.Event()
def run():
    children.append(subprocess.Popen(["sleep", "1000"]))
    started.set()
    ended.wait()
thread = threading.Thread(target=run)
thread.start()
started.wait()
after = sample(os.getpid(), None)
children[0].kill()
children[0].wait()
ended.set()
print(before.processes, after.processes)
"""


def test_children_of_other_threads_are_of_the_tree() -> None:
    run = subprocess.run(
        [sys.executable, "-c", OTHER_THREAD], capture_output=True, text=True, check=True
    )
    assert run.stdout == "1 2\n"


def test_a_process_that_is_gone_uses_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert sample(process.pid, None) is None


def cgroup(folder: Path, microseconds: int = 2_500_000) -> str:
    """A directory with the files of a cgroup that this process is in."""
    (folder / "cpu.stat").write_text(f"usage_usec {microseconds}\nuser_usec 1\n")
    (folder / "memory.current").write_text("4096\n")
    (folder / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (folder / "cgroup.stat").write_text("nr_descendants 0\nnr_dying_descendants 0\n")
    return str(folder)


def test_a_cgroup_is_asked_first(tmp_path: Path) -> None:
    assert sample(1, cgroup(tmp_path)) == (2.5, 4096, 1)


def test_a_cgroup_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    told = cgroup(tmp_path)
    (tmp_path / "cpu.stat").unlink()
    found = sample(os.getpid(), told)
    assert found is not None
    assert found.processes >= 1


@pytest.mark.parametrize("below", ["", "/below"], ids=["in it", "in one below it"])
def test_a_cgroup_has_processes_that_left_the_tree(below: str) -> None:
    """A worker that became a daemon works on, as the child of another process."""
    need_root("make a cgroup")
    with own_cgroup() as base:
        if base is None:
            pytest.skip("the kernel has no cgroup v2")
        inner = f"{base}{below}"
        os.makedirs(inner, exist_ok=True)
        worker = f"echo 0 > {inner}/cgroup.procs; exec {sys.executable} -c '{BURNS}'"
        script = f'echo 0 > {base}/cgroup.procs; setsid --fork sh -c "$1"; exec sleep 1000'
        with subprocess.Popen(["sh", "-c", script, "sh", worker]) as process:

            def burning() -> Sample | None:
                found = sample(process.pid, str(base))
                return found if found is not None and found.cpu > 0.1 else None

            try:
                found = until(burning, "the worker's time counts")
                tree = sample(process.pid, None)
            finally:
                process.kill()
    assert tree is not None
    assert (tree.processes, found.processes) == (1, 2)
    assert found.memory > tree.memory


def test_more_children_than_the_kernel_tells_at_once() -> None:
    count = 1_500
    script = f"i=0; while [ $i -lt {count} ]; do sleep 1000 & i=$((i+1)); done; wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as process:

        def all_run() -> bool:
            found = sample(process.pid, None)
            return found is not None and found.processes == count + 1

        try:
            until(all_run, "all are counted")
        finally:
            os.killpg(process.pid, 9)


def vassal(name: str, pid: int | None, cgroup: str | None = None) -> dict[str, Any]:
    return {"name": name, "pid": pid, "cgroup": cgroup}


def test_a_share_needs_two_looks_at_the_same_process() -> None:
    sampler = Sampler()
    with subprocess.Popen([sys.executable, "-c", BURNS]) as process:
        told = vassal("a.ini", process.pid)

        def share() -> float | None:
            sampler.measure([told])
            use = sampler.use(told)
            return None if use is None else use.share

        assert share() is None
        assert until(share, "it uses some of the CPU") > 0
        assert sampler.use(vassal("a.ini", 1)) is None
        process.kill()
    sampler.measure([told])
    assert sampler.use(told) is None


def test_those_without_a_process_use_nothing() -> None:
    sampler = Sampler()
    sampler.measure([vassal("a.ini", None)])
    assert sampler.use(vassal("a.ini", None)) is None


def test_all_have_their_turn(tmp_path: Path) -> None:
    sampler = Sampler()
    vassals = [vassal(f"{place}.ini", os.getpid(), cgroup(tmp_path)) for place in range(50)]
    sampler.measure_some(vassals, 0.0)
    assert not any(map(sampler.use, vassals))
    for _ in range(5_000):
        if all(map(sampler.use, vassals)):
            break
        sampler.measure_some(vassals, 0.0005)
    assert all(map(sampler.use, vassals))
    sampler.forget_others(vassals[1:])
    assert sampler.use(vassals[0]) is None
    assert sampler.use(vassals[1]) is not None
