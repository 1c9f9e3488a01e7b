"""The examples of docs/histories.md are tests that pass, and that can fail."""

import re
from pathlib import Path

import pytest
from emperord.replay.histories.text import write

from .conftest import throttled

pytest_plugins = "pytester"
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "histories.md").read_text()
OF_FLEET, OF_REPLAY = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


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
