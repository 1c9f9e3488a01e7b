"""From observations to events: which are news, doubted, or refused."""

from typing import Any

import msgspec
import pytest
from emperord.daemon.loop.differences import difference
from emperord.journal.chain import digest
from emperord.journal.events import Spec
from emperord.monitors.contract import (
    Destroyed,
    Failed,
    Listing,
    Recovered,
    Refused,
    Seen,
    Touched,
    Vanished,
)
from support.observing import DIR, OTHER, World, listing, seen, some


def inline(text: bytes, ts: int = 1, **more: Any) -> Seen:
    return seen(text, ts, path=None, **more)


# One vassal


def test_new_ones_are_added_changed_ones_changed_and_missing_ones_removed() -> None:
    world = World()
    assert world.see(listing("a.ini", "b.ini")) == ["vassal_added a.ini", "vassal_added b.ini"]
    changed = Listing({"a.ini": seen(b"other", ts=2), "c.ini": seen()})
    assert world.see(changed) == [
        "vassal_changed a.ini",
        "vassal_added c.ini",
        "vassal_removed b.ini",
    ]


def test_a_repetition_is_no_news() -> None:
    world = World()
    assert world.see(listing("a.ini"))
    assert world.see(listing("a.ini"), Touched("a.ini", seen())) == []


def test_the_texts_are_handed_over_for_the_record() -> None:
    world = World()
    world.see(Listing({"a.ini": seen(b"one")}), Touched("a.ini", seen(b"two", 2)))
    assert world.contents == {digest(b"one"): b"one", digest(b"two"): b"two"}


BASE: dict[str, Any] = dict(
    ts=1, config="c", path="/v/a.ini", cwd="/v", uid=1, gid=1, socket=None, settings={}, bar=None
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({}, "", id="nothing"),
        pytest.param({"attrs": {"note": "x"}}, "", id="attrs are for people"),
        pytest.param({"ts": 0}, "ts", id="an older ts"),
        pytest.param({"ts": 2}, "ts", id="a newer ts"),
        pytest.param({"config": "d"}, "config", id="config"),
        pytest.param({"config": None}, "config", id="too long to keep"),
        pytest.param({"uid": 2}, "owner 1:1 to 2:1", id="uid"),
        pytest.param({"gid": None}, "owner 1:1 to 1:-", id="gid"),
        pytest.param({"socket": ":80"}, "socket", id="socket"),
        pytest.param({"path": "/w/a.ini"}, "place", id="path"),
        pytest.param({"path": None}, "place", id="inline now"),
        pytest.param({"cwd": "/w"}, "place", id="cwd"),
        pytest.param({"settings": {"command": "true"}}, "settings", id="settings"),
        pytest.param({"bar": "may not"}, "settings", id="bar"),
        pytest.param(
            {"ts": 2, "config": "d", "uid": 2}, "ts,config,owner 1:1 to 2:1", id="several"
        ),
    ],
)
def test_difference(change: dict[str, Any], words: str) -> None:
    assert difference(Spec(**BASE), Spec(**{**BASE, **change})) == words


def test_no_field_of_a_spec_is_forgotten() -> None:
    """Each field makes a difference, but the notes for people and the settings as they are written.

    A vassal runs with ``settings``; another text of its config is another ``config``. No source
    says ``copy``.
    """
    told_otherwise = ("attrs", "own_settings", "copy")
    for field in msgspec.structs.fields(Spec):
        other: Any = {"settings": {"command": "x"}, "attrs": {"a": "b"}}.get(field.name, 99)
        changed = Spec(**{**BASE, field.name: other})
        assert bool(difference(Spec(**BASE), changed)) == (field.name not in told_otherwise), (
            field.name
        )


def test_a_destroy_of_what_is_not_there_is_rejected() -> None:
    world = World()
    assert world.see(Destroyed("x\x1b.ini")) == ["observation_rejected"]
    assert world.last[0].name == "x\\x1b.ini"
    assert "no such vassal" in world.last[0].reason
    world.see(listing("a.ini"))
    assert world.see(Destroyed("a.ini"), url=OTHER) == ["observation_rejected"]
    assert DIR in world.last[0].reason
    assert world.names() == {"a.ini"}


def test_told_ends_of_own_vassals_are_believed_at_once() -> None:
    world = World()
    names = some(9)
    world.see(listing(*names))
    ends = [Vanished(name) for name in names[:5]] + [Destroyed(name) for name in names[5:]]
    assert world.see(*ends) == [
        *(f"vassal_removed {name}" for name in names[:5]),
        *(f"vassal_destroyed {name}" for name in names[5:]),
    ]
    assert world.see(Vanished(names[0])) == []
    assert world.see(Vanished("unknown.ini")) == []


