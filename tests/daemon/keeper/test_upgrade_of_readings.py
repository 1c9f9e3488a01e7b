"""An upgrade to a version that reads the same config otherwise: no vassal ends of it."""

import os
from pathlib import Path

import pytest
from support.former import FLAT, Installation
from support.vassals import SLEEPER

from ..conftest import MakeEmperor

pytestmark = pytest.mark.usefixtures("cold")


def test_a_vassal_runs_on_until_its_config_is_touched(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """The former version took ``[Emperor]`` for a section of another name, without a word."""
    installed = Installation(tmp_path, FLAT)
    emperor = make_emperor(environ=installed.environ)
    emperor.put("a.ini", SLEEPER + "[Emperor]\nuser = nobody\n")
    emperor.start()
    emperor.phase("a.ini", "ready")
    pid = emperor.pid_of("a.ini")
    installed.upgrade()
    seq = emperor.last_seq()
    assert emperor.ctl("upgrade").returncode == 0
    emperor.next_ready(seq)
    told = emperor.event("observation_rejected", "a.ini", after=seq)
    assert "this version reads the same config otherwise ([emperor] line 3: " in told.body["reason"]
    assert emperor.pid_of("a.ini") == pid
    assert not emperor.events("vassal_changed", "a.ini")
    os.utime(emperor.vassals / "a.ini")
    assert "[emperor] line 3: [Emperor]" in (emperor.phase("a.ini", "barred").reason or "")
    emperor.stop()
