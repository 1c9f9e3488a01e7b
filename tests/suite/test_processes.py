"""Tests look at a process while the kernel gives it another program."""

import subprocess
from pathlib import Path

from support import processes

LOOKS = 3000  # of which some 3 % find a process that has no environment yet


def test_a_process_that_executes_itself_without_end_has_its_environment(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nexec "$0"\n')
    program.chmod(0o755)
    with subprocess.Popen([program], env={"MARK": "x"}) as child:
        try:
            seen = {processes.environment_of(child.pid).get("MARK") for _ in range(LOOKS)}
        finally:
            child.kill()
    assert seen == {"x"}


def test_a_process_without_an_environment_is_not_waited_for() -> None:
    with subprocess.Popen(["sleep", "1000"], env={}) as child:
        try:
            assert processes.environment_of(child.pid) == {}
        finally:
            child.kill()
    assert processes.environment_of(2) == {}  # a thread of the kernel, or no process