def test_one_that_comes_back_while_it_is_stopped_is_added_again() -> None:
    world = World()
    world.see(listing("a.ini"))
    world.see(Vanished("a.ini"))
    assert world.fleet.vassals["a.ini"].phase == "stopping"
    assert world.see(listing("a.ini")) == ["vassal_added a.ini"]
    assert world.last[0].change == "again"
    assert world.names() == {"a.ini"}


# Outages


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    world = World()
    world.see(listing("a.ini"))
    assert world.see(Failed("away"), Failed("still"), Failed("away")) == ["monitor_failed"]
    assert world.names() == {"a.ini"}
    assert world.see(listing("a.ini")) == ["monitor_recovered"]
    assert world.see(Failed("away"), Recovered(), Recovered()) == [
        "monitor_failed",
        "monitor_recovered",
    ]


# Doubt


@pytest.mark.parametrize(
    ("known", "lost", "doubted"),
    [
        pytest.param(1, 1, False, id="the only one"),
        pytest.param(4, 4, False, id="all of four"),
        pytest.param(8, 4, False, id="4 of 8: half, and few"),
        pytest.param(9, 4, False, id="4 of 9"),
        pytest.param(10, 5, False, id="5 of 10: half"),
        pytest.param(9, 5, True, id="5 of 9"),
        pytest.param(5, 5, True, id="all of five"),
        pytest.param(100, 51, True, id="51 of 100"),
        pytest.param(100, 50, False, id="50 of 100"),
    ],
)
def test_a_listing_that_drops_most_must_be_confirmed(known: int, lost: int, doubted: bool) -> None:
    world = World()
    names = some(known)
    world.see(listing(*names))
    rest = listing(*names[lost:])
    gone = [f"vassal_removed {name}" for name in names[:lost]]
    if doubted:
        assert world.see(rest) == ["listing_doubted"]
        assert (world.last[0].missing, world.last[0].known) == (tuple(names[:lost]), known)
        assert world.names() == set(names)
    assert world.see(rest) == gone
    assert world.see(rest) == []


def test_a_listing_that_has_them_again_ends_the_doubt() -> None:
    world = World()
    names = some(8)
    world.see(listing(*names))
    for _ in range(3):
        assert world.see(listing()) == ["listing_doubted"]
        assert world.see(listing(*names)) == []
    assert world.names() == set(names)


def test_only_what_both_listings_lack_is_gone() -> None:
    world = World()
    names = some(10)
    world.see(listing(*names))
    assert world.see(listing(*names[8:])) == ["listing_doubted"]
    # The first two are back, the last two are missing now: those have to be doubted in turn.
    assert world.see(listing(*names[:2])) == [
        "listing_doubted",
        *(f"vassal_removed {name}" for name in names[2:8]),
    ]
    assert world.last[0].missing == tuple(names[8:])
    assert world.names() == {*names[:2], *names[8:]}


def test_a_failure_between_two_listings_confirms_nothing() -> None:
    world = World()
    names = some(6)
    world.see(listing(*names))
    world.see(listing())
    world.see(Failed("away"))
    assert world.names() == set(names)


def test_doubt_is_a_matter_of_each_source() -> None:
    world = World()
    mine, others = some(6), [f"w{number}.ini" for number in range(6)]
    world.see(listing(*mine))
    world.see(listing(*others), url=OTHER)
    assert world.see(listing()) == ["listing_doubted"]
    assert world.see(listing(), url=OTHER) == ["listing_doubted"]
    assert world.names() == set(mine)


# Refusals


def test_a_refusal_is_told_once_not_once_a_poll() -> None:
    world = World()
    assert world.see(listing("a.ini", bad="unreadable")) == [
        "vassal_added a.ini",
        "observation_rejected",
    ]
    assert world.see(listing("a.ini", bad="unreadable")) == []
    assert world.see(listing("a.ini", bad="too long")) == ["observation_rejected"]
    assert world.see(listing("a.ini")) == []
    assert world.see(listing("a.ini", bad="too long")) == ["observation_rejected"]


def test_a_told_refusal_is_told_once() -> None:
    world = World()
    assert world.see(Refused("bad", "r"), Refused("bad", "r")) == ["observation_rejected"]
    assert world.see(Refused("bad", "s")) == ["observation_rejected"]


