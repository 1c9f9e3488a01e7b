"""The checker on histories that are told event by event, and that the real fold decides."""

from collections.abc import Callable
from typing import Final

import pytest
from fold.script import Script

from .checker import CALM_SLACK
from .history import History
from .trouble import Violation

# It crashes twice, runs quietly for too short a time to be forgiven, and is ordered to end. Its end
# takes longer than what was missing. It starts once more and fails: its third death in a row.
TWO_DEATHS: Final = """
    policy throttle=200 max_throttle=1600 forgive=0.5
    daemon started
    daemon ready
    added a.ini
    exited a.ini signal=11
    deadline a.ini
    exited a.ini signal=11
    deadline a.ini
    accepting a.ini
"""
# As in seed 585, where the daemon was told to stop after 0.251 s of 0.5 s.
STOPPED_WITH_THE_DAEMON: Final = f"""
    {TWO_DEATHS}
    at +251ms
    daemon stopping
    at +325ms
    exited a.ini code=0
    daemon stopped
    daemon started
    daemon ready
    exited a.ini signal=11
"""
# As in seed 1184, where it resigned after 0.185 s, and no process could be forked.
RESIGNED: Final = f"""
    {TWO_DEATHS}
    at +185ms
    resigned a.ini
    at +405ms
    exited a.ini code=0
    failed a.ini fault=resources
"""
KILLED: Final = f"""
    {TWO_DEATHS}
    heartbeat a.ini
    at +300ms
    silent a.ini
    at +300ms
    exited a.ini signal=9
    exited a.ini signal=11
"""
# It runs quietly for long enough before that.
FORGIVEN: Final = f"""
    {TWO_DEATHS}
    deadline a.ini
    resigned a.ini
    at +405ms
    exited a.ini code=0
    failed a.ini fault=resources
"""
# As in seed 363738: a program does not confirm its reload, and counts as up after its patience.
RELOADED: Final = """
    policy throttle=200 max_throttle=1600 forgive=0.5 start_patience=1 mercy=1.5
    daemon started
    daemon ready
    added a.ini command=worker
    spawned a.ini
    at +102ms
    exited a.ini code=0
    deadline a.ini
    spawned a.ini
    at +295ms
    operator reload a.ini
    deadline a.ini
    deadline a.ini
    at +850ms
    exited a.ini code=0
    spawned a.ini
    at +69ms
    exited a.ini code=0
"""
# As in seed 481778: a full disk delayed the record of its end, to later than a stop may take.
RELOADED_LATE: Final = """
    policy throttle=200 max_throttle=1600 forgive=0.5 start_patience=1 mercy=1.5
    daemon started
    daemon ready
    added a.ini command=worker
    spawned a.ini
    operator reload a.ini
    deadline a.ini
    at +3s
    exited a.ini signal=1 reload=true
"""
MILLISECOND: Final = 1_000_000


def decided(text: str, spoil: Callable[[Script], None] = lambda _: None) -> Script:
    """Follow a history to its last deadline; ``spoil`` changes the fleet before that."""
    history = History(text)
    spoil(history.script)
    history.feed("deadline a.ini")
    return history.script


def waited(script: Script) -> int:
    """Milliseconds from the last death to the start that followed, the last event."""
    death, start = script.events[-2], script.events[-1]
    return (start.at - death.at) // MILLISECOND


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(STOPPED_WITH_THE_DAEMON, 800, id="stopped with the daemon"),
        pytest.param(RESIGNED, 800, id="resigned"),
        pytest.param(KILLED, 800, id="killed as it was silent"),
        pytest.param(FORGIVEN, 200, id="forgiven before it resigned"),
        pytest.param(RELOADED, 200, id="forgiven after a reload"),
        pytest.param(RELOADED_LATE, 200, id="ended by a reload, late"),
    ],
)
def test_the_time_in_which_a_vassal_stops_is_no_quiet_running(history: str, expected: int) -> None:
    assert waited(decided(history)) == expected


@pytest.mark.parametrize(
    ("history", "more", "rule"),
    [
        pytest.param(STOPPED_WITH_THE_DAEMON, -1, "throttled", id="stopped, 1 ms early"),
        pytest.param(STOPPED_WITH_THE_DAEMON, 1, "punished no longer", id="stopped, 1 ms late"),
        pytest.param(RESIGNED, 1, "punished no longer", id="resigned, 1 ms late"),
        pytest.param(KILLED, -1, "throttled", id="killed, 1 ms early"),
        pytest.param(KILLED, 1, "punished no longer", id="killed, 1 ms late"),
        pytest.param(FORGIVEN, 1, "punished no longer", id="forgiven, 1 ms late"),
    ],
)
def test_no_other_wait_is_right(history: str, more: int, rule: str) -> None:
    """The two bounds meet. A spawn that failed has no lower one: it is no death of a process."""

    def spoil(script: Script) -> None:
        vassal = script.fleet.vassals["a.ini"]
        assert vassal.deadline is not None
        vassal.deadline += more * MILLISECOND

    with pytest.raises(Violation) as caught:
        decided(history, spoil)
    assert caught.value.rule == rule


