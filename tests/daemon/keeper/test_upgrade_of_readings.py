"""An upgrade to a version that reads the same config otherwise: no vassal ends of it.

The former version took ``[Emperor]`` for a section of another name, without a word. So an end, or
an order that leads to a start, is followed by a start of today's reading: none, as it is a flaw.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import processes
from support.former import FLAT, Installation
from support.kept import Emperor
from support.vassals import SLEEPER

from ..conftest import MakeEmperor

pytestmark = pytest.mark.usefixtures("cold")


def _upgraded(make_emperor: MakeEmperor, folder: Path) -> Emperor:
    """An emperor of today's version, whose vassal a.ini runs on by the former reading."""
    installed = Installation(folder, FLAT)
    emperor = make_emperor("--freq", "3600", "--throttle", "50", environ=installed.environ)
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
    return emperor


def _touch(emperor: Emperor) -> None:
    os.utime(emperor.vassals / "a.ini")


def _kill(emperor: Emperor) -> None:
    processes.kill(emperor.pid_of("a.ini"))


def _restart(emperor: Emperor) -> None:
    emperor.ctl("restart", "a.ini")


ENDS: dict[str, Callable[[Emperor], None]] = {
    "its config is touched": _touch,
    "its process ends": _kill,
    "an operator restarts it": _restart,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_vassal_runs_on_until(
    end: Callable[[Emperor], None], make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """No rescan comes in between, so the reading has to be there with the end."""
    emperor = _upgraded(make_emperor, tmp_path)
    seq = emperor.last_seq()
    end(emperor)
    assert "[emperor] line 3: [Emperor]" in (emperor.phase("a.ini", "barred").reason or "")
    assert not emperor.events("spawned", "a.ini", seq)
    emperor.stop()
