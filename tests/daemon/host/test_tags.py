"""The tag of a vassal's processes, where starts, checks and hooks of many come at once."""

import os
import resource
from pathlib import Path

import pytest
from emperord.daemon.host import procfs
from emperord.monitors.children import Child
from support.daemon import Daemon
from support.vassals import shell
from support.waiting import until

from ..conftest import MakeDaemon

MANY = 24
NOTE = """\
#!/bin/sh
tag=$(sed -n 's/^Max realtime timeout *\\([a-z0-9]*\\) .*/\\1/p' /proc/$$/limits)
echo "$tag ${EMPERORD_ATTEMPT-none}" >>"$1"
"""


def noted(file: Path) -> list[tuple[str, str]]:
    """Tag and mark of each process that has noted them."""
    if not file.exists():
        return []
    found = (line.split() for line in file.read_text().splitlines())
    return [(tag, mark) for tag, mark in found]


def test_no_process_has_the_tag_of_another_vassal(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    note, starts, checks, hooks, before = (tmp_path / name for name in "nschb")
    note.write_text(NOTE)
    note.chmod(0o755)
    daemon = make_daemon(
        *("--exec-as-emperor", f"{note} {hooks}"),
        *("--start-hook", f"{note} {before}", "--stop-hook", f"{note} {hooks}"),
    )
    for number in range(MANY):
        config = shell(f"{note} {starts}; exec sleep 1000", ready=f"exec:{note} {checks}")
        (daemon.vassals / f"v{number}.ini").write_text(config)
    daemon.start()
    until(lambda: len(daemon.events("vassal_accepting")) == MANY, "all are up")
    until(lambda: len(noted(hooks)) == MANY, "all hooks ran")
    until(lambda: len(noted(starts)) == MANY, "all programs began")
    for tag, mark in [*noted(starts), *noted(checks), *noted(before)]:
        assert int(tag) == procfs.limit_tag(mark), mark
    vassals = {mark for _, mark in noted(starts)}
    assert len(vassals) == MANY
    assert vassals == {mark for _, mark in noted(checks)}
    daemon.stop()
    assert noted(hooks) == [("unlimited", "none")] * 2 * MANY


@pytest.mark.parametrize("more", ["", "umask = 022\n", "nofile = 100\n"])
def test_a_script_that_only_the_shell_can_execute(daemon: Daemon, more: str) -> None:
    """The kernel refuses one without an interpreter (ENOEXEC)."""
    script = daemon.vassals / "run"
    script.write_text('echo "$0 $1"; exec sleep 1000\n')
    script.chmod(0o755)
    (daemon.vassals / "a.ini").write_text("[emperor]\ncommand = ./run x\n" + more)
    daemon.start()
    until(lambda: daemon.vassal_log("a.ini") == "./run x\n", "it runs")
    daemon.stop()


def test_the_daemon_is_not_of_the_vassal_that_it_starts() -> None:
    """It has the tag for a moment, and a library may start a program of its own then."""
    tag = procfs.limit_tag("a mark")
    bare = {"PATH": os.environ["PATH"]}
    with (
        Child(["sleep", "1000"], tag=tag, env=bare) as its_own,
        Child(["sleep", "1000"], tag=tag, env=bare, start_new_session=True) as vassals,
    ):
        pids = [os.getpid(), its_own.pid, vassals.pid]
        _, hard = before = resource.getrlimit(resource.RLIMIT_RTTIME)
        resource.setrlimit(resource.RLIMIT_RTTIME, (tag, hard))
        found = procfs.all_processes(lambda: pids)
        resource.setrlimit(resource.RLIMIT_RTTIME, before)
        its_own.kill()
        vassals.kill()
    assert found.of("a mark") == [vassals.pid]
