"""Programs with a ``ready``: when the fold takes them for up, and the end of those that are not."""

from typing import Any

import pytest
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fleet import Fleet
from emperord.replay.testing.fleets import BareFleet

TEXT = "[emperor]\ncommand = serve\nready = tcp://127.0.0.1:8000\n"


def started(text: str = TEXT, **policy: Any) -> BareFleet:
    """A fleet whose one vassal was spawned."""
    fleet = BareFleet()
    fleet.start(**policy)
    fleet.added("a.ini", text)
    fleet.feed("spawned", "a.ini")
    return fleet


def phase_of(fleet: BareFleet) -> str:
    """The phase of its one vassal."""
    return fleet.vassals["a.ini"].phase


def test_it_starts_until_its_condition_is_met() -> None:
    fleet = started()
    vassal = fleet.vassals["a.ini"]
    assert (vassal.phase, vassal.slot) == ("starting", True)
    fleet.feed("vassal_accepting", "a.ini")
    assert (vassal.phase, vassal.slot) == ("accepting", False)


def test_without_a_condition_it_is_up_at_once() -> None:
    fleet = started("[emperor]\ncommand = serve\nready = spawn\n")
    assert phase_of(fleet) == "ready"


def test_a_start_that_is_not_ready_in_time_has_failed() -> None:
    fleet = started(TEXT + "ready-timeout = 5s\n", throttle=1000)
    vassal = fleet.vassals["a.ini"]
    fleet.at("+5s")
    assert fleet.orders == ["kill a.ini"]
    assert (vassal.phase, vassal.reason) == ("stopping", "was not ready within 5s")
    fleet.feed("exited", "a.ini", signal=9)
    assert (vassal.phase, vassal.reason) == ("throttled", "was not ready within 5s")
    assert vassal.last is not None
    assert (vassal.last.order, vassal.last.reason) == ("kill", "was not ready within 5s")
    fleet.at("+1s")
    assert fleet.orders == ["spawn a.ini"]
    fleet.feed("spawned", "a.ini")
    fleet.at("+5s")
    fleet.feed("exited", "a.ini", signal=9)
    assert vassal.deaths == 2
    fleet.at("+1s")
    assert fleet.orders == []  # twice as long
    fleet.at("+1s")
    assert fleet.orders == ["spawn a.ini"]
    assert vassal.late is None


def test_its_slot_goes_to_the_next_before() -> None:
    fleet = started(TEXT + "ready-timeout = 60s\n", start_patience=10.0, max_starting=1)
    fleet.added("b.ini", TEXT)
    vassal = fleet.vassals["a.ini"]
    assert fleet.vassals["b.ini"].phase == "queued"
    fleet.at("+10s")
    assert fleet.orders == ["spawn b.ini"]
    assert (vassal.phase, vassal.reason) == ("starting", "slow to start")
    fleet.at("+49s")
    assert phase_of(fleet) == "starting"
    fleet.feed("vassal_accepting", "a.ini")
    fleet.at("+10s")
    assert phase_of(fleet) == "accepting"


def test_a_change_while_it_starts_begins_when_it_is_ready() -> None:
    fleet = started()
    fleet.changed("a.ini", TEXT + "# fixed\n")
    assert fleet.orders == []
    fleet.feed("vassal_accepting", "a.ini")
    assert fleet.orders == ["reload a.ini"]


def test_a_change_ends_the_wait_of_a_start_that_failed() -> None:
    fleet = started(TEXT + "ready-timeout = 5s\n")
    fleet.at("+5s")
    fleet.changed("a.ini", TEXT)
    fleet.feed("exited", "a.ini", signal=9)
    assert fleet.orders == ["spawn a.ini"]


def test_a_daemon_that_adopts_it_looks_again() -> None:
    fleet = started(TEXT + "ready-timeout = 5s\n")
    vassal = fleet.vassals["a.ini"]
    fleet.feed("adopted", "a.ini", pid=7, start_time=7)
    assert vassal.phase == "starting"
    fleet.at("+5s")
    assert vassal.reason == "was not ready within 5s"


def test_after_a_reload_it_is_ready_and_then_accepts() -> None:
    fleet = started()
    fleet.feed("vassal_accepting", "a.ini")
    fleet.changed("a.ini", TEXT + "# more\n")
    assert fleet.orders == ["reload a.ini"]
    fleet.at("+1s")
    assert phase_of(fleet) == "ready"
    fleet.feed("vassal_accepting", "a.ini")
    assert phase_of(fleet) == "accepting"


OUTCOMES = {
    "it was ready": ([("vassal_accepting", {})], "accepting"),
    "it was not": ([], "died"),
    "it died before": ([("exited", {"code": 1})], "died"),
}


@pytest.mark.parametrize(("after", "outcome"), OUTCOMES.values(), ids=OUTCOMES)
def test_the_outcome_of_its_deploy(after: list[tuple[str, dict[str, Any]]], outcome: str) -> None:
    fleet = started(TEXT + "ready-timeout = 5s\n")
    for kind, body in after:
        fleet.feed(kind, "a.ini", **body)
    fleet.at("+5s")
    deploys, again = Deploys(), Fleet()
    for event in fleet.events:
        deploys.take(again, event)
    (deploy,) = deploys.touched.values()
    assert deploy.outcome == outcome
