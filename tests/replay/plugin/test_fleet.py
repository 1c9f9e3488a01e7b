"""The fixture ``fleet``: events in, orders and states out."""

from typing import Any

import pytest
from emperord.daemon.core.actions import Action
from emperord.journal.chain import digest
from emperord.replay.testing import BareFleet

from .conftest import PROGRAM


def test_the_first_event_starts_a_daemon(fleet: BareFleet) -> None:
    event = fleet.added("a.ini", PROGRAM)
    assert [each.kind for each in fleet.events] == [
        "daemon_started",
        "daemon_ready",
        "vassal_added",
    ]
    assert fleet.actions == [Action("spawn", "a.ini", event.seq, digest(PROGRAM.encode()))]
    assert fleet.orders == ["spawn a.ini"]
    assert fleet.vassals["a.ini"].phase == "starting"
    assert fleet.vassals["a.ini"].spec.settings == {"command": "gunicorn app"}
    assert fleet.state.monitors == ("dir:///etc/vassals",)


def test_a_config_is_read_as_a_source_reads_it(fleet: BareFleet) -> None:
    fleet.added("a.ini", "[emperor]\ncomand = gunicorn\n")
    assert fleet.orders == []
    assert fleet.vassals["a.ini"].phase == "barred"
    assert "no such setting" in (fleet.vassals["a.ini"].reason or "")


def test_deadlines_pass_with_the_time(fleet: BareFleet) -> None:
    fleet.start(throttle=500)
    fleet.added("a.ini", PROGRAM)
    fleet.feed("spawned", "a.ini")
    fleet.feed("exited", "a.ini", code=1)
    assert fleet.vassals["a.ini"].phase == "throttled"
    fleet.at("+499ms")
    assert fleet.orders == []
    fleet.at("+1ms")
    assert fleet.orders == ["spawn a.ini"]
    assert fleet.events[-1].kind == "deadline_passed"
    assert fleet.vassals["a.ini"].deaths == 1


def test_deadlines_of_several_pass_in_their_order(fleet: BareFleet) -> None:
    """The slots are taken by the first two; their patience ends, and the others come."""
    fleet.start(max_starting=2, start_patience=10)
    for name in ("a.ini", "b.ini", "c.ini", "d.ini"):
        fleet.added(name)
    before = fleet.now
    assert fleet.at("+15s") == before + 15 * 10**9
    passed = [event.vassal for event in fleet.events if event.kind == "deadline_passed"]
    assert passed == ["a.ini", "b.ini"]
    assert fleet.orders == ["spawn c.ini", "spawn d.ini"]


def test_a_policy_decides(fleet: BareFleet) -> None:
    fleet.start(max_starting=1)
    fleet.added("a.ini")
    fleet.added("b.ini")
    assert fleet.vassals["b.ini"].phase == "queued"
    fleet.feed("spawned", "a.ini", pid=77)
    assert fleet.orders == []
    fleet.feed("vassal_accepting", "a.ini")
    assert fleet.vassals["a.ini"].pid == 77
    assert [action.vassal for action in fleet.ordered] == ["a.ini", "b.ini"]


def test_operators_and_sources(fleet: BareFleet) -> None:
    fleet.added("a.ini", PROGRAM, monitor="zmq://here")
    fleet.feed("spawned", "a.ini")
    fleet.changed("a.ini", PROGRAM + "reload = restart\n")
    assert fleet.events[-1].monitor == "zmq://here"
    assert fleet.orders == ["stop a.ini"]
    fleet.feed("exited", "a.ini", code=0)
    assert fleet.orders == ["spawn a.ini"]
    fleet.operator("stop", "a.ini", reason="maintenance")
    assert fleet.vassals["a.ini"].held
    fleet.removed("a.ini")
    fleet.feed("exited", "a.ini", signal=15)
    assert "a.ini" not in fleet.vassals


def test_the_next_daemon_takes_over(fleet: BareFleet) -> None:
    fleet.added("a.ini", PROGRAM)
    fleet.feed("spawned", "a.ini")
    fleet.start(throttle=9000)
    fleet.feed("adopted", "a.ini")
    assert fleet.state.policy.throttle == 9000
    assert fleet.ordered[1:] == []


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        pytest.param("exitd", {}, "no event is called 'exitd'; is it exited", id="kind"),
        pytest.param("exited", {"code": "one"}, "exited of a.ini: Expected `int", id="type"),
        pytest.param("spawn_failed", {"reason": "no"}, "missing required field `fault`", id="lack"),
    ],
)
def test_a_wrong_event_is_an_error_of_the_test(
    fleet: BareFleet, kind: str, fields: dict[str, Any], error: str
) -> None:
    fleet.added("a.ini", PROGRAM)
    before = (len(fleet.events), fleet.now)
    with pytest.raises(ValueError, match=error):
        fleet.feed(kind, "a.ini", **fields)
    assert (len(fleet.events), fleet.now) == before


@pytest.mark.parametrize("time", ["3s", "+3 parsecs", "-3s", "tomorrow"])
def test_time_only_passes(fleet: BareFleet, time: str) -> None:
    with pytest.raises(ValueError, match="is no time that passes"):
        fleet.at(time)
