"""Configs that the checker takes for good, on histories that the real fold decides."""

from typing import Final

import pytest
from emperord.daemon.core.fleet import Good

from .history import History
from .rollbacks import TAKEN_BACK
from .trouble import Violation

# As in seed 886599011: what a.ini has to say was lost with a daemon, and it runs for ``{time}``.
MUTE: Final = """
    policy throttle=200 start_patience=2 forgive=0
    daemon started
    daemon ready
    added a.ini rollback=2
    accepting a.ini
    changed a.ini ts=2 rollback=2
    exited a.ini code=0
    daemon started
    adopted a.ini control=no
    daemon ready
    at {time}
    operator reload a.ini
    exited a.ini code=0
    exited a.ini code=1
    deadline a.ini
"""
# As in seed 886600449: an instance accepts and dies, and is long dead at the next change.
LONG_DEAD: Final = """
    policy throttle=200 forgive=0.5
    daemon started
    daemon ready
    added a.ini
    accepting a.ini
    loyal a.ini
    changed a.ini ts=2 rollback=2
    accepting a.ini
    exited a.ini code=1
    deadline a.ini
    at +1s
    changed a.ini ts=3 config=c2 rollback=2
    accepting a.ini
    exited a.ini code=1
    deadline a.ini
    accepting a.ini
"""
FAILS: Final = "exited a.ini code=1"


def last_run(told: History) -> str | None:
    """The config of the start that was ordered last."""
    return [each.config for each in told.script.actions if each.do == "spawn"][-1]


def fails_twice(told: History) -> None:
    """It dies, and again when it was started once more, and is started."""
    for line in (FAILS, "deadline a.ini") * 2:
        told.feed(line)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(MUTE.format(time="+3s"), "c2", id="mute for long enough"),
        pytest.param(MUTE.format(time="+1s"), "c1", id="mute for too short a time"),
        pytest.param(LONG_DEAD, "c1", id="long dead at a change"),
    ],
)
def test_what_has_run_well_is_good(history: str, expected: str) -> None:
    told = History(history)
    told.feed(FAILS)
    if expected == "c2":
        told.feed("deadline a.ini")
    assert last_run(told) == expected


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(MUTE.format(time="+1s"), id="mute for too short a time"),
        pytest.param(LONG_DEAD, id="long dead at a change"),
    ],
)
def test_what_has_not_run_well_is_taken_back(history: str) -> None:
    """The fold decides all further failures as if the wanted config were good."""
    told = History(history)
    told.script.fleet.vassals["a.ini"].good = Good()
    with pytest.raises(Violation) as caught:
        fails_twice(told)
    assert caught.value.rule == TAKEN_BACK
