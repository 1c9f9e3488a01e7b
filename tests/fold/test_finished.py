"""Vassals whose work is over: a request for all passes them over, until they are another one."""

import pytest
from emperord.daemon.core.actions import Action

from .script import play

JOB = "command=x restart=no"
HELD = f"added a.ini {JOB}; spawned a.ini; exited a.ini code=0; operator stop a.ini;"


@pytest.mark.parametrize(
    ("then", "started"),
    [
        pytest.param("", False, id="nothing"),
        pytest.param(f"changed a.ini ts=2 {JOB}", True, id="a change"),
        pytest.param("changed a.ini ts=2 command=y", True, id="another program"),
        pytest.param(
            "changed a.ini ts=2 command=y preflight=x; passed a.ini", True, id="a checked change"
        ),
        pytest.param(
            "changed a.ini ts=2 command=y preflight=x; refused a.ini reason=no",
            False,
            id="a refused change",
        ),
        pytest.param("error a.ini ts=2 command=y from=a", True, id="an error about its change"),
    ],
)
def test_a_start_of_all_starts_one_that_is_held_if_it_has_changed(then: str, started: bool) -> None:
    script = play(f"daemon started; daemon ready; {HELD} {then}")
    before = len(script.actions)
    script.feed("operator start")
    assert any(each.do == "spawn" for each in script.actions[before:]) is started
    vassal = script.fleet.vassals["a.ini"]
    assert (vassal.held, vassal.done) == (not started, not started)


def test_a_change_that_waits_in_a_rollout_leaves_it_finished_until_its_turn() -> None:
    script = play(
        f"policy rollout=1; daemon started; daemon ready; added b.ini; accepting b.ini; {HELD}"
        "changed b.ini ts=2; changed a.ini ts=2 command=y"
    )
    vassal = script.fleet.vassals["a.ini"]
    assert (vassal.waits_in is not None, vassal.done) == (True, True)
    script.feed("accepting b.ini")
    assert (vassal.waits_in, vassal.done) == (None, False)


def test_a_refused_change_that_is_tried_again_is_not_finished() -> None:
    """Its new instance had failed. The old one ended well with the config from before."""
    old = "listen=:80 restart=no command=x"
    script = play(
        f"daemon started; daemon ready; added a.ini {old}; spawned a.ini;"
        f"changed a.ini ts=2 {old} reload=replace; exited a.ini code=1;"
        "exited a.ini attempt=1 code=0; operator stop a.ini"
    )
    vassal = script.fleet.vassals["a.ini"]
    assert (vassal.done, vassal.refused is not None) == (True, True)
    script.feed("operator retry a.ini")
    script.feed("operator start")
    assert script.actions[-1] == Action("spawn", "a.ini", len(script.events), "c2")
