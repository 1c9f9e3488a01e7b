"""tools/demo-rollback: what a person sees of a bad deploy that goes back."""

import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
# Each has to come after the one before.
SEEN = (
    "rollback = 2",
    "one coffee: 2.50",
    "one coffee: 2.80",
    "$ emperor-ctl list",
    "its change was rolled back: 2 failures in a row, the last one: exit code 1",
    "one coffee: 2.80",
    "$ emperor-replay history",
    "rolled_back after",
    "$ emperor-ctl why shop.ini",
    "ValueError: could not convert string to float: '2,90'",
    "rollback:        its change was rolled back",
    "one coffee: 2.90",
)


def test_a_bad_deploy_goes_back(tmp_path: Path) -> None:
    """In a tree of its own: an installation would take the commands from other tests meanwhile."""
    shutil.copytree(TOOLS / "examples", tmp_path / "tools" / "examples")
    demo = shutil.copy(TOOLS / "demo-rollback", tmp_path / "tools")
    install = tmp_path / "tools" / "install"
    install.write_text("#!/bin/sh\n")
    install.chmod(0o755)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    done = subprocess.run([demo], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    place = 0
    for words in SEEN:
        place = done.stdout.find(words, place) + 1
        assert place, f"{words} is missing:\n{done.stdout}"
