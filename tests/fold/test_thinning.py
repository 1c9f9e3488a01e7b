"""A program that runs has news recorded less often, above its budget of records."""

from typing import Any, Final

import msgspec
import pytest
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.thinning import thinned
from emperord.journal.events import KINDS

from .script import Script
from .test_budget import BUDGET, announce, opened

SECOND: Final = 10**9
DAY: Final = 86400.0  # the most that a message can ask for
NOTIFIES: Final = {"command": "serve", "ready": "notify", "ready-timeout": "5s"}


def started(*lines: str, over: bool = True, **policy: Any) -> Script:
    """A program that notifies, above its budget or not."""
    script = opened(**policy)
    spent = 2 * BUDGET if over else 0
    announce(script, "vassal_added", spent, settings=NOTIFIES, uid=5, gid=5)
    for line in ("spawned a.ini", *lines):
        script.feed(line)
    return script


def say(script: Script, kind: str, **more: Any) -> bool:
    """It says so; whether that was recorded."""
    vassal = script.fleet.vassals["a.ini"]
    body = msgspec.convert({"attempt": vassal.attempt, **more}, KINDS[kind])
    draft = thinned(script.fleet, Draft(kind, body, None, "a.ini"), lambda: script.now + 1)
    if draft is not None:
        script.happen(kind, "a.ini", None, msgspec.to_builtins(draft.body))
    return draft is not None


RELOADING: Final = {
    "within its budget": (("accepting a.ini",), False, True),
    "of its own": (("accepting a.ini",), True, False),
    "that was ordered": (("accepting a.ini", "operator reload a.ini"), True, True),
    "that was ordered, said again": (
        ("accepting a.ini", "operator reload a.ini", "reloads a.ini"), True, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "over", "recorded"), RELOADING.values(), ids=RELOADING)
def test_a_reload_of_its_own_is_not_recorded_above_the_budget(
    lines: tuple[str, ...], over: bool, recorded: bool
) -> None:
    assert say(started(*lines, over=over), "vassal_reloading") is recorded


TIMES: Final = {
    "a start": ((), {}),
    "a reload": (("accepting a.ini", "operator reload a.ini", "reloads a.ini"), {}),
    "a stop": (("operator stop a.ini",), {"mercy": "5"}),
}


@pytest.mark.parametrize(("lines", "policy"), TIMES.values(), ids=TIMES)
def test_more_time_is_recorded_a_few_times_and_never_less_than_it_asked_for(
    lines: tuple[str, ...], policy: dict[str, Any]
) -> None:
    """It asks each second, and always for one second more than it has."""
    script = started(*lines, **policy)
    phase = script.fleet.vassals["a.ini"].phase
    count = 0
    for _ in range(3600):
        script.now += SECOND
        deadline = script.fleet.vassals["a.ini"].deadline
        assert deadline is not None
        asked = min((deadline - script.now) / SECOND + 1, DAY)
        count += say(script, "timeout_extended", seconds=asked)
        deadline = script.fleet.vassals["a.ini"].deadline
        assert deadline is not None
        assert deadline >= script.now + int(asked * SECOND)
    assert script.fleet.vassals["a.ini"].phase == phase
    assert count < 20


def test_more_time_that_cannot_be_given_is_not_recorded() -> None:
    script = started("operator stop a.ini", tyrant="yes")
    assert script.fleet.vassals["a.ini"].phase == "stopping"
    assert not say(script, "timeout_extended", seconds=600.0)


def test_its_own_watchdog_starts_it_once_in_a_throttle() -> None:
    """Above its budget, once in the longest one."""
    for over, pause in ((False, 1), (True, 5)):
        script = started(over=over, throttle="1000", max_throttle="5000")
        began = script.fleet.vassals["a.ini"].launched
        assert began is not None
        script.feed("silent a.ini asked=yes silent=0")
        script.feed("exited a.ini signal=9")
        vassal = script.fleet.vassals["a.ini"]
        assert (vassal.phase, vassal.deadline) == ("throttled", began + pause * SECOND)
