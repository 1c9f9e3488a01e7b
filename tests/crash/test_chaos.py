"""Short runs of ``tools/chaos``: no client notices kills of the daemon, or other faults."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.effort import examples

CHAOS = Path(__file__).resolve().parents[2] / "tools" / "chaos"


def survived(*options: str) -> str:
    """The output of a run, which has to succeed."""
    done = subprocess.run(
        [sys.executable, CHAOS, *options], capture_output=True, text=True, check=False
    )
    print(done.stdout)  # the seed, above all
    assert done.returncode == 0, done.stderr[-8000:]
    return done.stdout


@pytest.mark.search
def test_nobody_notices() -> None:
    survived("--kills", str(examples(6)), "--rows", "--former")


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--stop", "--starve", "--full-disk"], id="stopped, starved, full"),
        pytest.param(["--read-only"], id="read-only"),
        pytest.param(["--keeper"], id="keeper"),
    ],
)
def test_nobody_notices_other_faults(options: list[str]) -> None:
    said = survived("--kills", "5", *options)
    assert " 0 other faults" not in said


@pytest.mark.few(1)
@pytest.mark.parametrize("seed", [200, 202, 305])
def test_scripts_of_the_simulation_on_real_processes(seed: int) -> None:
    """Of these, 200 left a vassal barred that died while its source's directory was away."""
    assert "1 scripts, 0 failed" in survived("--scripts", "1", "--seed", str(seed))
