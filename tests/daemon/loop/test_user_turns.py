"""The news of one user does not wait for thousands of another user's."""

from itertools import count
from pathlib import Path

import msgspec
import pytest
import trio
from emperord.daemon.loop.input_queue import (
    LARGE,
    MOST,
    SHARE,
    SHARE_TIME,
    InputQueue,
    ListingInput,
    SourceInput,
)
from emperord.monitors.contract import Listing, Refused, Seen, Touched, Vanished
from emperord.monitors.round_robin import round_robin
from hypothesis import given
from hypothesis import strategies as st
from support.observing import DIR, World, seen
from support.steered import Source, inline, steered

from .test_input_queue import A, Taken, begun, many

MANY = 10 * MOST
ALICE, BOB = 5001, 5002


# One listing


def tyrant() -> World:
    world = World()
    world.fleet.policy = msgspec.structs.replace(world.fleet.policy, tyrant=True)
    return world


def alices(number: int, ts: int = 1) -> dict[str, Seen]:
    return {f"alice{n}.ini": seen(ts=ts, uid=ALICE) for n in range(number)}


def test_users_of_a_listing_take_turns() -> None:
    """A new, a changed and a removed vassal of one, among thousands of another."""
    world = tyrant()
    world.see(Listing({"gone.ini": seen(uid=BOB), "bob.ini": seen(uid=BOB)}))
    bobs = {"bob.ini": seen(ts=2, uid=BOB), "new.ini": seen(uid=BOB)}
    events = world.see(Listing({**alices(300), **bobs}))
    assert [line for line in events[:7] if "alice" not in line] == [
        "vassal_changed bob.ini",
        "vassal_added new.ini",
        "vassal_removed gone.ini",
    ]
    assert len(events) == 303


def test_a_barred_vassal_has_a_turn_of_its_own() -> None:
    """A file that another user made can name bob, but is barred."""
    forged = {f"forged{n}.ini": seen(uid=BOB, bar="not his") for n in range(300)}
    events = tyrant().see(Listing({**forged, "bob.ini": seen(uid=BOB)}))
    assert events.index("vassal_added bob.ini") == 1


def test_without_tyrant_mode_a_listing_keeps_its_order() -> None:
    events = World().see(Listing({**alices(3), "bob.ini": seen(uid=BOB)}))
    assert [line.split()[1] for line in events] == [*alices(3), "bob.ini"]


@given(st.lists(st.integers(0, 5), max_size=5))
def test_turns(sizes: list[int]) -> None:
    """Each line keeps its order, and none is ahead of another by more than an item."""
    lines = [[(line, number) for number in range(size)] for line, size in enumerate(sizes)]
    taken = list(round_robin(lines))
    assert sorted(taken) == [item for line in lines for item in line]
    assert [number for _, number in taken] == sorted(number for _, number in taken)


# News of single vassals, and a listing that is being taken

NEWS = {
    "a change": (Touched("v7.ini", seen(ts=9)), 9),
    "a new one": (Touched("other.ini", seen(ts=9)), 9),
    "an end": (Vanished("v7.ini"), None),
}


@pytest.mark.parametrize(("news", "ts"), NEWS.values(), ids=NEWS)
def test_newer_news_holds(news: Touched | Vanished, ts: int | None) -> None:
    """It comes when the listing is known, and before the vassal's place in it."""
    world = World()
    names = [f"v{number}.ini" for number in range(300)]
    world.see(Listing({"v7.ini": seen(), **({} if ts is None else {news.name: seen()})}))
    first = iter([True])

    def between() -> None:
        if next(first, False):
            world.see(news)

    # In the listing, the vassal comes last or not at all.
    listed = {name: seen(ts=2) for name in names if name != "v7.ini"}
    late = {"v7.ini": seen(ts=2)} if news.name == "v7.ini" else {}
    world.see_in_parts(Listing({**listed, **late}), DIR, between)
    vassal = world.fleet.vassals.get(news.name)
    assert (vassal.spec.ts if vassal is not None and vassal.wanted else None) == ts
    # The next listing counts again.
    world.see(Listing({name: seen(ts=3) for name in names}))
    assert world.fleet.vassals["v7.ini"].spec.ts == 3


