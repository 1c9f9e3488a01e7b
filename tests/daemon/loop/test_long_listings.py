"""A long listing is compared in parts, and comes to the same as at once."""

from emperord.monitors.contract import (
    Listing,
    Seen,
    Touched,
)
from hypothesis import given
from hypothesis import strategies as st
from support.observing import ANY_LISTING, DIR, OTHER, World, listing, seen


def test_others_act_between_the_parts_of_a_long_listing() -> None:
    """A vassal that another source claims meanwhile stays; a missing one is removed at the end."""
    world = World()
    names = [f"{number}.ini" for number in range(250)]
    world.see(listing("gone.ini", "claimed.ini", *names[:9]), url=OTHER)
    parts = world.see_in_parts(
        listing(*names), OTHER, lambda: world.see(Touched("claimed.ini", seen()))
    )
    assert len(parts) > 2
    assert [line for part in parts for line in part if "added" not in line] == [
        "vassal_removed gone.ini"
    ]
    assert parts[-1][-1] == "vassal_removed gone.ini"
    assert world.names(OTHER) == set(names)
    assert world.names() == {"claimed.ini"}


def test_a_long_listing_is_doubted_by_what_was_known_before_it() -> None:
    world = World()
    world.see(listing(*(f"old{number}.ini" for number in range(10))))
    new = listing(*(f"{number}.ini" for number in range(500)))
    parts = world.see_in_parts(new, DIR, lambda: None)
    assert next(line for part in parts for line in part) == "listing_doubted None"
    assert len(world.names()) == 510
    parts = world.see_in_parts(new, DIR, lambda: None)
    assert [line for part in parts for line in part] == [
        f"vassal_removed old{number}.ini" for number in range(10)
    ]
    assert len(world.names()) == 500


@given(st.lists(ANY_LISTING, min_size=1, max_size=6))
def test_a_listing_folded_is_the_listing(listings: list[dict[str, Seen]]) -> None:
    """Whatever was listed before: once a listing is confirmed, the fleet is what it says."""
    world = World()
    for each in listings:
        world.see(Listing(each))
        world.see(Listing({name: Seen(now.spec) for name, now in each.items()}))
        wanted = {v.name: v.spec for v in world.fleet.vassals.values() if v.wanted}
        assert wanted == {name: now.spec for name, now in each.items()}
        assert {now.spec.config for now in each.values()} <= world.contents.keys()
        assert world.see(Listing(each)) == []
