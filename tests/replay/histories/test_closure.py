"""A history of a few vassals has those that decide with them, and no others."""

from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.journal.events import Spec
from emperord.journal.reading import open_journal
from emperord.replay.histories.check import check
from emperord.replay.histories.closure import closed_over, reduced
from emperord.replay.histories.history import History
from emperord.replay.histories.recorded import recorded, tidied
from journal_builder import Builder, building

ADDRESS = "/run/web.socket"
Build = Callable[[Builder], None]


def history(folder: Path, builds: Build, after: int = 0) -> History:
    path = str(folder / "journal.db")
    with building(path) as builder:
        builds(builder)
    with open_journal(path) as reader:
        return recorded(reader, after, reader.head.seq)


def one_slot(builder: Builder) -> None:
    """b waits until a accepts, and c until b does. d came and went before."""
    builder.start(max_starting=1)
    builder.up("d.ini")
    for name in ("a.ini", "b.ini", "c.ini"):
        builder.added(name)
    for name in ("a.ini", "b.ini", "c.ini"):
        builder.spawned(name)
        builder.accepting(name)


def many_slots(builder: Builder) -> None:
    builder.start(max_starting=9)
    for name in ("a.ini", "b.ini", "c.ini", "d.ini"):
        builder.up(name)


def one_address(builder: Builder) -> None:
    """b wants the address that a has, and gets it when a is gone."""
    builder.start()
    builder.added("a.ini", socket=ADDRESS)
    builder.added("b.ini", socket=ADDRESS)
    builder.event(
        "listen_failed", "b.ini", address=ADDRESS, reason="a.ini has it", fault="address",
        holder="a.ini", held_as=ADDRESS,
    )  # fmt: skip
    builder.up("c.ini")
    builder.removed("a.ini")


def one_budget(builder: Builder) -> None:
    """In tyrant mode a.ini and b.ini pay together: b's death waits longer because of a's config."""
    builder.start(tyrant=True, record_budget=10_000)
    for name, uid, cost in (("a.ini", 1000, 15_000), ("b.ini", 1000, 0), ("c.ini", 1001, 0)):
        builder.event(
            "vassal_added", name, "dir:///etc/vassals", cost=cost,
            spec=Spec(ts=1, uid=uid, gid=uid),
        )  # fmt: skip
        builder.spawned(name)
    builder.exited("b.ini", code=1)
    builder.exited("c.ini", code=1)


@pytest.mark.parametrize(
    ("builds", "name", "kept"),
    [
        pytest.param(one_slot, "c.ini", ["a.ini", "b.ini", "c.ini"], id="slot"),
        pytest.param(one_slot, "d.ini", ["d.ini"], id="before-the-slot"),
        pytest.param(many_slots, "c.ini", ["c.ini"], id="alone"),
        pytest.param(one_address, "b.ini", ["a.ini", "b.ini"], id="address"),
        pytest.param(one_address, "c.ini", ["c.ini"], id="no-address"),
        pytest.param(one_budget, "b.ini", ["a.ini", "b.ini"], id="budget"),
        pytest.param(one_budget, "c.ini", ["c.ini"], id="another-budget"),
    ],
)
def test_the_vassals_that_decide_with_it_stay(
    tmp_path: Path, builds: Build, name: str, kept: list[str]
) -> None:
    whole = history(tmp_path, builds)
    assert sorted(closed_over(whole, [name])) == kept
    part = tidied(reduced(whole, [name]))
    assert {step.event.vassal for step in part.steps} - {None} == set(kept)
    assert check(part).same


def test_the_header_says_how_many_are_left_out(tmp_path: Path) -> None:
    part = reduced(history(tmp_path, many_slots), ["c.ini"])
    assert part.header.left_out == (
        "3 other vassals, 9 events: without them, all is decided the same",
    )


def test_a_fleet_at_the_beginning_has_only_their_part(tmp_path: Path) -> None:
    """When a.ini has the slot and b.ini and c.ini wait, the history of all three begins."""
    part = tidied(reduced(history(tmp_path, one_slot, after=8), ["c.ini"]))
    fleet = part.fleet()
    assert sorted(fleet.vassals) == ["a.ini", "b.ini", "c.ini"]
    assert (fleet.starting, sum(fleet.held.values())) == (1, 1)
    assert check(part).same


def test_texts_of_those_that_are_left_out_are_not_told(tmp_path: Path) -> None:
    def two_texts(builder: Builder) -> None:
        builder.start()
        builder.up("a.ini", b"[uwsgi]\nname = a\n")
        builder.up("b.ini", b"[uwsgi]\nname = b\n")

    part = tidied(reduced(history(tmp_path, two_texts), ["a.ini"]))
    assert list(part.texts.values()) == [b"[uwsgi]\nname = a\n"]
