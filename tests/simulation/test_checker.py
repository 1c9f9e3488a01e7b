"""The checker on histories that are told event by event, and that the real fold decides."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from emperord.daemon.core.actions import recorded
from emperord.journal.chain import canonical
from fold.script import Script

from .checker import Checker
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


def follow(text: str, spoil: Callable[[Script], None] = lambda _: None) -> Script:
    """Have the checker follow a history; ``spoil`` changes the fleet before the last deadline."""
    script, checker = Script(), Checker()
    checker.may_leave = True
    for line in filter(None, map(str.strip, text.splitlines())):
        _feed(script, checker, line)
    spoil(script)
    _feed(script, checker, "deadline a.ini")
    return script


def _feed(script: Script, checker: Checker, line: str) -> None:
    """One line, as the row that it comes to; its orders are carried out."""
    events, orders = len(script.events), len(script.actions)
    script.feed(line)
    for event in script.events[events:]:
        body: Any = event.body
        if event.kind == "exited":
            checker.ended(event.vassal or "", body.attempt, body.code, body.signal, known=True)
        actions = script.actions[orders:]
        row = (event.seq, event.at, event.kind, event.monitor, event.vassal, None)
        checker.appended([(*row, canonical(body).decode(), recorded(actions))])
        for action in actions:
            checker.carried_out(action.do, action.vassal, action.attempt)


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
    assert waited(follow(history)) == expected


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
        follow(history, spoil)
    assert caught.value.rule == rule