def test_a_flood_of_refusals_is_not_remembered_for_ever() -> None:
    world = World()
    world.see(*(Refused(f"bad{number}", "r") for number in range(1001)))
    assert world.see(Refused("bad1000", "r")) == []  # one of the last thousand
    assert world.see(Refused("bad0", "r")) == ["observation_rejected"]


def test_what_cannot_be_read_any_more_is_not_gone() -> None:
    world = World()
    world.see(listing("a.ini", "b.ini"))
    refused = Listing({"b.ini": seen()}, {"a.ini": "permission denied"})
    assert world.see(refused) == ["observation_rejected"]
    assert world.names() == {"a.ini", "b.ini"}


# Sources of rows


def test_a_row_whose_config_changed_but_not_its_ts_is_not_reloaded() -> None:
    world = World(trusts_content=False)
    world.see(Listing({"a.ini": inline(b"one")}))
    sneaky = Listing({"a.ini": inline(b"two")})
    assert world.see(sneaky) == ["observation_rejected a.ini"]
    assert "its ts did not" in world.last[0].reason
    assert world.see(sneaky) == []
    assert world.fleet.vassals["a.ini"].spec.config == digest(b"one")
    assert world.see(Listing({"a.ini": inline(b"two", ts=2)})) == ["vassal_changed a.ini"]


def test_the_text_of_such_a_row_is_kept_for_when_its_ts_changes() -> None:
    world = World(trusts_content=False)
    world.see(Listing({"a.ini": inline(b"one")}))
    world.see(Listing({"a.ini": inline(b"two")}))
    world.see(Listing({"a.ini": Seen(inline(b"two", ts=2).spec)}))
    assert world.contents[digest(b"two")] == b"two"


def test_a_row_whose_owner_changed_is_changed_whatever_its_ts() -> None:
    world = World(trusts_content=False)
    world.see(Listing({"a.ini": inline(b"one")}))
    assert world.see(Listing({"a.ini": inline(b"two", uid=5)})) == ["vassal_changed a.ini"]


def test_a_file_is_changed_whatever_its_ts() -> None:
    world = World()
    world.see(Listing({"a.ini": seen(b"one")}))
    assert world.see(Listing({"a.ini": seen(b"two")})) == ["vassal_changed a.ini"]


@pytest.mark.parametrize(
    ("size", "fits"),
    [pytest.param(65535, True, id="65535"), pytest.param(65536, False, id="65536")],
)
def test_an_inline_config_must_fit_the_protocol(size: int, fits: bool) -> None:
    world = World()
    said = world.see(Listing({"a.ini": inline(b"#" * size)}))
    assert said == ["vassal_added a.ini" if fits else "observation_rejected a.ini"]
    if not fits:
        assert "65536" in world.last[0].reason
        assert world.see(Listing({"a.ini": inline(b"#" * size)})) == []


def test_a_file_may_be_longer_than_the_protocol_carries() -> None:
    world = World()
    assert world.see(Listing({"a.ini": seen(b"#" * 70_000)})) == ["vassal_added a.ini"]


def test_an_inline_config_that_grew_too_long_leaves_the_old_one_running() -> None:
    world = World()
    world.see(Listing({"a.ini": inline(b"one")}))
    long = Listing({"a.ini": inline(b"#" * 70_000, ts=2)})
    assert world.see(long, long) == ["observation_rejected a.ini"]
    assert world.names() == {"a.ini"}


class Looked(dict[str, Seen]):
    """Counts the vassals of a listing that are looked at."""

    looks = 0

    def items(self) -> Any:
        for each in super().items():
            self.looks += 1
            yield each


def test_a_listing_that_is_told_again_costs_nothing_until_something_happens() -> None:
    """A fleet at rest: its directories are as they were, so the same listing comes each time."""
    world = World()
    world.see(Listing({f"{at}.ini": seen(b"x", path=f"/v/{at}.ini") for at in range(100)}))
    looked = Looked({f"{at}.ini": Seen(seen(b"x", path=f"/v/{at}.ini").spec) for at in range(100)})
    again = Listing(looked)
    assert world.see(again, again, again) == []
    assert looked.looks == 100
    assert world.see(Vanished("7.ini", "gone")) == ["vassal_removed 7.ini"]
    assert world.see(again, again) == ["vassal_added 7.ini"]
    assert looked.looks == 300
    assert world.see(again, Listing(Looked(looked))) == []
    assert looked.looks == 300
    # Another one is looked at, though it says the same.
    assert world.see(Listing({})) == ["listing_doubted"]
    assert world.see(again) == []
    assert looked.looks == 400
