"""The examples of docs/histories.md are tests that pass, and that can fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from emperord.replay.histories.text import write
from journal_builder import building, busy_fleet

from .conftest import throttled

pytest_plugins = "pytester"
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "histories.md").read_text()
JOURNAL = "/var/lib/emperord/journal.db"
OF_FLEET, OF_REPLAY = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_five_lines_make_a_test_of_an_incident(tmp_path: Path) -> None:
    (block,) = re.findall(r"five lines [^`]*```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    install, *lines = block.replace(JOURNAL, str(tmp_path / "journal.db")).splitlines()
    assert (install, len(lines)) == ("pip install pytest", 4)
    with building(str(tmp_path / "journal.db")) as builder:
        busy_fleet(builder, 60, vassals=3)
        builder.up("shop.ini")
        builder.exited("shop.ini", code=1)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environ.pop("EMPEROR_JOURNAL", None)
    project = tmp_path / "project"
    project.mkdir()
    done = subprocess.run(
        ["sh", "-ec", "\n".join(lines)],
        cwd=project, env=environ, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    made = (project / "tests" / "histories" / "shop.history").read_text()
    assert "exited shop.ini" in made


def test_the_example_fails_before_the_mend(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_after=OF_FLEET)
    pytester.makepyfile(test_before=OF_FLEET.replace("start(", "start(rules=1, "))
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_before.py::*", "*1 failed, 1 passed*"])


def test_the_example_of_a_replay(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OF_REPLAY)
    (pytester.path / "shop.history").write_text(write(throttled()))
    pytester.runpytest().assert_outcomes(passed=2)


@pytest.mark.parametrize("name", ["--history-rewrite", "--history-shrunk"])
def test_the_options_are_on_the_page(name: str) -> None:
    assert f"{name} " in PAGE


def test_the_headline_is_what_is_printed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(r"^FAILED .*$", PAGE, re.MULTILINE)
    folder = pytester.path / "tests" / "histories"
    folder.mkdir(parents=True)
    text = write(throttled()).replace("= shop.ini throttled", "= shop.ini barred")
    (folder / "shop.history").write_text(text)
    monkeypatch.setenv("COLUMNS", "200")
    pytester.runpytest().stdout.fnmatch_lines([example])
