"""Children of the daemon: each has the tag that it was started with, and no other module forks."""

import ast
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from emperord.monitors import children
from emperord.monitors.children import Child

ROOT = Path(__file__).parents[2]
FORKS = {
    ("subprocess", each) for each in ("Popen", "run", "call", "check_call", "check_output")
} | {
    ("os", each)
    for each in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "popen", "system", "spawnv")
}  # fmt: skip
# They run in other processes than the daemon.
OTHERS = ("daemon/keeper/", "daemon/client/", "daemon/cli/pager.py")


def tag_of(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_RTTIME)[0]


def forks(path: Path) -> Iterator[str]:
    """The places where a module starts a process by itself, or takes the means to."""
    for node in ast.walk(ast.parse(path.read_text())):
        used: set[tuple[str | None, str]] = set()
        if isinstance(node, ast.Call):
            used = set(map(named, [node.func]))
        elif isinstance(node, ast.ClassDef):
            used = set(map(named, node.bases))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            used = {(node.module, alias.name) for alias in node.names}
        if used & FORKS:
            yield f"{path.relative_to(ROOT)}: {ast.unparse(node)[:60]}"


def named(called: ast.expr) -> tuple[str | None, str]:
    """Module and name of what is called or inherited: ``subprocess.Popen[bytes]``."""
    module, _, name = ast.unparse(called).partition("[")[0].rpartition(".")
    return module, name


def test_no_other_module_of_the_daemon_forks() -> None:
    paths = [*(ROOT / "monitors").rglob("*.py"), *(ROOT / "daemon").rglob("*.py")]
    found = [place for path in paths for place in forks(path)]
    assert any(place.startswith("daemon/keeper/") for place in found)  # so they are found
    ours = [place for place in found if not place.startswith(OTHERS)]
    assert {place.partition(":")[0] for place in ours} == {"monitors/children.py"}


def test_a_child_has_its_tag_and_the_parent_has_none_afterwards() -> None:
    before = resource.getrlimit(resource.RLIMIT_RTTIME)
    with Child(["sleep", "1000"], tag=2**62 + 1) as child:
        assert tag_of(child.pid) == 2**62 + 1
        assert resource.getrlimit(resource.RLIMIT_RTTIME) == before
        child.kill()


def test_a_start_that_fails_leaves_no_tag() -> None:
    before = resource.getrlimit(resource.RLIMIT_RTTIME)
    with pytest.raises(FileNotFoundError):
        Child(["/nowhere/program"], tag=2**62 + 1)
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == before


def test_no_child_has_the_tag_of_another() -> None:
    """Vassals, checks, hooks and other programs begin in several threads at once."""
    tags = [2**62 + number if number % 2 else None for number in range(200)]
    before = resource.getrlimit(resource.RLIMIT_RTTIME)

    def begin(tag: int | None) -> tuple[int, int]:
        with Child(["sleep", "1000"], tag=tag) as child:
            found = tag_of(child.pid)
            child.kill()
        return before[0] if tag is None else tag, found

    with ThreadPoolExecutor(8) as pool:
        assert [found for wanted, found in pool.map(begin, tags) if found != wanted] == []


def test_a_command_is_run() -> None:
    done = children.run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"no\n")


def test_a_command_that_takes_too_long_is_killed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        children.run(["sleep", "1000"], timeout=0.01)


def test_a_child_that_is_not_waited_for() -> None:
    pid = children.spawn(sys.executable, [sys.executable, "-c", "exit(7)"], os.environ)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