def test_a_new_daemon_looks_for_heartbeats_when_its_start_is_recorded() -> None:
    """As in seed 395569689, where the disk was full until then. The daemon before saw it hang."""
    told = History("daemon started; daemon ready; added a.ini; heartbeat a.ini".replace(";", "\n"))
    checker, attempt = told.checker, told.script.runs["a.ini"][0]
    checker.born(10, "a.ini", attempt)
    checker.becomes_calm(0.0)
    checker.conditions.fell_silent(10, 0.0)
    checker.no_daemon()
    for tried in (1.0, 2.0, 3.0):  # to record its start
        checker.forgive(tried)
    told.feed("daemon started")
    checker.forgive(4.0)
    bound = 30.0 + 2 + CALM_SLACK
    checker.look(3.0 + bound)
    with pytest.raises(Violation, match="who hangs is ended"):
        checker.look(3.1 + bound)


# As in seed 861601. The reload of a.ini has the slot for which the former config of b.ini waits.
ROLLED_BACK_AND_QUEUED: Final = """
    policy max_starting=1 throttle=200
    daemon started
    daemon ready
    added a.ini
    accepting a.ini
    loyal a.ini
    added b.ini rollback=2
    accepting b.ini
    loyal b.ini
    changed b.ini ts=2 rollback=2
    accepting b.ini
    exited b.ini code=1
    deadline b.ini
    operator reload a.ini
    exited b.ini code=1
    exited a.ini signal=11
"""


def test_a_former_config_waits_for_its_slot_without_a_throttle() -> None:
    script = History(ROLLED_BACK_AND_QUEUED).script
    last = script.actions[-1]
    assert (last.do, last.vassal, last.config) == ("spawn", "b.ini", "c1")


# As in seed 861917. The change of a.ini has its turn in the rollout, and waits for a slot.
BEHIND_IN_A_ROLLOUT: Final = """
    policy max_starting=1 rollout=2
    daemon started
    added a.ini
    added b.ini
    daemon ready
    accepting a.ini
    loyal a.ini
    accepting b.ini
    at +1s
    loyal b.ini
    changed b.ini ts=2
    changed a.ini ts=2
    exited b.ini code=1
"""


def test_a_change_in_a_rollout_waits_for_a_slot_before_a_loyal_one_that_died() -> None:
    script = History(BEHIND_IN_A_ROLLOUT).script
    last = script.actions[-1]
    assert (last.do, last.vassal, last.config) == ("reload", "a.ini", "c2")


# As in seed 886601627. No daemon hears a.ini, as the keeper with its socket has died. So none can
# know that it hangs, and an attempt to replace it that is not started changes nothing of that.
UNHEARD: Final = """
    policy required_heartbeat=2
    daemon started
    daemon ready
    added a.ini command=serve ready=notify reload=replace listen=/a.sock
    accepting a.ini
    heartbeat a.ini
    daemon started
    adopted a.ini control=no
    daemon ready
    operator reload a.ini
    failed a.ini fault=resources
"""


def test_an_attempt_that_is_not_started_does_not_give_another_its_socket_back() -> None:
    told = History(UNHEARD)
    checker, attempt = told.checker, told.script.runs["a.ini"][0]
    assert len(told.script.runs["a.ini"]) == 2
    checker.born(10, "a.ini", attempt)
    checker.becomes_calm(0.0)
    checker.conditions.fell_silent(10, 0.0)
    checker.look(30.0)


# As in seed 886600477. The change of a.ini has its turn, and waits for the slot of b.ini. Meanwhile
# its next change is checked: a.ini restarts with the first one.
CHANGED_IN_ITS_TURN: Final = """
    policy max_starting=1 rollout=2
    daemon started
    daemon ready
    added a.ini
    accepting a.ini
    added b.ini
    changed a.ini ts=2 reload=restart
    changed a.ini ts=3 preflight=true
    deadline b.ini
    exited a.ini code=0
"""


def test_a_change_that_has_its_turn_goes_on_while_the_next_one_is_checked() -> None:
    actions = History(CHANGED_IN_ITS_TURN).script.actions
    last = [(action.do, action.vassal, action.config) for action in actions[-3:]]
    assert last == [("check", "a.ini", "c3"), ("stop", "a.ini", None), ("spawn", "a.ini", "c2")]


# As in seed 886604914. The turn of a.ini begins as its new address is opened. Then it dies twice.
UNOPENED_IN_A_ROLLOUT: Final = """
    policy throttle=200 rollout=50%
    daemon started
    daemon ready
    added a.ini command=serve listen=127.0.0.1:8001
    spawned a.ini
    changed a.ini ts=2 command=serve listen=127.0.0.1:8002
    unopened a.ini reason=taken
    at +2s
    exited a.ini code=1
    deadline a.ini
    spawned a.ini
    at +2s
    exited a.ini code=1
"""


def test_deaths_count_since_a_turn_in_which_an_address_could_not_be_opened() -> None:
    assert waited(decided(UNOPENED_IN_A_ROLLOUT)) == 400
