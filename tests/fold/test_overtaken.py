"""Replacements that something overtakes: a turn of a rollout, another change, a new daemon."""

import pytest
from emperord.daemon.core import slots

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


def test_no_third_instance_is_started_beside_two() -> None:
    """The reload waits for a slot, and the new instance that is ended gives its slot back."""
    script = play(
        "policy max_starting=1; daemon started; daemon ready; added a.ini listen=:80;"
        f"accepting a.ini; changed a.ini ts=2 {OLD}; operator reload a.ini"
    )
    assert orders(script, f"changed a.ini ts=3 {OLD}") == ["retire a.ini #2"]
    assert orders(script, "exited a.ini") == ["spawn a.ini #3 with c3"]


@pytest.mark.parametrize(
    ("most", "program", "up", "then"),
    [
        pytest.param(2, "", "accepting a.ini", "accepting a.ini", id="uWSGI"),
        pytest.param(1, "command=x", "spawned a.ini", "accepting b.ini", id="a program"),
    ],
)
def test_a_new_daemon_replaces_no_vassal_before_it_is_ready(
    most: int, program: str, up: str, then: str
) -> None:
    """The vassal was reloading in place, and its last change asks for a replacement.

    The order to reload may not have arrived, so it is given again.
    """
    script = play(
        f"policy max_starting={most}; daemon started; daemon ready;"
        f"added a.ini {program} listen=:80;"
        f"{up}; operator reload a.ini; added b.ini; changed a.ini ts=2 {program} {OLD};"
        "daemon started"
    )
    assert orders(script, "adopted a.ini") == ["reload a.ini #1 with c1"]
    assert orders(script, "daemon ready") == []
    assert orders(script, then) == ["spawn a.ini #2 with c2"]


@pytest.mark.parametrize(
    ("program", "up", "then", "orders_of_it"),
    [
        pytest.param("inline=yes", "accepting", "reload=none", ["stop a.ini #1"], id="next start"),
        pytest.param(
            "inline=yes", "accepting", "reload=none listen=:80", ["listen a.ini"], id="addresses"
        ),
        pytest.param("", "accepting", "reload=none", ["reload a.ini #1 with c2"], id="a file"),
        pytest.param(
            "inline=yes command=x",
            "spawned",
            "reload=none",
            ["reload a.ini #1 with c2"],
            id="a program",
        ),
    ],
)
def test_one_that_a_new_daemon_cannot_send_its_config_is_not_told_to_reload(
    program: str, up: str, then: str, orders_of_it: list[str]
) -> None:
    """It was reloading, its last change waits for its next start, and its socket was lost."""
    script = play(
        f"daemon started; daemon ready; added a.ini {program}; {up} a.ini;"
        f"changed a.ini ts=2 {program}; changed a.ini ts=3 {program} {then}; daemon started"
    )
    assert orders(script, "adopted a.ini control=no") == orders_of_it


def test_a_restart_of_one_whose_old_instance_died_is_with_the_wanted_config() -> None:
    """The restart ends the new instance. So nothing else brings the wanted config to it."""
    script = play(
        "daemon started; daemon ready; added a.ini listen=:80; accepting a.ini;"
        f"changed a.ini ts=2 {OLD}; accepting a.ini; exited a.ini attempt=1 code=1"
    )
    vassal = script.fleet.vassals["a.ini"]
    assert vassal.phase == "throttled"
    assert orders(script, "operator restart a.ini") == [
        "retire a.ini #2",
        "spawn a.ini #3 with c2",
    ]
    assert vassal.running == vassal.spec


def test_addresses_that_a_new_daemon_opens_again_leave_no_reload_in_line() -> None:
    script = play(
        "policy max_starting=1; daemon started; daemon ready; added a.ini command=x listen=:80;"
        "spawned a.ini; added b.ini; changed a.ini ts=2 command=x listen=:81 reload=replace;"
        "operator reload a.ini; daemon started"
    )
    assert slots.waits(script.fleet)
    assert orders(script, "adopted a.ini") == ["listen a.ini"]
    assert not slots.waits(script.fleet)


def test_a_new_instance_that_a_new_daemon_cannot_hear_is_tried_again() -> None:
    """Also where the old one has died, and is being started again with its former config."""
    script = play(
        "policy max_starting=4; daemon started; daemon ready; added a.ini listen=:80;"
        f"accepting a.ini; changed a.ini ts=2 {OLD}; exited a.ini attempt=1 code=1; deadline a.ini;"
        "daemon started; adopted a.ini attempt=2 control=no; adopted a.ini; daemon ready;"
        "accepting a.ini"
    )
    assert orders(script, "exited a.ini attempt=2") == ["spawn a.ini #4 with c2"]


def test_a_start_that_hangs_is_ended_when_the_new_instance_of_the_change_is_lost() -> None:
    """The old instance died, and its next start with the former config hangs."""
    script = play(
        f"daemon started; daemon ready; added a.ini listen=:80 {OLD}; accepting a.ini;"
        f"changed a.ini ts=2 listen=:80 {OLD}; exited a.ini attempt=1 code=1; deadline a.ini;"
        "deadline a.ini; daemon started"
    )
    assert orders(script, "exited a.ini attempt=2 away=yes") == ["kill a.ini #3"]
    script.feed("adopted a.ini")
    script.feed("daemon ready")
    assert orders(script, "exited a.ini") == ["spawn a.ini #4 with c2"]


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param("failed a.ini attempt=2 fault=interrupted", id="was not tried"),
        pytest.param("spawned a.ini attempt=2; exited a.ini attempt=2 away=yes", id="ended"),
    ],
)
def test_a_start_that_has_more_time_goes_on_when_a_new_instance_is_lost(lost: str) -> None:
    """The change has its turn when the start is over."""
    program = f"command=x ready=notify {OLD}"
    script = play(
        f"daemon started; daemon ready; added a.ini {program}; spawned a.ini; accepting a.ini;"
        f"changed a.ini ts=2 {program}; exited a.ini attempt=1 code=1; deadline a.ini;"
        "spawned a.ini attempt=3; extends a.ini attempt=3 seconds=900"
    )
    assert [orders(script, line) for line in lost.split("; ")][-1] == []
    vassal = script.fleet.vassals["a.ini"]
    assert (vassal.phase, vassal.due) == ("starting", True)
    assert orders(script, "accepting a.ini attempt=3") == ["spawn a.ini #4 with c2"]


def test_a_restart_of_another_vassal_ends_no_new_instance() -> None:
    """Its event is the one that gives this vassal its turn in a rollout."""
    script = play(
        f"{ROLLOUT}; added y.ini command=y; spawned y.ini; added c.ini command=c canary=yes;"
        f"spawned c.ini; added x.ini inline=yes {OLD}; accepting x.ini;"
        f"changed x.ini ts=2 inline=yes {OLD} env=x; at +4s"
    )
    assert orders(script, "operator restart y.ini") == ["stop y.ini #1", "spawn x.ini #2 with c2"]
    candidate = script.fleet.vassals["x.ini"].candidate
    assert candidate is not None
    assert candidate.phase == "starting"
