"""The command line of the emperor: what the keeper answers itself."""

import subprocess
import sys

import pytest
from support.kept import Emperor
from support.vassals import SLEEPER

pytestmark = pytest.mark.usefixtures("cold")


def test_bad_usage(emperor: Emperor) -> None:
    emperor.launch("--no-such-option")
    assert emperor.wait() == 2


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["--check", "."]])
def test_what_prints_and_ends(emperor: Emperor, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "emperord.daemon.keeper", *words],
        capture_output=True,
        check=True,
        cwd=emperor.vassals,
    )
    assert done.stderr == b""
    assert not emperor.state.exists()


@pytest.mark.parametrize("code", [0, 1])
def test_a_check_that_is_asked_for_elsewhere_is_made_once(emperor: Emperor, code: int) -> None:
    emperor.environ["EMPEROR_CHECK"] = "1"
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    if code:
        (emperor.vassals / "b.ini").write_text("[emperor]\ncolour = blue\n")
    emperor.launch()
    assert emperor.wait() == code
    assert emperor.log().count("dir://") == 1
    assert not emperor.state.exists()
