"""Which vassals have something at their source now that is rejected."""

import pytest
from emperord.monitors.contract import Listing, Observation, Refused, Touched, Vanished
from support.observing import DIR, OTHER, World, listing, seen

HIDDEN = "a\x07.ini"


def refused(name: str = "a.ini", reason: str = "cannot be read") -> Listing:
    return Listing({"a.ini": seen()}, {name: reason})


@pytest.mark.parametrize(
    ("observations", "rejected"),
    [
        pytest.param([listing("a.ini")], {}, id="none"),
        pytest.param([listing("a.ini"), refused()], {"a.ini": "cannot be read"}, id="listed"),
        pytest.param(
            [listing("a.ini"), refused(), refused()], {"a.ini": "cannot be read"}, id="listed again"
        ),
        pytest.param(
            [listing("a.ini"), refused(), refused(reason="too long")],
            {"a.ini": "too long"},
            id="another reason",
        ),
        pytest.param(
            [listing("a.ini"), Refused("a.ini", "two"), Refused("a.ini", "one")],
            {"a.ini": "one"},
            id="the last reason",
        ),
        pytest.param([listing("a.ini"), refused(), listing("a.ini")], {}, id="not listed again"),
        pytest.param([listing("a.ini"), Refused("a.ini", "bad")], {"a.ini": "bad"}, id="told"),
        pytest.param(
            [listing("a.ini"), Refused("a.ini", "bad"), Touched("a.ini", seen())],
            {},
            id="as it was before",
        ),
        pytest.param(
            [listing("a.ini"), Refused("a.ini", "bad"), Touched("a.ini", seen(b"new", ts=2))],
            {},
            id="changed",
        ),
        pytest.param(
            [
                listing("a.ini"),
                Refused("a.ini", "bad"),
                Touched("a.ini", seen()),
                Refused("a.ini", "bad"),
            ],
            {"a.ini": "bad"},
            id="rejected again",
        ),
        pytest.param(
            [listing("a.ini"), Refused("a.ini", "bad"), Vanished("a.ini")], {}, id="it is gone"
        ),
        pytest.param(
            [listing(HIDDEN), Refused("a\\x07.ini", "bad")],
            {HIDDEN: "bad"},
            id="a name that is not printable",
        ),
        pytest.param(
            [listing(HIDDEN), Refused("a\\x07.ini", "bad"), Touched(HIDDEN, seen())],
            {},
            id="such a name as it was before",
        ),
        pytest.param([listing("a.ini"), refused("README")], {}, id="no vassal"),
    ],
)
def test_rejections_that_last(observations: list[Observation], rejected: dict[str, str]) -> None:
    world = World()
    world.see(*observations)
    assert reasons(world) == rejected


def reasons(world: World) -> dict[str, str]:
    found = world.observer.present.of_vassals(world.fleet)
    return {name: rejection.reason for name, rejection in found.items()}


def test_a_claim_of_another_source_is_no_rejection_of_the_vassal() -> None:
    world = World()
    world.see(listing("a.ini"))
    assert world.see(listing("a.ini"), url=OTHER) == ["observation_rejected a.ini"]
    assert reasons(world) == {}


def test_it_lasts_since_it_was_first_told() -> None:
    world = World()
    world.see(listing("a.ini"), refused())
    first = world.observer.present.of_vassals(world.fleet)
    world.see(listing("a.ini", "b.ini"))
    world.see(refused(), refused())
    again = world.observer.present.of_vassals(world.fleet)
    world.observer.clock = lambda: 10**9
    world.see(refused())
    assert world.observer.present.of_vassals(world.fleet) == again
    assert again["a.ini"].since > first["a.ini"].since


def test_it_lasts_while_a_listing_is_being_taken() -> None:
    world = World()
    world.see(listing("a.ini"), refused())
    long = {f"v{number:03}.ini": seen() for number in range(300)}
    told = list[dict[str, str]]()
    parts = Listing({"a.ini": seen(), **long}, {"a.ini": "cannot be read"})
    world.see_in_parts(parts, DIR, lambda: told.append(reasons(world)))
    assert len(told) > 2
    assert told == [{"a.ini": "cannot be read"}] * len(told)


def test_each_of_two_reasons_lasts_since_it_was_first_told() -> None:
    """Its change is rejected, and its source refuses it as well."""
    world = World(trusts_content=False)
    both = Listing({"a.ini": seen(b"other")}, {"a.ini": "cannot be read"})
    world.see(listing("a.ini"), both)
    first = world.observer.present.of_vassals(world.fleet)
    assert first["a.ini"].reason == "cannot be read"
    world.observer.clock = lambda: 10**9
    world.see(Listing(both.seen, both.refused))
    assert world.observer.present.of_vassals(world.fleet) == first
    world.see(Listing(both.seen, {}))
    kept = world.observer.present.of_vassals(world.fleet)["a.ini"]
    assert (kept.since, "its ts did not" in kept.reason) == (first["a.ini"].since, True)
