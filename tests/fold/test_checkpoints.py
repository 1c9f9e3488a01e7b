"""The digest of a fleet: which facts it covers, and that it follows what changes.

That the sum is right after each event of any history is one of the fold's properties (`world.py`).
"""

from typing import Any

import msgspec
import pytest
from emperord.daemon.core.checkpoints import NEWEST, PROJECTIONS, States, digest_of
from emperord.daemon.core.fleet import Fleet, Outage, Pressure, Spent, Vassal, Waiting, copied
from emperord.journal.events import Event, Gone, Spec

LISTED = PROJECTIONS[NEWEST]
FIRST = "92147df7ebb7882ce7129cc8e3830b6a29dee207bea96a8de35e7d541293d7d8"
NEW: dict[str, Any] = {  # fields whose other value does not follow from their type
    "outages": {"m": Outage("gone", 1)},
    "users": {"m": Waiting()},
    "pressure": Pressure(1),
    "spent": {"a": Spent(1, 1)},
}


def fleet_of(count: int) -> Fleet:
    fleet = Fleet(seq=1)
    for number in range(count):
        name = f"{number}.ini"
        spec = Spec(ts=1)
        fleet.vassals[name] = Vassal(name, "m", spec, "ready", 1, 1, running=spec)
    return fleet


def other(field: str, value: Any) -> Any:
    """Another value for a field."""
    if field in NEW:
        return NEW[field]
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case tuple():
            return (*value, "x")
        case dict():
            return {**value, "x": None}
    return 7


@pytest.mark.parametrize("field", LISTED.vassal)
def test_each_fact_of_a_vassal_counts(field: str) -> None:
    fleet = fleet_of(2)
    before = digest_of(fleet)
    vassal = fleet.vassals["1.ini"]
    setattr(vassal, field, other(field, getattr(vassal, field)))
    assert digest_of(fleet) != before


@pytest.mark.parametrize("part", ["spec", "running"])
@pytest.mark.parametrize("field", LISTED.spec)
def test_each_fact_of_a_spec_counts(part: str, field: str) -> None:
    fleet = fleet_of(2)
    before = digest_of(fleet)
    spec = fleet.vassals["1.ini"].spec
    changed = msgspec.structs.replace(spec, **{field: other(field, getattr(spec, field))})
    setattr(fleet.vassals["1.ini"], part, changed)
    assert digest_of(fleet) != before


@pytest.mark.parametrize("field", LISTED.fleet)
def test_each_fact_of_the_fleet_counts(field: str) -> None:
    fleet = fleet_of(2)
    before = digest_of(fleet)
    setattr(fleet, field, other(field, getattr(fleet, field)))
    assert digest_of(fleet) != before


@pytest.mark.parametrize("field", LISTED.policy)
def test_each_option_that_decides_counts(field: str) -> None:
    fleet = fleet_of(2)
    before = digest_of(fleet)
    value = other(field, getattr(fleet.policy, field))
    fleet.policy = msgspec.structs.replace(fleet.policy, **{field: value})
    assert digest_of(fleet) != before


def test_the_order_of_a_line_counts() -> None:
    one, two = Fleet(queue={"a": None, "b": None}), Fleet(queue={"b": None, "a": None})
    assert digest_of(one) != digest_of(two)


def test_two_vassals_that_swap_their_facts_are_others() -> None:
    fleet = fleet_of(2)
    fleet.vassals["0.ini"].deaths = 1
    swapped = fleet_of(2)
    swapped.vassals["1.ini"].deaths = 1
    assert digest_of(fleet) != digest_of(swapped)


def test_only_what_an_event_may_have_changed_is_hashed_again() -> None:
    """Another vassal, changed behind its back, stays in the sum as it was."""
    fleet = fleet_of(3)
    states = States()
    before = states.digest(fleet)
    untouched = copied(fleet)
    fleet.vassals["2.ini"].deaths = 1
    event = Event(2, 2, "vassal_removed", "m", "0.ini", None, Gone())
    states.note(fleet, event, [])
    assert states.digest(fleet) == before
    fleet.vassals["0.ini"].deaths = 1
    untouched.vassals["0.ini"].deaths = 1
    states.note(fleet, event, [])
    assert states.digest(fleet) == digest_of(untouched) != digest_of(fleet)


def test_the_digest_of_the_first_projection_stays_for_ever() -> None:
    assert digest_of(fleet_of(2), 1) == FIRST
