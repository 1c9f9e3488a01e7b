"""A short run of ``tools/chaos``: nobody notices that the daemon is killed 30 times."""

import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).resolve().parents[2] / "tools" / "chaos"


def test_nobody_notices() -> None:
    done = subprocess.run(
        [sys.executable, CHAOS, "--kills", "30"], capture_output=True, text=True, check=False
    )
    print(done.stdout)  # the seed, above all
    assert done.returncode == 0, done.stderr[-8000:]
