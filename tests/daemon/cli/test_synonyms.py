"""Words that are no commands: people are told the nearest, or what to type instead."""

import re

import click
import pytest
from click.testing import CliRunner
from emperord.daemon.client.synonyms import HINTS
from emperord.daemon.ctl import cli
from emperord.replay.main import cli as replay
from support.subcommands import subcommands

TYPED = {
    "ps": "'emperor-ctl list' lists the vassals",
    "rm": "remove its file, row or entry there",
    "DELETE": "a vassal goes when its source has it no longer",
    "disable": "'emperor-ctl stop' stops a vassal, and holds it until it is started",
    "enable": "'emperor-ctl start'",
    "kill": "the daemon kills it if that takes too long",
    "follow": "'emperor-ctl events -f' follows what happens",
    "stdout": "'emperor-ctl logs -f'",
    "bounce": "'emperor-ctl restart'",
    "restrat": "; did you mean restart",
    "retyr": "; did you mean retry",
    "lsit": "; did you mean list",
    "xyzzy": "; --help lists them",
    "\x1b[2J": "; --help lists them",
}


@pytest.mark.parametrize(("word", "told"), TYPED.items(), ids=[ascii(word) for word in TYPED])
def test_a_word_that_is_no_command(word: str, told: str) -> None:
    result = CliRunner().invoke(cli, [word, "a.ini"])
    assert result.exit_code == 2
    assert f"No such command {word!r}" in result.output
    assert told in " ".join(result.output.split())


def test_a_restart_is_no_retry() -> None:
    assert "did you mean" not in CliRunner().invoke(cli, ["restart", "--help"]).output
    assert "restart" in subcommands(cli)


@pytest.mark.parametrize(
    ("word", "command"), [("tail", "events"), ("journal", "events"), ("log", "logs")]
)
def test_another_word_for_a_command(word: str, command: str) -> None:
    told = CliRunner().invoke(cli, [word, "--help"]).output
    assert told == CliRunner().invoke(cli, [command, "--help"]).output.replace(
        f"Usage: cli {command} ", f"Usage: cli {word} "
    )
    assert word not in subcommands(cli)


@pytest.mark.parametrize("hint", sorted(set(HINTS.values())))
def test_a_hint_names_commands_that_there_are(hint: str) -> None:
    groups: dict[str, click.Group] = {"emperor-ctl": cli, "emperor-replay": replay}
    for program, command in re.findall(r"'(emperor-[a-z]+) ([a-z]+)", hint):
        assert command in subcommands(groups[program])


def test_the_other_commands_tell_the_nearest_as_well() -> None:
    output = CliRunner().invoke(replay, ["hsitory"]).output
    assert "No such command 'hsitory'; did you mean history" in output
