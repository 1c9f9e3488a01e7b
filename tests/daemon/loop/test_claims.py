"""A name that several sources claim belongs to the first of them."""

import pytest
from emperord.daemon.core.draft import Draft
from emperord.daemon.loop.observer import orphans
from emperord.journal.chain import digest
from emperord.journal.events import Exited
from emperord.monitors.contract import (
    Listing,
    Seen,
    Touched,
)
from hypothesis import given
from hypothesis import strategies as st
from support.observing import ANY_LISTING, DIR, OTHER, World, listing, seen

# Two sources, one name


def test_a_name_belongs_to_the_first_that_says_it() -> None:
    world = World()
    world.see(listing("a.ini"))
    claim = Listing({"a.ini": seen(b"theirs", 5)})
    assert world.see(claim, claim, url=OTHER) == ["observation_rejected a.ini"]
    assert world.last == []
    assert world.fleet.vassals["a.ini"].spec.config == digest(b"[uwsgi]\n")


def test_a_later_source_is_rejected_with_the_reason() -> None:
    world = World()
    world.see(listing("a.ini"))
    world.see(listing("a.ini"), url=OTHER)
    reason = f"the name belongs to {DIR}, which is given before this source"
    assert [body.reason for body in world.last] == [reason]


@pytest.mark.parametrize("announced", [False, True], ids=["listed", "announced"])
def test_an_earlier_source_takes_a_name_over(announced: bool) -> None:
    """It was heard last: that is a change of the vassal, and the later one is rejected."""
    world = World()
    theirs, ours = seen(b"theirs", 5), seen(b"ours", 3)
    world.see(Listing({"a.ini": theirs}), url=OTHER)
    claim = Touched("a.ini", ours) if announced else Listing({"a.ini": ours})
    assert world.see(claim) == ["vassal_changed a.ini"]
    assert world.last[0].change == f"claimed from {OTHER}"
    assert world.fleet.vassals["a.ini"].spec == ours.spec
    assert world.contents[digest(b"ours")] == b"ours"
    assert world.see(claim) == []
    again = Listing({"a.ini": Seen(theirs.spec)})
    assert world.see(again, again, url=OTHER) == ["observation_rejected a.ini"]
    assert world.names() == {"a.ini"}
    assert world.see(Listing({})) == ["vassal_removed a.ini"]
    assert world.see(again, url=OTHER) == ["vassal_added a.ini"]


def test_another_order_hands_names_over() -> None:
    world = World()
    world.see(listing("a.ini", "b.ini"))
    world.configure(OTHER, DIR)
    assert world.see(listing("a.ini"), url=OTHER) == ["vassal_changed a.ini"]
    assert world.see(listing("a.ini", "b.ini")) == ["observation_rejected a.ini"]
    assert (world.names(OTHER), world.names()) == ({"a.ini"}, {"b.ini"})


@pytest.mark.parametrize("stopped", [False, True], ids=["while it stops", "when it has stopped"])
@pytest.mark.parametrize("read_again", [False, True], ids=["read before", "read again"])
def test_it_is_handed_over_when_its_owner_lets_go(stopped: bool, read_again: bool) -> None:
    world = World()
    world.see(listing("a.ini"))
    theirs = seen(b"theirs", 5)
    world.see(Listing({"a.ini": theirs}), url=OTHER)
    world.see(listing())
    if stopped:
        vassal = world.fleet.vassals["a.ini"]
        assert vassal.attempt is not None
        exited = Exited(attempt=vassal.attempt, code=0)
        world.fold([Draft("exited", exited, None, "a.ini")])
        assert "a.ini" not in world.fleet.vassals
    again = theirs if read_again else Seen(theirs.spec)
    assert world.see(Listing({"a.ini": again}), url=OTHER) == ["vassal_added a.ini"]
    assert world.names(OTHER) == {"a.ini"}
    assert world.contents[digest(b"theirs")] == b"theirs"


def test_the_newest_text_of_a_claim_is_kept() -> None:
    world = World()
    world.see(listing("a.ini"))
    world.see(Listing({"a.ini": seen(b"first", 5)}), url=OTHER)
    newer = seen(b"second", 6)
    world.see(Listing({"a.ini": newer}), url=OTHER)
    world.see(listing())
    world.see(Listing({"a.ini": Seen(newer.spec)}), url=OTHER)
    assert world.contents[digest(b"second")] == b"second"


def test_an_owner_that_is_not_configured_any_more_cannot_hold_a_name() -> None:
    world = World()
    world.see(listing("a.ini"))
    world.configure(OTHER)
    assert world.see(listing("a.ini"), url=OTHER) == ["vassal_added a.ini"]
    assert world.names(OTHER) == {"a.ini"}


def test_orphans_end_unless_somebody_claims_them() -> None:
    world = World()
    world.see(listing("a.ini", "b.ini"))
    world.configure(OTHER)
    world.see(listing("a.ini"), url=OTHER)
    drafts = orphans(world.fleet)
    assert [(d.kind, d.vassal, d.monitor) for d in drafts] == [("vassal_removed", "b.ini", DIR)]
    world.fold(drafts)
    assert orphans(world.fleet) == []


@given(st.lists(st.tuples(st.sampled_from([DIR, OTHER]), ANY_LISTING), max_size=8))
def test_a_name_belongs_to_the_first_source_that_has_it(
    told: list[tuple[str, dict[str, Seen]]],
) -> None:
    """Whatever was listed before, in whatever order: once each source has had another look."""
    world = World()
    has: dict[str, dict[str, Seen]] = {DIR: {}, OTHER: {}}
    for url, each in told:
        world.see(Listing(each), url=url)
        has[url] = each
    for url in (DIR, DIR, OTHER, OTHER):  # a doubted listing is believed when it comes again
        world.see(Listing(has[url]), url=url)
    wanted = {v.name: (v.monitor, v.spec) for v in world.fleet.vassals.values() if v.wanted}
    assert wanted == {
        name: (url, now.spec) for url in (OTHER, DIR) for name, now in has[url].items()
    }
