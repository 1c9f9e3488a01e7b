"""No tenant fills the disk: what is recorded because of it counts, and what spends it is slowed."""

from typing import Any, Final

import msgspec
import pytest
from emperord.daemon.core import budget
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import from_json, to_json
from emperord.journal.events import Empty, Exited

from .script import Script

BUDGET: Final = 10 * budget.EVENT
HOUR: Final = 3600 * 10**9
LINES: Final = "x" * 2000
DEATH: Final = budget.EVENT + len(LINES)


def opened(record_budget: int = BUDGET, rules: int = 2, **policy: str) -> Script:
    """A daemon of this policy, whose fleet is empty."""
    script = Script(rules)
    given = {"record_budget": str(record_budget), **policy}
    for line in (f"policy {' '.join(f'{k}={v}' for k, v in given.items())}", "daemon started"):
        script.feed(line)
    script.feed("daemon ready")
    return script


def die(script: Script, name: str = "a.ini", **more: Any) -> None:
    """Its process dies with long last lines, and it is started again when it may be."""
    attempt = script.fleet.vassals[name].attempt
    script.happen("exited", name, None, {"attempt": attempt, "code": 1, "log": LINES, **more})
    if script.fleet.vassals[name].phase == "throttled":
        script.feed(f"deadline {name}")


def level(script: Script, account: str = "a.ini") -> int:
    return budget.level(script.fleet, account, script.now)


def announce(script: Script, kind: str, cost: int, name: str = "a.ini", **spec: Any) -> None:
    body = {"spec": {"ts": script.now, "path": f"/v/{name}", **spec}, "cost": cost}
    script.happen(kind, name, "a", body)


COSTS: Final = {
    "a death with last lines": ("exited a.ini code=1 log=abc", budget.EVENT + 3),
    "a resignation": ("resigned a.ini", budget.EVENT),
    "a start that failed": ("failed a.ini fault=resources", budget.EVENT),
    "a removal": ("removed a.ini", budget.EVENT),
    "a death while no daemon was there": ("exited a.ini away=yes log=abc", 0),
    "an operator's request": ("operator stop a.ini", 0),
    "an end that was asked for": ("operator stop a.ini;exited a.ini code=0 log=abc", 0),
    "a first start": ("spawned a.ini;ready a.ini;accepting a.ini;loyal a.ini;heartbeat a.ini", 0),
}


@pytest.mark.parametrize(("lines", "cost"), COSTS.values(), ids=COSTS)
def test_an_event_costs_what_its_account_may_have_recorded(lines: str, cost: int) -> None:
    script = opened()
    script.feed("added a.ini")
    for line in lines.split(";"):
        script.feed(line)
    assert level(script) == cost


def test_a_change_costs_what_the_observer_says() -> None:
    script = opened()
    announce(script, "vassal_added", 123)
    announce(script, "vassal_changed", 1000)
    assert level(script) == 1123


def test_an_account_is_the_user_in_tyrant_mode_else_the_vassal() -> None:
    for tyrant, accounts in (("yes", {"uid 5"}), ("no", {"a.ini", "b.ini"})):
        script = opened(tyrant=tyrant)
        for name in ("a.ini", "b.ini"):
            announce(script, "vassal_added", 9, name, uid=5, gid=5)
        assert set(script.fleet.spent) == accounts


