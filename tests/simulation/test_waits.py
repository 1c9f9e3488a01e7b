"""The checker on changes that wait for a check or a turn while something of before is to come."""

from typing import Final

import msgspec
import pytest

from .history import History
from .rollbacks import TAKEN_BACK
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
# As in seed 931800064. The new socket of a.ini cannot be had, and the next turn begins after that.
REFUSED_AT_ITS_SOCKET: Final = """
    policy rollout=1
    daemon started
    daemon ready
    added a.ini command=worker listen=:80
    spawned a.ini
    changed a.ini ts=2 command=worker listen=:81
    unopened a.ini reason=x
"""
# As in seed 931900241. The socket that is opened is the former one, as there is no process.
OPENED_ON_DEMAND: Final = """
    policy rollout=1
    daemon started
    daemon ready
    added a.ini
    accepting a.ini
    added b.ini socket=@b
    changed a.ini ts=2 reload=restart
    changed b.ini ts=2
    daemon started
    adopted a.ini
    daemon ready
"""
# As in seed 931800200. The rollout is of two in four vassals when the daemon starts.
GROWN: Final = """
    policy rollout=50%
    daemon started
    daemon ready
    added a.ini
    accepting a.ini
    added b.ini
    accepting b.ini
    changed a.ini ts=2 reload=restart
    changed b.ini ts=2
    added c.ini
    accepting c.ini
    added d.ini
    accepting d.ini
"""
# As in seed 886602958. The reload of a.ini has the slot for which the former config of b.ini waits.
FAILED_ONCE: Final = """
    policy max_starting=1 throttle=200
    daemon started
    daemon ready
    added a.ini
    accepting a.ini
    loyal a.ini
    added b.ini rollback=2
    accepting b.ini
    loyal b.ini
    changed b.ini ts=2 rollback=2 reload=restart
    exited b.ini code=0
    exited b.ini code=1
"""
FAILED_TWICE: Final = f"""
    {FAILED_ONCE}
    deadline b.ini
    operator reload a.ini
    exited b.ini code=1
"""
CHECKED: Final = "changed b.ini ts=3 preflight=x rollback=2"
CHECKED_WITHOUT_ROLLBACK: Final = "changed b.ini ts=3 preflight=x"
CHECKED_TWICE: Final = f"""
    {CHECKED}
    changed b.ini ts=4 preflight=x
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


def test_a_refused_change_of_a_socket_has_had_its_turn() -> None:
    assert not History(REFUSED_AT_ITS_SOCKET).checker.rollouts.waiting


def test_a_former_socket_that_is_opened_for_a_vassal_on_demand_begins_no_turn() -> None:
    told = History(OPENED_ON_DEMAND)
    assert [told.script.actions[-1].do, told.script.actions[-1].vassal] == ["listen", "b.ini"]
    assert told.checker.rollouts.waiting == {"b.ini"}


def test_a_rollout_grows_with_its_source_when_a_daemon_starts() -> None:
    told = History(GROWN)
    assert told.checker.rollouts.waiting == {"b.ini"}
    for line in ("daemon started", "adopted a.ini", "adopted b.ini", "daemon ready"):
        told.feed(line)
    assert told.checker.rollouts.sizes == {"a": 2}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(CHECKED, id="checked"),
        pytest.param(CHECKED_WITHOUT_ROLLBACK, id="checked, not to be rolled back"),
        pytest.param(CHECKED_TWICE, id="checked twice"),
    ],
)
def test_a_former_config_is_started_while_the_next_change_waits(change: str) -> None:
    script = History(f"{FAILED_TWICE}{change}\nexited a.ini signal=11").script
    last = script.actions[-1]
    assert (last.do, last.vassal, last.config) == ("spawn", "b.ini", "c1")


def test_a_config_that_was_taken_back_is_not_started_while_the_next_change_waits() -> None:
    told = History(f"{FAILED_TWICE}{CHECKED}")
    vassal = told.script.fleet.vassals["b.ini"]
    assert vassal.kept is not None
    vassal.kept = msgspec.structs.replace(vassal.kept, config="c2", ts=2)
    with pytest.raises(Violation) as caught:
        told.feed("exited a.ini signal=11")
    assert caught.value.rule == TAKEN_BACK


def test_a_former_config_is_not_started_after_too_few_failures() -> None:
    told = History(f"{FAILED_ONCE}{CHECKED}")
    vassal = told.script.fleet.vassals["b.ini"]
    assert vassal.kept is not None
    vassal.kept = msgspec.structs.replace(vassal.kept, config="c1", ts=1)
    with pytest.raises(Violation, match="not c2"):
        told.feed("deadline b.ini")
