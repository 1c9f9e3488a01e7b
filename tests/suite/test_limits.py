"""Promises of tests/conftest.py and pyproject.toml: every test has a limit, and usual signals."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).parents[2]
HANGS = """
threading.Thread(target=threading.Event().wait, name="another", daemon=True).start()

@pytest.fixture
def hangs(): threading.Event().wait()

@pytest.fixture
def hangs_at_its_end():
    yield
    threading.Event().wait()

def test_one(): threading.Event().wait()
def test_two(hangs): pass
def test_three(hangs_at_its_end): pass
def test_four(): pass
"""


def run(
    folder: Path, text: str, *options: str, effort: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run pytest on this test, with the conftest and the settings of all tests."""
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(TREE / name, folder)
    (folder / "test_it.py").write_text(
        f"import signal, subprocess, threading\nimport pytest\n{text}"
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TREE / "tests"), "EFFORT": str(effort)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )


def test_a_test_that_hangs_fails_with_all_stacks(tmp_path: Path) -> None:
    """So does one whose fixture hangs, and the run goes on."""
    done = run(tmp_path, HANGS, "-o", "timeout=0.3")
    assert "1 failed, 2 passed, 2 errors" in done.stdout, done.stdout + done.stderr
    assert "Timeout (>0.3s) from pytest-timeout" in done.stdout
    assert (done.stdout + done.stderr).count("Stack of another") == 3


def test_a_process_of_a_test_does_not_ignore_what_pytest_was_told_to(tmp_path: Path) -> None:
    """As ``nohup tools/test`` does of SIGHUP."""
    text = """
def test_it():
    with subprocess.Popen(["sleep", "60"]) as child:
        child.send_signal(signal.SIGHUP)
        try:
            assert child.wait(5) == -signal.SIGHUP
        finally:
            child.kill()
    signal.raise_signal(signal.SIGHUP) # pytest itself lives through it
"""
    done = run(tmp_path, text)
    assert done.returncode == 0, done.stdout


def test_a_search_has_more_time_when_it_tries_more(tmp_path: Path) -> None:
    text = """
def limit(request): return request.node.get_closest_marker("timeout").args

@pytest.mark.search
def test_search(request): assert limit(request) == (2800,)

@pytest.mark.slow
def test_slow(request): assert limit(request) == (280,)
"""
    done = run(tmp_path, text, effort=10)
    assert done.returncode == 0, done.stdout
