"""Rollouts: sizes, turns that never end by themselves, and a second opinion that bites."""

from collections.abc import Callable
from typing import Any

import pytest
from emperord.daemon.core import rollout_moves
from emperord.journal.events import Spec
from emperord.journal.policy import Policy

from .checker import Violated
from .script import Script, play
from .world import Process, World

NAMES = ("a.ini", "b.ini", "c.ini")


@pytest.mark.parametrize(
    ("text", "vassals", "size"),
    [("1", 9, 1), ("20", 9, 20), ("50%", 9, 4), ("1%", 9, 1), ("100%", 9, 9), ("10%", 0, 1)],
)
def test_sizes(text: str, vassals: int, size: int) -> None:
    assert rollout_moves.size(text, vassals) == size


def process(world: World, name: str) -> Process:
    """The process of a vassal that has one."""
    (found,) = (each for each in world.processes.values() if each.vassal == name)
    return found


def changed(**policy: Any) -> World:
    """Three vassals that accept, of which one has its turn, and the others wait."""
    world = World()
    world.policy = Policy(rollout="1", **policy)
    world.start_daemon(lambda: True, lambda: "alive")
    world.happen("daemon_ready")
    for name in NAMES:
        world.happen("vassal_added", name, "one", spec=Spec(1, "c1"))
        world.bear(process(world, name))
        world.say(process(world, name), "vassal_accepting")
    for name in NAMES:
        world.happen("vassal_changed", name, "one", spec=Spec(2, "c2"))
    return world


def first_fails() -> World:
    """The same, and the first one dies of its change."""
    world = changed()
    world.end(process(world, "a.ini"), 1)
    return world


def too_many(*_: Any) -> str | None:
    """All that wait have their turn at once."""
    (rollout,) = _[0].rollouts.values()
    return next(iter(rollout.line), None)


def at_once(*_: Any) -> str:
    """It counts as done before it is up."""
    return ""


def no_failure(fleet: Any, rollout: Any, name: str, reason: str, event: Any) -> None:
    """A failure holds nothing back."""
    rollout.done[name] = None


@pytest.mark.parametrize(
    ("function", "defect"),
    [
        pytest.param("_next", too_many, id="more than the size"),
        pytest.param("_verdict", at_once, id="done too early"),
        pytest.param("_fail", no_failure, id="failures do not count"),
    ],
)
def test_the_second_opinion_bites(
    monkeypatch: pytest.MonkeyPatch, function: str, defect: Callable[..., Any]
) -> None:
    monkeypatch.setattr(rollout_moves, function, defect)
    with pytest.raises(Violated):
        first_fails()


