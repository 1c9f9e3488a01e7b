"""Rollouts, as each command of the replay tells them."""

import json
from pathlib import Path

import pytest
from emperord.replay.testing import BareFleet
from journal_builder import Builder
from support.told_stories import Story, journal, said

NAMES = ("a.ini", "b.ini", "c.ini")


def begin(b: Builder) -> None:
    """Three changes, one at a time."""
    b.start(rollout="1")
    for name in NAMES:
        b.up(name, b"one\n")
    for name in NAMES:
        b.changed(name, b"two\n")  # 12, 13, 14


def held_back(b: Builder) -> None:
    begin(b)
    b.accepting("a.ini")  # 15
    b.exited("b.ini", code=1)  # 16


def continued(b: Builder) -> None:
    held_back(b)
    b.event("operator_requested", request="rollout_continue")
    b.accepting("c.ini")  # 18


def aborted(b: Builder) -> None:
    begin(b)
    b.event("operator_requested", request="rollout_abort")  # 15
    b.accepting("a.ini")  # 16


def changed_again(b: Builder) -> None:
    held_back(b)
    b.changed("c.ini", b"three\n")  # 17
    b.accepting("c.ini")  # 18


# The outcomes of the changes.
STORIES: dict[Story, list[tuple[int, str, int | None]]] = {
    begin: [(12, "pending", None), (13, "pending", None), (14, "pending", None)],
    held_back: [(12, "accepting", 15), (13, "died", 16), (14, "held", 16)],
    continued: [(12, "accepting", 15), (13, "died", 16), (14, "accepting", 18)],
    aborted: [(12, "accepting", 16), (13, "held", 15), (14, "held", 15)],
    changed_again: [
        (12, "accepting", 15), (13, "died", 16), (14, "held", 16), (17, "accepting", 18),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("story", "outcomes"), STORIES.items(), ids=[story.__name__ for story in STORIES]
)
def test_outcomes(
    tmp_path: Path, story: Story, outcomes: list[tuple[int, str, int | None]]
) -> None:
    """The daemon stores the same as a fold of all events finds."""
    path = journal(tmp_path, story)
    for full in ((), ("--full",)):
        found = json.loads(said(path, "history", *full, "--json"))
        changes = [(e["seq"], e["outcome"], e["outcome_seq"]) for e in found[3:]]
        assert changes == outcomes
    said(path, "verify")


def test_state_and_why(tmp_path: Path) -> None:
    path = journal(tmp_path, held_back)
    told = "held back: 1 of 3 failed (rollout 12)"
    assert told in said(path, "state")
    assert told in said(path, "why", "c.ini")
    assert "its turn in rollout 12 (1 of 3 done) -> reload" in said(path, "why", "b.ini")
    vassals = {each["name"]: each for each in json.loads(said(path, "state", "--json"))["vassals"]}
    part = {"seq": 12, "state": "held", "done": 1, "failed": 1, "total": 3}
    assert vassals["c.ini"]["rollout"] == part
    assert vassals["a.ini"]["rollout"] is None
    early = said(path, "state", "--seq", "14")
    assert "waits for its turn in rollout 12 (0 of 3 done)" in early


def test_a_history_is_redacted(tmp_path: Path) -> None:
    """It begins in the midst of a rollout, which has names and reasons."""
    path = journal(tmp_path, held_back)
    text = said(path, "export", "--incident", "16", "--redact")
    assert "rollouts" in text
    assert not [secret for secret in (*NAMES, "exit code 1", "/etc/vassals") if secret in text]


def test_simulate(tmp_path: Path) -> None:
    """Other times decide about a rollout as well: its deadlines are those of the model."""
    path = journal(tmp_path, held_back)
    told = json.loads(said(path, "simulate", "--set", "throttle=5000", "--json"))
    assert told["totals"]["starts"] == {"recorded": 3, "modelled": 3, "set": 3}


def test_time_passes_for_a_bare_fleet() -> None:
    """Programs that say nothing have their turns a second apart."""
    fleet = BareFleet()
    fleet.start(rollout="1")
    for name in NAMES[:2]:
        fleet.added(name, "[emperor]\ncommand = one\n")
        fleet.feed("spawned", name)
    for name in NAMES[:2]:
        fleet.changed(name, "[emperor]\ncommand = two\n")
    assert fleet.vassals["b.ini"].waits_in is not None
    fleet.feed("exited", "a.ini", code=0)
    fleet.feed("spawned", "a.ini")
    fleet.at("+2s")
    assert fleet.vassals["b.ini"].waits_in is None
