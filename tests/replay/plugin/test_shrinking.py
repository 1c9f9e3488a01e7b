"""Shrinking: the smallest history that still has a divergence, and no other one."""

import msgspec
import pytest
from emperord.daemon.core.fleet import to_json
from emperord.replay.histories.check import check
from emperord.replay.histories.folding import Folding
from emperord.replay.histories.history import History
from emperord.replay.testing import BareFleet
from emperord.replay.testing.shrinking import least, shrunk

from .conftest import PROGRAM, history_of, throttled


def with_another_phase(history: History, seq: int, name: str = "shop.ini") -> History:
    """The history with another phase of a vassal expected behind an event."""
    steps = list(history.steps)
    (place,) = (place for place, step in enumerate(steps) if step.event.seq == seq)
    expected = steps[place].expectations
    assert name in [each.vassal for each in expected]
    wrong = tuple(
        msgspec.structs.replace(each, phase="barred") if each.vassal == name else each
        for each in expected
    )
    steps[place] = msgspec.structs.replace(steps[place], expectations=wrong)
    return history.replaced(steps=tuple(steps))


def from_the_middle(history: History, events: int) -> History:
    """The history that begins behind so many events."""
    folding = Folding(history.fleet())
    for step in history.steps[:events]:
        folding.take(step.event)
    return history.replaced(start=to_json(folding.fleet), steps=history.steps[events:])


def seqs(history: History) -> list[int]:
    return [step.event.seq for step in history.steps]


def test_other_vassals_and_later_events_are_left_out() -> None:
    wrong = with_another_phase(throttled(others=20), 45)
    outcome = check(wrong)
    assert (outcome.kind, outcome.seq) == ("diverged", 45)
    smallest = shrunk(wrong, outcome)
    assert seqs(smallest) == [1, 2, 43, 45]
    again = check(smallest)
    assert (again.seq, again.vassal, again.field) == (45, "shop.ini", outcome.field)


def test_vassals_of_the_start_are_left_out_too() -> None:
    wrong = with_another_phase(from_the_middle(throttled(), 10), 11)
    smallest = shrunk(wrong, check(wrong))
    assert seqs(smallest) == [11]
    assert list(smallest.fleet().vassals) == ["shop.ini"]


def test_the_vassals_that_a_divergence_needs_stay() -> None:
    """``b.ini`` starts when ``a.ini`` gives its slot back; ``c.ini`` has no part in that."""
    fleet = BareFleet()
    fleet.start(max_starting=1)
    for name in ("a.ini", "b.ini", "c.ini"):
        fleet.added(name, "[uwsgi]\n")
    fleet.feed("spawned", "a.ini")
    fleet.feed("vassal_accepting", "a.ini")
    assert fleet.orders == ["spawn b.ini"]
    wrong = with_another_phase(history_of(fleet), 7, "b.ini")
    outcome = check(wrong)
    smallest = shrunk(wrong, outcome)
    assert seqs(smallest) == [1, 2, 3, 4, 7]
    assert check(smallest).computed == outcome.computed


def test_long_histories_take_no_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emperord.replay.testing.shrinking.MOST_FOLDED", 1)
    wrong = with_another_phase(throttled(others=20), 45)
    smallest = shrunk(wrong, check(wrong))
    assert len(smallest.steps) == 45  # cut behind the event, and no more
    assert check(smallest).kind == "diverged"


@pytest.mark.parametrize(
    "needed",
    [[], [0], [9], [0, 9], [2, 3, 7], list(range(10))],
    ids=lambda needed: ",".join(map(str, needed)) or "none",
)
def test_what_is_needed_is_left(needed: list[int]) -> None:
    kept = least(list(range(10)), lambda parts: set(needed) <= set(parts), [10_000])
    assert kept == needed


def test_texts_are_left_out() -> None:
    wrong = with_another_phase(throttled(), 11)
    assert wrong.texts
    assert PROGRAM.encode() in wrong.texts.values()
    assert shrunk(wrong, check(wrong)).texts == {}
