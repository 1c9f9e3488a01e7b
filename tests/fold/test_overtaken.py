"""Replacements that something overtakes: a turn of a rollout, another change, a new daemon."""

import pytest

from .script import Script, play

OLD = "listen=:80 reload=replace"
ROLLOUT = "policy rollout=1 rollout_failures=9 max_starting=4; daemon started; daemon ready"


def orders(script: Script, line: str) -> list[str]:
    """The orders that this line leads to."""
    return [each.removeprefix("=> ") for each in script.feed(line) if each.startswith("=> ")]


def reloaded(old: str) -> Script:
    """A vassal that an operator reloads, so that a new instance of the same config settles."""
    script = play(f"{ROLLOUT}; added b.ini command=y; spawned b.ini; added a.ini {old}")
    up = "spawned a.ini" if "command" in old else "accepting a.ini"
    for line in (up, "operator reload a.ini", up):
        script.feed(line)
    return script


CHANGES = [
    pytest.param("inline=yes", "inline=yes listen=:81 reload=replace", id="other addresses"),
    pytest.param("inline=yes", "inline=yes listen=:80", id="replaced no longer"),
    pytest.param("command=x", "command=x listen=:81 reload=replace", id="a program's addresses"),
    pytest.param("command=x", "command=x listen=:80", id="a program is replaced no longer"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
@pytest.mark.parametrize(
    ("other", "turn"),
    [
        pytest.param("", "", id="at once"),
        pytest.param("deadline b.ini", "rollout due", id="when the rollout is due"),
        pytest.param("deadline b.ini", "exited b.ini code=1", id="when another's has failed"),
    ],
)
def test_a_turn_ends_a_new_instance_of_the_former_config(
    old: str, new: str, other: str, turn: str
) -> None:
    """It would take over with that, and the change would be lost."""
    script = reloaded(f"{old} {OLD}")
    if other:
        script.feed("changed b.ini ts=2 command=y")
    told = orders(script, f"changed a.ini ts=2 {new}")
    if other:
        assert told == []
        script.feed(other)
        told = orders(script, turn)
    assert "retire a.ini #2" in told
    candidate = script.fleet.vassals["a.ini"].candidate
    assert candidate is not None
    assert (candidate.phase, candidate.reason) == ("ending", "another change came")
