"""The table is total, and each cell does what its name says: something, or nothing."""

from collections import defaultdict
from functools import cache
from typing import Final, get_args

import pytest
from emperord.daemon.core.fleet import PHASES, Phase
from emperord.daemon.core.fold import FLEET_TABLE, TABLE
from emperord.daemon.core.steps import ignore
from emperord.journal.events import KINDS, Request

from .script import play
from .situations import (
    SITUATIONS,
    TRIGGERS,
    WITH_SECOND,
    Outcome,
    Trigger,
    body_of,
    row_of,
    try_all,
)

CELLS: Final = [(row, phase) for row in TABLE for phase in PHASES]
RELOAD: Final = next(each for each in TRIGGERS if row_of(each) == "reload")
ids = "-".join


@cache
def outcomes(phase: Phase) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in try_all(phase):
        found[row_of(outcome.trigger)].append(outcome)
    if phase in WITH_SECOND:  # a reload of it has an effect only there
        found["reload"] += try_all(phase, (RELOAD,), (WITH_SECOND[phase],))
    return found


def test_every_kind_is_decided_in_one_place() -> None:
    requests = set(get_args(Request))
    assert TABLE.keys() | FLEET_TABLE.keys() == KINDS.keys() | requests
    assert not TABLE.keys() & FLEET_TABLE.keys()
    assert not requests & KINDS.keys()
    assert requests <= TABLE.keys()


@pytest.mark.parametrize("row", TABLE)
def test_every_phase_has_a_cell(row: str) -> None:
    assert TABLE[row].keys() == set(PHASES)


def test_phases_are_those_of_the_type() -> None:
    assert get_args(Phase) == PHASES


@pytest.mark.parametrize(
    ("phase", "text"),
    [*((phase, text) for phase in PHASES for text in SITUATIONS[phase]), *WITH_SECOND.items()],
)
def test_situations_are_what_they_say(phase: Phase, text: str) -> None:
    assert play(text).fleet.vassals["foo.ini"].phase == phase


@pytest.mark.parametrize(("row", "phase"), CELLS, ids=map(ids, CELLS))
def test_a_cell_does_something_exactly_if_it_is_not_ignore(row: str, phase: Phase) -> None:
    changed = [outcome.changed for outcome in outcomes(phase)[row]]
    assert changed
    assert any(changed) == (TABLE[row][phase] is not ignore)


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger.label)
def test_a_stranger_is_news_only_when_added(trigger: Trigger) -> None:
    script = play("daemon started; daemon ready")
    actions = script.happen(trigger.kind, "stranger.ini", "a", body_of(trigger, None))
    added = trigger.kind == "vassal_added"
    assert ("stranger.ini" in script.fleet.vassals) == added
    assert added or not actions
