"""The list of commands in --help: each sentence about a command is whole at 80 columns."""

import re

import click
import pytest
from click.testing import CliRunner
from emperord.daemon.ctl import cli as ctl
from emperord.replay.main import cli as replay
from support.subcommands import subcommands


@pytest.mark.parametrize("cli", [ctl, replay], ids=["emperor-ctl", "emperor-replay"])
def test_no_command_is_described_by_half_a_sentence(cli: click.Group) -> None:
    told = CliRunner().invoke(cli, ["--help"], terminal_width=78).output
    rows = re.findall(r"^  ([a-z-]+) +(.*)$", told.partition("Commands:\n")[2], re.M)
    assert {name for name, _ in rows} == set(subcommands(cli))
    assert [(name, text) for name, text in rows if not text.endswith(".") or "..." in text] == []