def test_what_is_held_back_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait; a fold that goes on all the same is found out."""
    world = first_fails()
    (rollout,) = world.fleet.rollouts.values()
    assert (rollout.held, rollout.names) == (world.fleet.seq, ["b.ini", "c.ini"])
    assert {world.fleet.vassals[name].aim.config for name in rollout.names} == {"c1"}
    monkeypatch.setattr(rollout_moves, "_next", too_many)
    with pytest.raises(Violated, match="held back"):
        world.pass_deadline("a.ini")


BEGIN = """
policy rollout=1 rollout_failures=9 forgive=0 mercy=2 start_patience=5 {policy}
daemon started; daemon ready
added a.ini command=x uid=5 gid=5; spawned a.ini
added b.ini command=x uid=5 gid=5; spawned b.ini
changed a.ini ts=2 command=y ready=listen ready-timeout=1000s uid=5 gid=5
changed b.ini ts=2 command=y uid=5 gid=5
exited a.ini; spawned a.ini
"""


def looks(script: Script) -> int:
    """Let deadlines pass until the first turn is over; the seconds that it took."""
    began = script.now
    (rollout,) = script.fleet.rollouts.values()
    while "a.ini" in rollout.turning:
        vassal = script.fleet.vassals["a.ini"]
        at = rollout.deadline or 0
        script.feed("deadline a.ini" if (vassal.deadline or at + 1) <= at else "rollout due")
    return (script.now - began) // 10**9


@pytest.mark.parametrize(
    ("policy", "least", "most"),
    [
        pytest.param("tyrant=yes", 4, 20, id="a tenant has the patience of all"),
        pytest.param("", 900, 1100, id="else its ready-timeout"),
    ],
)
def test_one_that_is_never_ready_holds_up_no_rollout(policy: str, least: int, most: int) -> None:
    """Its turn ends as a failure, and the next one has its own."""
    script = play(BEGIN.format(policy=policy))
    assert least <= looks(script) <= most
    (rollout,) = script.fleet.rollouts.values()
    assert "a.ini" in rollout.failed
    assert script.fleet.vassals["b.ini"].waits_in is None


def test_a_tenant_cannot_ask_for_more_time() -> None:
    script = play(BEGIN.format(policy="tyrant=yes").replace("ready=listen", "ready=notify"))
    for _ in range(5):
        script.feed("extends a.ini seconds=80000")
    assert looks(script) <= 100


def test_sources_do_not_hold_up_each_other() -> None:
    """A rollout that is held back is that of its source."""
    script = play(
        "monitors a b; policy rollout=1; daemon started; daemon ready;"
        "added a.ini; accepting a.ini; added b.ini; accepting b.ini;"
        "added x.ini from=b; accepting x.ini; changed a.ini ts=2; changed b.ini ts=2"
    )
    script.feed("exited a.ini code=1")
    assert script.fleet.vassals["b.ini"].waits_in is not None
    script.feed("changed x.ini ts=2 from=b")
    assert script.fleet.vassals["x.ini"].waits_in is None


def test_the_events_of_many_changes_are_linear() -> None:
    """Two for each vassal, and looks that serve many of them."""
    script = play("policy rollout=10 max_starting=999 forgive=0; daemon started; daemon ready")
    names = [f"v{number}.ini" for number in range(60)]
    for name in names:
        script.feed(f"added {name}")
        script.feed(f"accepting {name}")
    before = len(script.events)
    for name in names:
        script.feed(f"changed {name} ts=2")
    while script.fleet.rollouts:
        (rollout,) = script.fleet.rollouts.values()
        assert len(rollout.turning) <= 10
        for name in list(rollout.turning):
            script.feed(f"accepting {name}")
        if not rollout.turning:
            script.feed("rollout due")
    assert len(script.events) - before < 2 * len(names) + 10


def test_one_that_listens_has_changed_when_its_next_start_will_use_the_change() -> None:
    world = World()
    world.policy = Policy(rollout="1")
    world.start_daemon(lambda: True, lambda: "alive")
    world.happen("daemon_ready")
    world.happen("vassal_added", "a.ini", "one", spec=Spec(1, "c1", socket=":80"))
    change = Spec(2, "c2", socket=":80", settings={"preflight": "check"})
    world.happen("vassal_changed", "a.ini", "one", spec=change)
    world.end_check("a.ini", passes=True)
    (rollout,) = world.fleet.rollouts.values()
    assert (list(rollout.done), world.fleet.vassals["a.ini"].phase) == (["a.ini"], "listening")
    world.happen("connection_waiting", "a.ini")
    assert world.fleet.vassals["a.ini"].running == change


def test_a_new_instance_of_the_same_config_that_fails_is_a_failure_of_the_rollout() -> None:
    """The old one serves on, with a copy of its text, as its file is the same."""
    world = World()
    world.policy = Policy(rollout="1", max_starting=4)
    spec = Spec(1, "c1", "/etc/x", settings={"listen": ":90", "reload": "replace"})
    world.start_daemon(lambda: True, lambda: "alive")
    for name in NAMES[:2]:
        world.happen("vassal_added", name, "one", spec=spec)
    for name in NAMES[:2]:
        world.happen("vassal_changed", name, "one", spec=spec)
    world.happen("daemon_ready")
    for name in ("b.ini", "a.ini"):
        world.bear(process(world, name))
        world.say(process(world, name), "vassal_accepting")
    vassal = world.fleet.vassals["b.ini"]  # its turn has come
    assert vassal.candidate is not None
    (second,) = (
        each
        for each in world.processes.values()
        if each.attempt != vassal.attempt and each.vassal == "b.ini"
    )
    world.end(second, 1)
    assert vassal.running is not None
    assert (vassal.running.copy, vassal.refused, vassal.phase) == (True, None, "accepting")
    told = "not replaced: its new instance ended: exit code 1"
    (rollout,) = world.fleet.rollouts.values()
    assert rollout.failed == {"b.ini": told}


def test_a_turn_that_is_due_may_be_put_off_twice() -> None:
    world = World()
    world.policy = Policy(rollout="1", tyrant=True)
    world.start_daemon(lambda: True, lambda: "alive")
    world.happen("daemon_ready")
    world.happen("vassal_added", "a.ini", "one", spec=Spec(1, "c1", uid=6, gid=5))
    world.bear(process(world, "a.ini"))
    world.say(process(world, "a.ini"), "vassal_accepting")
    change = Spec(2, "c2", uid=5, gid=5, settings={"listen": ":90"})
    for _ in range(2):  # of its user, so at once; then it waits, and has orders of before
        world.happen("vassal_changed", "a.ini", "one", spec=change)
    (gone,) = world.processes.values()
    world.processes.clear()
    fields = {"place": "reap", "reason": "KeyError", "gone": gone.attempt}
    world.happen("vassal_failed", "a.ini", None, **fields)
    (rollout,) = world.fleet.rollouts.values()
    assert rollout.deadline is not None
    assert (rollout.deadline < world.now, list(rollout.line)) == (True, ["a.ini"])
