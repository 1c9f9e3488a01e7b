"""``*.history`` files as tests: they pass, or say how they fail."""

from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.replay.histories.check import check_text

pytest_plugins = "pytester"
THROTTLED = "= shop.ini throttled"
BARRED = "= shop.ini barred"


def test_a_history_that_comes_out_the_same_passes(
    pytester: pytest.Pytester, history: Callable[..., Path]
) -> None:
    history()
    result = pytester.runpytest("-v")
    result.stdout.fnmatch_lines(["shop.history::shop PASSED*"])
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("old", "new", "headline"),
    [
        pytest.param(THROTTLED, BARRED, "diverged: event 11 *", id="state"),
        pytest.param("-> stop shop.ini", "-> kill shop.ini", "diverged: event 14 *", id="action"),
        pytest.param("-> stop shop.ini", "x stop shop.ini", "damaged: shop.history:*", id="line"),
        pytest.param("history 1", "poem 1", "damaged: shop.history:1: *", id="head"),
        pytest.param("history 1", "history 2", "newer: shop.history:1: *", id="format"),
        pytest.param(" exited ", " ascended ", "newer: shop.history:*", id="kind"),
        pytest.param('"rules":2', '"rules":99', "newer: shop.history:*", id="rules"),
    ],
)
def test_the_headline_tells_the_kind_of_a_failure(
    pytester: pytest.Pytester, history: Callable[..., Path], old: str, new: str, headline: str
) -> None:
    history(old, new)
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [headline, "*short test summary info*", f"FAILED shop.history::shop - *{headline[:8]}*"]
    )


@pytest.mark.parametrize(
    "content",
    [b"#1700000000\nls -la\n", b"\xff\x00", b"# emperor"],
    ids=["shell", "bytes", "short"],
)
def test_files_of_other_programs_are_no_tests(pytester: pytest.Pytester, content: bytes) -> None:
    pytester.path.joinpath("bash.history").write_bytes(content)
    pytester.runpytest().assert_outcomes()


def test_a_file_that_is_named_is_a_test_whatever_it_has(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("bash.history").write_text("ls -la\n")
    result = pytester.runpytest("bash.history")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["damaged: bash.history:1: *"])


def test_an_empty_file_is_damaged(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("shop.history").touch()
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["damaged: shop.history*"])


def test_bytes_that_are_no_text_are_damage(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("shop.history").write_bytes(b"# emperord history 1\n\xff\n")
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["damaged: shop.history: it is no UTF-8*"])


def test_a_divergence_tells_what_a_reviewer_needs(
    pytester: pytest.Pytester, history: Callable[..., Path]
) -> None:
    history(THROTTLED, BARRED)
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(
        [
            '  11 +* exited shop.ini - {"attempt":9,"code":1}',
            "*expectation of shop.ini, field 'phase'",
            "*recorded: = shop.ini barred {*",
            "*computed: = shop.ini throttled {*",
            "*the 10 events before it:",
            "*1 +0s daemon_started *",
            "*10 +* spawned shop.ini *",
            "shrunk to 4 of 14 events that have it",
            "# emperord history 1",
            "note: shrunk from 14 events *",
            "9 +* vassal_added shop.ini *",
            "11 +* exited shop.ini *",
        ]
    )
    # Behind the line of "=", pytest sums up. In CI that has the whole message again.
    shrunk, _, _ = result.stdout.str().partition("shrunk to")[2].partition("\n====")
    assert "other2.ini" not in shrunk


def test_the_shrunk_history_is_written_where_it_is_asked_for(
    pytester: pytest.Pytester, history: Callable[..., Path]
) -> None:
    path = history(THROTTLED, BARRED)
    before = path.read_bytes()
    pytester.runpytest("--history-shrunk", "small").stdout.fnmatch_lines(["shrunk to 4 of 14*"])
    shrunk = pytester.path / "small" / "shop.history"
    assert check_text(shrunk.read_text(), "").computed.startswith("= shop.ini throttled")
    assert path.read_bytes() == before
    assert sorted(each.name for each in pytester.path.glob("*.history")) == ["shop.history"]


@pytest.mark.slow
def test_histories_run_beside_each_other(
    pytester: pytest.Pytester, history: Callable[..., Path]
) -> None:
    for name in "abc":
        history(name=name)
    history(THROTTLED, BARRED)
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["diverged: event 11 *", "FAILED shop.history::shop *diverged*"])
    again = pytester.runpytest_subprocess("-n", "2", "--history-rewrite", "a test of xdist")
    again.assert_outcomes(passed=4)
    again.stdout.fnmatch_lines(["-  = shop.ini barred {*", "+  = shop.ini throttled {*"])


def test_other_files_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("notes.txt").write_text("# emperord history 1\n")
    pytester.runpytest().assert_outcomes()
