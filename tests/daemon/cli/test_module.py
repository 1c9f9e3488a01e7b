"""``python -m emperord`` is the three commands."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.kept import Emperor
from support.vassals import SLEEPER


def ran(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the module and return what it printed."""
    argv = [sys.executable, "-P", "-W", "error", "-m", "emperord", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "command"),
    [((), "emperor"), (("ctl",), "emperor-ctl"), (("replay",), "emperor-replay")],
    ids=["emperor", "ctl", "replay"],
)
def test_it_is_each_command(words: tuple[str, ...], command: str) -> None:
    installed = str(Path(sys.executable).parent / command)
    for option in ("--help", "--version", "--no-such-option"):
        meant = subprocess.run([installed, option], capture_output=True, text=True, check=False)
        done = ran(*words, option)
        assert (done.returncode, done.stdout, done.stderr) == (
            meant.returncode,
            meant.stdout,
            meant.stderr,
        )


def test_it_is_the_daemon_with_its_keeper(emperor: Emperor) -> None:
    emperor.started_as = "emperord"
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    listed = ran("ctl", "--control", str(emperor.control), "list")
    assert listed.stdout.splitlines()[1].startswith("a.ini")
    emperor.stop()
    told = ran("replay", "--journal", str(emperor.journal), "events", "a.ini", "-n", "1")
    assert "exited                a.ini" in told.stdout


def test_a_monitor_of_that_name_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "ctl").mkdir()
    argv = [sys.executable, "-P", "-m", "emperord", "--check", "./ctl"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert f"dir://{tmp_path}/ctl" in done.stdout
