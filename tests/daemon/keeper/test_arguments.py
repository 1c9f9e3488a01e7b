"""A list of processes shows the command line without passwords."""

import json

import pytest
from emperord.daemon.keeper.arguments import GIVEN, concealed


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
