"""The checker finds each broken promise, so the properties can fail."""

from typing import Any

import pytest
from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import TABLE
from emperord.journal.events import Event, Spec

from .checker import Violated
from .world import World

# A checker that never bites proves nothing.


def spawn_beside(fleet: Fleet, vassal: Any, event: Event, actions: list[Action]) -> None:
    vassal.attempt = event.seq
    actions.append(Action("spawn", vassal.name, event.seq, vassal.spec.config))


def forget_process(fleet: Fleet, vassal: Any, event: Event, actions: list[Action]) -> None:
    del fleet.vassals[vassal.name]


def lose_change(fleet: Fleet, vassal: Any, event: Event, actions: list[Action]) -> None:
    vassal.spec = event.body.spec  # type: ignore[attr-defined]


def overtake(fleet: Fleet, vassal: Any, event: Event, actions: list[Action]) -> None:
    vassal.slot, vassal.phase, vassal.deadline = True, "reloading", event.at + 1
    actions.append(Action("reload", vassal.name, vassal.attempt))


@pytest.mark.parametrize(
    ("kind", "phase", "defect"),
    [
        pytest.param("vassal_changed", "starting", spawn_beside, id="two of one"),
        pytest.param("vassal_removed", "starting", forget_process, id="an orphan"),
        pytest.param("vassal_changed", "accepting", lose_change, id="a lost change"),
        pytest.param("vassal_loyal", "accepting", overtake, id="a slot not counted"),
    ],
)
def test_the_checker_bites(
    monkeypatch: pytest.MonkeyPatch, kind: str, phase: str, defect: Any
) -> None:
    world = World()
    world.start_daemon(lambda: True, lambda: "alive")
    world.happen("daemon_ready")
    world.happen("vassal_added", "a.ini", "one", spec=Spec(1))
    process = next(iter(world.processes.values()))
    world.bear(process)
    if phase == "accepting":
        world.say(process, "vassal_accepting")
    monkeypatch.setitem(TABLE[kind], phase, defect)
    fields: dict[str, Any] = {"attempt": process.attempt} if kind == "vassal_loyal" else {}
    if kind == "vassal_changed":
        fields = {"spec": Spec(2)}
    with pytest.raises(Violated):
        world.happen(kind, "a.ini", "one", **fields)
