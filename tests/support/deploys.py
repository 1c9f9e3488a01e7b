"""Runs ``history``."""

import json
from typing import Any

from click.testing import CliRunner, Result
from emperord.replay.main import cli

OTHER = "pg://db;SELECT 1"


def run(path: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--journal", path, "history", *arguments])


def history(path: str, *arguments: str) -> list[dict[str, Any]]:
    """As the daemon concluded it, and as a fold of the events concludes it: the same."""
    deploys = _history(path, *arguments)
    assert deploys == _history(path, "--full", *arguments)
    return deploys


def _history(path: str, *arguments: str) -> list[dict[str, Any]]:
    result = run(path, "--json", *arguments)
    assert result.exit_code == 0, result.output
    deploys = json.loads(result.stdout)
    assert isinstance(deploys, list)
    return deploys
