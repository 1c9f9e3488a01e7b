"""``--history-rewrite``: what was decided is written anew, with a reason that stays."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = "pytester"
WRONG = ("= shop.ini throttled", "= shop.ini barred")
REASON = "a death is no longer final"


def test_a_rewrite_leaves_its_reason_in_the_file(
    pytester: pytest.Pytester, history: Callable[..., Path], text: str
) -> None:
    path = history(*WRONG)
    result = pytester.runpytest("--history-rewrite", REASON)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*histories written anew*", "+rewritten: 20*-*-* a death is no longer final",
         "-  = shop.ini barred {*", "+  = shop.ini throttled {*"]
    )  # fmt: skip
    assert result.stdout.str().count("--- shop.history") == 1
    lines = path.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("rewritten: "))
    assert line.endswith(REASON)
    assert [line for line in lines if not line.startswith("rewritten: ")] == text.splitlines()
    pytester.runpytest().assert_outcomes(passed=1)


def test_each_rewrite_is_told_for_ever(
    pytester: pytest.Pytester, history: Callable[..., Path]
) -> None:
    path = history(*WRONG)
    pytester.runpytest("--history-rewrite", REASON)
    path.write_text(path.read_text().replace("-> stop shop.ini", "-> kill shop.ini"))
    pytester.runpytest("--history-rewrite", "a second\nreason")
    told = [line[22:] for line in path.read_text().splitlines() if line.startswith("rewritten")]
    assert told == [REASON, "a second reason"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(["--history-rewrite"], "*expected one argument*", id="none"),
        pytest.param(["--history-rewrite", " "], "*the reason has no words*", id="blank"),
        pytest.param(["--history-rewrite", "41"], "*the reason has no words*", id="number"),
        pytest.param(["--history-rewrite", "shop.history"], "*is a path, not a reason*", id="path"),
    ],
)
def test_a_rewrite_wants_a_reason(
    pytester: pytest.Pytester,
    history: Callable[..., Path],
    arguments: list[str],
    error: str,
) -> None:
    path = history(*WRONG)
    before = path.read_bytes()
    result = pytester.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([error])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        pytest.param("-> stop shop.ini", "x stop shop.ini", "damaged", id="damaged"),
        pytest.param("history 1", "history 2", "newer", id="newer"),
    ],
)
def test_only_a_history_that_diverged_is_written_anew(
    pytester: pytest.Pytester, history: Callable[..., Path], old: str, new: str, kind: str
) -> None:
    path = history(old, new)
    before = path.read_bytes()
    result = pytester.runpytest("--history-rewrite", REASON)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"{kind}: *", "it was not written anew*"])
    assert path.read_bytes() == before


def test_a_history_that_is_the_same_is_not_touched(
    pytester: pytest.Pytester, history: Callable[..., Path]
) -> None:
    path = history()
    before = path.stat()
    pytester.runpytest("--history-rewrite", REASON).assert_outcomes(passed=1)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_rewrite_keeps_the_rights_of_the_file(
    pytester: pytest.Pytester, history: Callable[..., Path]
) -> None:
    path = history(*WRONG)
    path.chmod(0o640)
    pytester.runpytest("--history-rewrite", REASON).assert_outcomes(passed=1)
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(pytester.path.glob(".*.new")) == []
