"""tools/demo-rollback: what a person sees of a bad deploy that goes back."""

import subprocess
from pathlib import Path

from support.demo_tree import demo_tree

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
    demo = demo_tree(tmp_path, "demo-rollback")
    done = subprocess.run([demo], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    place = 0
    for words in SEEN:
        place = done.stdout.find(words, place) + 1
        assert place, f"{words} is missing:\n{done.stdout}"