def test_the_budget_comes_back_in_four_hours_and_no_sooner() -> None:
    script = opened()
    announce(script, "vassal_added", BUDGET)
    script.now += 2 * HOUR
    assert level(script) == pytest.approx(BUDGET // 2, abs=1)
    script.now += 2 * HOUR
    assert level(script) == 0


def delays(script: Script, count: int) -> list[float]:
    """Seconds from start to start of a vassal that dies at once, again and again."""
    found = []
    for _ in range(count):
        began = script.fleet.vassals["a.ini"].launched
        die(script)
        launched = script.fleet.vassals["a.ini"].launched
        assert began is not None
        assert launched is not None
        found.append(round((launched - began) / 1e9, 3))
    return found


def test_what_dies_in_a_loop_above_its_budget_waits_for_the_longest_throttle() -> None:
    script = opened(throttle="1", max_throttle="5000")
    script.feed("added a.ini")
    within = BUDGET // DEATH
    found = delays(script, within + 3)
    assert found[:within][-1] < 1
    assert found[within:] == [5.0] * 3


def test_a_loyal_one_above_its_budget_starts_at_once_if_it_ran_for_long() -> None:
    script = opened(throttle="1000", max_throttle="5000")
    for line in ("added a.ini", "spawned a.ini", "accepting a.ini", "loyal a.ini"):
        script.feed(line)
    announce(script, "vassal_changed", 2 * BUDGET, settings={"command": "x"})
    script.feed("exited a.ini code=0")  # it was to be restarted
    for line in ("spawned a.ini", "loyal a.ini", "at +1s", "exited a.ini code=1"):
        script.feed(line)
    vassal = script.fleet.vassals["a.ini"]
    assert vassal.phase == "throttled"
    assert vassal.deadline is not None
    assert vassal.launched is not None
    assert vassal.deadline - vassal.launched == 5 * 10**9
    for line in ("deadline a.ini", "spawned a.ini", "loyal a.ini", "at +6s", "exited a.ini code=1"):
        script.feed(line)
    assert script.fleet.vassals["a.ini"].phase == "starting"


@pytest.mark.parametrize(("rules", "size"), [(1, BUDGET), (2, 0)], ids=["rules 1", "no limit"])
def test_without_a_budget_nothing_counts_and_nothing_waits(rules: int, size: int) -> None:
    script = opened(size, rules, throttle="1", max_throttle="5000")
    script.feed("added a.ini")
    assert max(delays(script, 12)) == 2.048
    assert script.fleet.spent == {}


def test_one_vassal_above_its_budget_slows_no_other() -> None:
    script = opened(throttle="1", max_throttle="5000")
    for name in ("a.ini", "b.ini"):
        script.feed(f"added {name}")
    delays(script, BUDGET // DEATH + 2)
    began = script.now
    die(script, "b.ini")
    assert script.now - began < 10**9


def test_last_lines_are_left_out_above_the_budget() -> None:
    script = opened()
    script.feed("added a.ini")
    draft = Draft("exited", Exited(attempt=3, code=1, log=LINES), None, "a.ini")
    assert budget.trimmed(script.fleet, draft, script.now) is draft
    announce(script, "vassal_changed", BUDGET + 1)
    body = Exited(attempt=3, code=1, over_budget=True)
    expected = msgspec.structs.replace(draft, body=body)
    assert budget.trimmed(script.fleet, draft, script.now) == expected
    assert budget.trimmed(script.fleet, draft, script.now + 4 * HOUR) is draft
    other = Draft("daemon_ready", Empty())
    assert budget.trimmed(script.fleet, other, script.now) is other


def test_an_account_that_is_above_its_budget_is_told_once_until_half_of_it_is_free() -> None:
    script = opened()
    told: list[str | None] = []
    for cost in (BUDGET, 1, 1):
        announce(script, "vassal_added" if not told else "vassal_changed", cost)
        told.append(budget.newly_over(script.fleet, script.events[-1]))
    assert told == [None, "a.ini", None]
    ((account, since, size),) = budget.overspent(script.fleet, script.now)
    assert (account, since, size) == ("a.ini", script.events[-2].at, BUDGET + 2)
    script.now += HOUR
    announce(script, "vassal_changed", BUDGET // 2)
    assert budget.newly_over(script.fleet, script.events[-1]) is None
    script.now += 4 * HOUR
    assert budget.overspent(script.fleet, script.now) == []
    announce(script, "vassal_changed", BUDGET)
    assert budget.newly_over(script.fleet, script.events[-1]) == "a.ini"


def test_no_account_is_charged_for_more_than_twice_its_budget() -> None:
    script = opened()
    announce(script, "vassal_added", 0)
    for _ in range(5):
        announce(script, "vassal_changed", BUDGET)
    assert level(script) == 2 * BUDGET + budget.EVENT


def test_accounts_whose_bucket_is_empty_are_forgotten() -> None:
    script = opened()
    for number in range(10):
        announce(script, "vassal_added", 5, f"v{number}.ini")
    script.now += 4 * HOUR
    while script.fleet.seq % 1024:
        announce(script, "vassal_changed", 0, "v0.ini")
    assert script.fleet.spent == {}


def test_what_is_spent_outlives_a_daemon() -> None:
    script = opened()
    announce(script, "vassal_added", 77)
    again = from_json(to_json(script.fleet))
    script.feed("daemon started")
    assert again.spent == script.fleet.spent != {}
