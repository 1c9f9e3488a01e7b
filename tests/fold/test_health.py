"""The health of vassals: what follows when checks fail, and when they pass again."""

import pytest
from emperord.replay.testing.fleets import BareFleet

TEXT = "[emperor]\ncommand = serve\nhealth = tcp://127.0.0.1:8000\n"
REASON = "unhealthy: 3 checks in a row have failed"


def sick(text: str = TEXT) -> BareFleet:
    """A fleet whose one vassal has lost its health."""
    fleet = BareFleet()
    fleet.start(throttle=1000)
    fleet.added("a.ini", text)
    fleet.feed("spawned", "a.ini")
    fleet.feed("health_lost", "a.ini", failures=3)
    return fleet


def test_it_is_stopped_and_started_again_after_its_throttle() -> None:
    fleet = sick()
    vassal = fleet.vassals["a.ini"]
    assert (fleet.orders, vassal.reason) == (["stop a.ini"], REASON)
    fleet.feed("exited", "a.ini", code=0)
    assert (vassal.phase, vassal.reason, vassal.sick) == ("throttled", REASON, None)
    assert len(vassal.died) == 1
    fleet.at("+1s")
    assert fleet.orders == ["spawn a.ini"]
    fleet.feed("spawned", "a.ini")
    fleet.feed("health_lost", "a.ini", failures=3)
    fleet.feed("exited", "a.ini", code=0)
    fleet.at("+1s")
    assert fleet.orders == []  # twice as long
    fleet.at("+1s")
    assert fleet.orders == ["spawn a.ini"]


def test_a_change_ends_its_wait() -> None:
    fleet = sick()
    fleet.feed("exited", "a.ini", code=0)
    fleet.changed("a.ini", TEXT + "# mended\n")
    assert fleet.orders == ["spawn a.ini"]


@pytest.mark.parametrize("setting", ["health-action = record", "restart = no"])
def test_it_runs_on_where_nothing_is_to_be_done(setting: str) -> None:
    fleet = sick(f"{TEXT}{setting}\n")
    vassal = fleet.vassals["a.ini"]
    assert (fleet.orders, vassal.phase, vassal.reason) == ([], "ready", REASON)
    assert vassal.sick is not None
    fleet.feed("health_regained", "a.ini")
    assert [vassal.reason, vassal.sick] == [None, None]


def test_what_was_told_of_a_former_attempt_is_over() -> None:
    fleet = sick()
    attempt = fleet.vassals["a.ini"].attempt
    fleet.feed("exited", "a.ini", code=0)
    fleet.at("+1s")
    fleet.feed("spawned", "a.ini")
    fleet.feed("health_lost", "a.ini", attempt=attempt, failures=3)
    assert fleet.orders == []
