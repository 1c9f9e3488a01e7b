"""A list of processes shows the command line without passwords."""

import json

import pytest
from emperord.daemon.keeper.arguments import GIVEN, concealed, given, trial


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("amqp://u:geheim@h", "amqp://u:***@h"),
        ("--emperor=amqp://u:geheim@h", "--emperor=amqp://u:***@h"),
        ("--emperor=pg://host=h password=ge&heim", "--emperor=pg://host=h password=***"),
        ("--emperor=mongodb://host=h,password=geheim", "--emperor=mongodb://host=h,password=***"),
        ("--vassal-set=token=geheim", "--vassal-set=token=***"),
    ],
)
def test_secrets_are_not_shown(argument: str, shown: str) -> None:
    assert concealed(["--freq", "1", argument]) == (
        ["--freq", "1", shown],
        {GIVEN: json.dumps(["--freq", "1", argument])},
    )


@pytest.mark.parametrize("argument", ["/etc/vassals", "--emperor=/etc/vassals", "--log=inherit"])
def test_all_else_is(argument: str) -> None:
    assert concealed([argument]) == ([argument], {})


def test_a_trial_has_the_arguments_and_the_options_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["--freq", "1", "amqp://u:geheim@h"]
    monkeypatch.setenv(GIVEN, json.dumps(arguments))
    monkeypatch.setenv("EMPEROR_THROTTLE", "5s")
    monkeypatch.setenv("EMPERORD_KEEPER_FD", "7")
    assert given() == arguments
    argv, environment = trial()
    assert argv[-4:] == ["--try-start", "--freq", "1", "amqp://u:***@h"]
    assert environment[GIVEN] == json.dumps(["--try-start", *arguments])
    assert environment["EMPEROR_THROTTLE"] == "5s"
    assert "EMPERORD_KEEPER_FD" not in environment
