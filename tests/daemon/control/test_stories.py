"""The request ``why``: a user who may ask the daemon, and may not read its journal."""

import json
import os
import subprocess
import sys

import pytest
from emperord.daemon.client.asking import exchanged
from support.asking import asked
from support.kept import Emperor
from support.replaying import timeless
from support.vassals import SLEEPER, program

AS_ANOTHER = """
import os, sys
from emperord.daemon import ctl
from emperord.daemon.cli import pager
from emperord.replay import live_why
os.setgroups([])
os.setgid(61_009)
os.setuid(61_009)
ctl.main()
"""


def test_another_user_has_the_words_of_emperor_replay(emperor: Emperor, control: str) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    (emperor.vassals / "barred.ini").write_text(program("/nowhere"))
    emperor.up("a.ini")
    emperor.phase("barred.ini", "barred")
    os.chmod(control, 0o666)  # noqa: S103

    def told(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", AS_ANOTHER, "--control", control, "why", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def owner(*words: str) -> str:
        argv = [sys.executable, "-m", "emperord.daemon.ctl", "--control", control, "why", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    for words in (("a.ini",), ("barred.ini", "a.ini"), ("*.ini",)):
        done = told(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "as of event" not in done.stdout
        assert timeless(done.stdout) == timeless(owner(*words))
        assert json.loads(told(*words, "--json").stdout) == json.loads(owner(*words, "--json"))
    done = told("b.ini")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("emperor-ctl: no vassal b.ini was ever known here")


@pytest.mark.parametrize("name", [None, 3, "a\0b", "--at=now", "-h"], ids=str)
def test_names_that_are_none(running: Emperor, name: object) -> None:
    """None of them is an option of the program that tells the story."""
    answer = exchanged(str(running.control), {"do": "why", "name": name}, 60)
    assert answer is not None
    assert answer["ok"] is False
    assert "Usage" not in answer["error"]
    assert asked(running, "status")["seq"] > 0
    running.stop()
