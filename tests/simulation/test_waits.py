"""The checker on changes that wait for a check or a turn while something of before is to come."""

from typing import Final

import msgspec
import pytest

from .history import History
from .rollouts import SIZE
from .trouble import Violation

# As in seed 886607072. The reload of a.ini has the slot for which the one of b.ini waits.
CHECKED_BEFORE_ITS_RELOAD: Final = """
    policy max_starting=1 rollout=1
    daemon started
    daemon ready
    added a.ini
    accepting a.ini
    loyal a.ini
    added b.ini
    accepting b.ini
    loyal b.ini
    operator reload
    changed b.ini ts=2 preflight=x
"""


def test_a_check_is_a_turn_in_a_rollout_also_before_a_reload_from_before() -> None:
    told = History(CHECKED_BEFORE_ITS_RELOAD)
    assert told.checker.owed.keys() == {"b.ini"}
    assert not told.checker.rollouts.waiting
    told.feed("refused b.ini reason=x")
    assert not told.checker.approvals.holds("b.ini")


def test_no_more_are_checked_at_once_before_a_reload_from_before() -> None:
    """By the options of the fold all may change at once; by the record one may."""
    told = History(CHECKED_BEFORE_ITS_RELOAD)
    told.script.fleet.policy = msgspec.structs.replace(told.script.fleet.policy, rollout="")
    with pytest.raises(Violation) as caught:
        told.feed("changed a.ini ts=2 preflight=x")
    assert caught.value.rule == SIZE
