"""A reading of the same text that changed: held back while a vassal runs, until a start of it."""

from typing import Any

import pytest
from emperord.daemon.core.draft import Draft
from emperord.journal.events import Exited, OperatorRequested, SpawnFailed
from emperord.monitors.contract import Listing, Seen
from support.observing import DIR, World, seen

COMMAND = {"command": "sleep 1"}
READINGS: dict[str, tuple[dict[str, Any], str]] = {
    "a flaw": ({"bar": "[emperor] cannot be read"}, "([emperor] cannot be read)"),
    "settings": ({"settings": {**COMMAND, "user": "x", "nofile": "9"}}, "([emperor] nofile, user)"),
    "none": ({}, "([emperor] command)"),
    "beside defaults": (
        {"settings": {"umask": "077", "nofile": "9"}, "own_settings": {}},
        "([emperor] command; of --vassal-defaults wait as well: nofile, umask)",
    ),
}


@pytest.mark.parametrize(("more", "says"), READINGS.values(), ids=READINGS)
def test_the_same_text_that_is_read_otherwise_ends_nothing(more: dict[str, Any], says: str) -> None:
    """As by a new version. A vassal that runs is told as rejected, until it ends or changes."""
    world = World()
    world.see(Listing({"a.ini": seen(settings=COMMAND)}))
    assert world.fleet.vassals["a.ini"].phase == "starting"
    otherwise = Listing({"a.ini": seen(**more)})
    assert world.see(otherwise) == ["observation_rejected a.ini"]
    assert says in world.last[0].reason
    assert world.see(otherwise, Listing({"a.ini": seen(**more)})) == []
    assert world.fleet.vassals["a.ini"].spec.settings == COMMAND
    assert world.see(Listing({"a.ini": seen(ts=2, **more)})) == ["vassal_changed a.ini"]
    assert world.last[0].change == "ts,settings"


def _asked(request: Any, vassal: str | None = "a.ini") -> Draft:
    return Draft("operator_requested", OperatorRequested(request=request), None, vassal)


def _ended(attempt: int) -> Draft:
    return Draft("exited", Exited(attempt=attempt, code=1), None, "a.ini")


ATTEMPT = 3  # of the vassal of _held_back
END = _ended(ATTEMPT)


def _held_back() -> World:
    """A world whose vassal runs on by its former reading."""
    world = World()
    world.see(Listing({"a.ini": seen(settings=COMMAND)}))
    assert world.fleet.vassals["a.ini"].attempt == ATTEMPT
    assert world.see(Listing({"a.ini": seen(bar="[emperor] x")})) == ["observation_rejected a.ini"]
    return world


FAILED_SPAWN = Draft(
    "spawn_failed", SpawnFailed(attempt=ATTEMPT, reason="x", fault="exec"), None, "a.ini"
)
LEADS_TO_A_START: dict[str, list[Draft]] = {
    "its end": [END],
    "a spawn that fails": [FAILED_SPAWN],
    "a restart": [_asked("restart")],
    "a reload": [_asked("reload")],
    "a restart of all": [_asked("restart", None)],
    "the end after a stop": [_asked("stop"), END],
}


@pytest.mark.parametrize("drafts", LEADS_TO_A_START.values(), ids=LEADS_TO_A_START)
def test_the_next_start_is_by_the_new_reading(drafts: list[Draft]) -> None:
    """Its change comes before the event, because the fold would order a start at once."""
    world = _held_back()
    *others, last = (each.kind for each in drafts)
    assert world.fold(drafts) == [*others, "vassal_changed", last]
    vassal = world.fleet.vassals["a.ini"]
    assert vassal.spec.bar == "[emperor] x"
    assert not world.observer.rejects(DIR)
    assert world.fold([_asked("restart")]) == ["operator_requested"]  # it is told once


LEADS_TO_NONE: dict[str, Draft] = {
    "the end of a former attempt": _ended(ATTEMPT - 1),
    "a start of what runs": _asked("start"),
    "a stop": _asked("stop"),
    "reopened logs": _asked("reopen", None),
    "a restart of another one": _asked("restart", "b.ini"),
}


@pytest.mark.parametrize("draft", LEADS_TO_NONE.values(), ids=LEADS_TO_NONE)
def test_it_is_held_while_no_start_follows(draft: Draft) -> None:
    world = _held_back()
    assert world.fold([draft]) == [draft.kind]
    assert world.fleet.vassals["a.ini"].spec.settings == COMMAND
    assert world.fold([END]) == ["vassal_changed", "exited"]


def test_it_is_still_held_if_the_turn_is_given_up() -> None:
    world = _held_back()
    assert world.observer.held.due(world.fleet, _asked("restart"))
    assert world.fold([END]) == ["vassal_changed", "exited"]


NEWER: dict[str, Seen] = {
    "as it was": seen(settings=COMMAND),
    "another ts": seen(ts=2, settings=COMMAND),
}


@pytest.mark.parametrize("now", NEWER.values(), ids=NEWER)
def test_what_its_source_takes_back_is_not_held(now: Seen) -> None:
    world = _held_back()
    world.see(Listing({"a.ini": now}))
    assert world.fold([END]) == ["exited"]


def test_one_with_a_change_under_way_is_not_held() -> None:
    """Its reload could be a start, without an end before it."""
    world = World()
    world.see(Listing({"a.ini": seen(settings=COMMAND)}))
    world.fold([_asked("reload")])
    assert world.fleet.vassals["a.ini"].due
    assert world.see(Listing({"a.ini": seen(bar="[emperor] x")})) == ["vassal_changed a.ini"]


OTHER_SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "defaults": ({}, {"settings": {"umask": "077", **COMMAND}, "own_settings": COMMAND}),
    "defaults no longer": (
        {"settings": {"umask": "077", **COMMAND}, "own_settings": COMMAND},
        {},
    ),
    "a bar that no text is to blame for": ({}, {"settings": {}, "bar": "no such address"}),
    "a flaw no longer": ({"settings": {}, "bar": "[emperor] x"}, {}),
}


@pytest.mark.parametrize(("old", "new"), OTHER_SETTINGS.values(), ids=OTHER_SETTINGS)
def test_other_settings_of_the_same_text_count(old: dict[str, Any], new: dict[str, Any]) -> None:
    world = World()
    world.see(Listing({"a.ini": seen(**{"settings": COMMAND, **old})}))
    changed = Listing({"a.ini": seen(**{"settings": COMMAND, **new})})
    assert world.see(changed) == ["vassal_changed a.ini"]
    assert world.last[0].change == "settings"