def test_a_newer_rejection_holds() -> None:
    world = World()
    first = iter([True])

    def between() -> None:
        if next(first, False):
            world.see(Touched("mended.ini", seen()), Refused("v7.ini", "new"))

    refused = {"mended.ini": "old", "v7.ini": "old"}
    names = {f"{number}.ini": seen() for number in range(300)}
    parts = world.see_in_parts(Listing(names, refused), DIR, between)
    assert len([line for part in parts for line in part]) == len(names)


def listed(taken: Taken, name: str, number: int, url: str = A) -> None:
    taken.put(ListingInput(url, many(name, number)))


def single(taken: Taken, name: str, number: int, url: str = A) -> None:
    taken.put(SourceInput(url, many(name, number), single=True))


def test_single_news_overtakes_a_listing_that_has_begun() -> None:
    taken = Taken()
    listed(taken, "a", 2 * SHARE + 1)
    single(taken, "b", SHARE + 1)
    single(taken, "c", 1)
    rest = taken.all()
    # In its first pass the listing has begun only after its share was taken.
    assert [set(each) for each in rest] == [{"a", "b"}, {"a", "b", "c"}, {"a"}]
    assert rest[1].endswith("bc")


def test_a_failure_and_a_listing_do_not_overtake() -> None:
    taken = Taken()
    listed(taken, "a", 2 * SHARE)
    taken.put(SourceInput(A, many("b", 1)))
    listed(taken, "c", 1)
    single(taken, "d", 1)
    assert "".join(taken.all()).endswith("abcd")


def test_single_news_waits_for_a_listing_that_has_not_begun() -> None:
    """It would find none to note its names in, and the listing is older."""
    taken = Taken()
    listed(taken, "a", 2 * SHARE)
    listed(taken, "c", SHARE + 1)
    single(taken, "d", 1)
    first, second, _ = taken.all()
    assert "d" not in first
    assert second.endswith("cd")


async def test_a_change_does_not_wait_for_a_long_listing_of_its_source(tmp_path: Path) -> None:
    source = Source(A)
    async with steered(tmp_path, source, record_budget=0) as daemon:
        await source.lists(it=inline("it", 1, bar="not to run"))
        begin = daemon.fleet.seq
        async with trio.open_nursery() as nursery:
            rows = {f"v{n}": inline(f"{n}", 1, bar="not to run") for n in range(MANY)}
            rows["it"] = inline("it", 1, bar="not to run")
            nursery.start_soon(lambda: source.lists(**rows))
            told = await begun(daemon, begin)
            await source.says(Touched("it.ini", inline("new", 2, bar="not to run")))
            assert daemon.fleet.seq - told <= MOST + 5 * SHARE
        assert daemon.fleet.vassals["it.ini"].spec.ts == 2
        assert len(daemon.fleet.vassals) == MANY + 1


# How long a share is


def test_a_share_is_over_after_its_time() -> None:
    clock = count(step=SHARE_TIME / 2)
    taken = Taken()
    taken.input_queue = InputQueue(Taken._read, lambda: float(next(clock)))
    taken.put(many("a", 5))
    assert max(map(len, taken.all())) < 4


def test_a_share_is_over_when_its_texts_are_large() -> None:
    """Each input gives one event at least."""
    taken = Taken()
    taken.input_queue = InputQueue(Taken._read, size=lambda: LARGE)
    taken.put(many("a", 2))
    taken.put(many("b", 1))
    assert taken.all() == ["ab", "a"]


async def test_large_texts_are_recorded_in_several_turns(tmp_path: Path) -> None:
    source = Source(A)
    text = "#" * 60_000
    async with steered(tmp_path, source, record_budget=0) as daemon:
        sizes: list[int] = []
        append = daemon.journal.append

        def noted(rows: object, configs: dict[str, bytes], *rest: object) -> None:
            sizes.append(sum(map(len, configs.values())))
            append(rows, configs, *rest)  # type: ignore[arg-type]

        daemon.journal.append = noted  # type: ignore[method-assign, assignment]
        rows = {f"v{n}": inline(f"{n}{text}", 1, bar="not to run") for n in range(100)}
        await source.lists(**rows)
        assert sum(sizes) > 100 * len(text)
        assert max(sizes) <= 2 * LARGE
