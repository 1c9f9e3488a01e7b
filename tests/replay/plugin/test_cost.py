"""A project without histories pays nothing for the plugin."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = "pytester"
OURS = {"emperord", "emperord.replay", "emperord.replay.testing"}
COLLECTING = {
    "emperord.replay.testing.collecting",
    "emperord.replay.testing.report_section",
}
IMPORTED = """
import pytest, sys
before = set(sys.modules)
import emperord.replay.testing
assert sys.modules.keys() - before == %r, sys.modules.keys() - before
"""
PROGRAM = """
import sys
def test_nothing_else_is_imported():
    assert {name for name in sys.modules if name.partition(".")[0] == "emperord"} == %r
"""


def run(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_the_plugin_imports_nothing_but_itself(tmp_path: Path) -> None:
    run(tmp_path, "-c", IMPORTED % OURS)


def test_a_run_without_histories_imports_one_module_of_ours(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PROGRAM % OURS)
    run(tmp_path, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")


def test_a_history_beside_the_test_that_is_run_imports_no_fold(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PROGRAM % (OURS | COLLECTING))
    (tmp_path / "shop.history").write_text("# emperord history 1")
    run(tmp_path, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_it.py")


REWRITTEN = """
import sys
def test_loaders():
    ours = {name: each for name, each in sys.modules.items() if name.startswith("emperord")}
    assert "emperord.daemon.core.fold" in ours
    loaders = {name: repr(each.__spec__.loader) for name, each in ours.items()}
    assert {name for name, each in loaders.items() if "RewritingHook" in each} == %r
"""


def test_asserts_of_emperord_are_not_rewritten(tmp_path: Path, text: str) -> None:
    """But for the packages that pytest imports before it asks the plugin for its options."""
    (tmp_path / "a.history").write_text(text)
    (tmp_path / "test_it.py").write_text(REWRITTEN % OURS)
    run(tmp_path, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")


def test_options_have_a_group_of_their_own(pytester: pytest.Pytester) -> None:
    told = pytester.runpytest("--help").stdout.str()
    group = told.partition("histories of emperord:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in group.splitlines() if line.startswith("  --")] == [
        "--history-rewrite=REASON",
        "--history-shrunk=DIR",
    ]


def test_fixtures_are_described(pytester: pytest.Pytester) -> None:
    told = pytester.runpytest("--fixtures").stdout.str()
    assert "fixtures defined from emperord.replay.testing" in told
    for name in ("fleet", "replay"):
        assert f"\n{name} -- " in told


def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("shop.history").write_text("# emperord history 1")
    pytester.runpytest("-p", "no:emperord").assert_outcomes()


def test_only_the_plugin_imports_pytest() -> None:
    root = Path(__file__).resolve().parents[3]
    importing = {
        path.relative_to(root).parent.as_posix()
        for part in ("daemon", "journal", "monitors", "replay")
        for path in (root / part).rglob("*.py")
        if re.search(r"^\s*(import|from) _?pytest\b", path.read_text(), re.MULTILINE)
    }
    assert importing == {"replay/testing"}
