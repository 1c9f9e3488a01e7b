"""docs/lifecycle.md is what the table says."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "lifecycle"


def test_the_page_is_not_stale() -> None:
    run = subprocess.run(
        [sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
