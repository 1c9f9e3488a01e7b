"""Asks a journal by a command of emperor-replay, in this process."""

import re
from pathlib import Path
from typing import Protocol

from click.testing import CliRunner, Result
from emperord.replay.main import cli


class Asking(Protocol):
    """Runs the command on a journal, with arguments; ``given`` is its standard input."""

    def __call__(self, path: str | Path, *arguments: str, given: bytes = b"") -> Result:
        """Run it."""


def asking(*command: str) -> Asking:
    """The function that runs a command. Without one, the arguments begin with it."""

    def run(path: str | Path, *arguments: str, given: bytes = b"") -> Result:
        argv = ["--journal", str(path), *command, *arguments]
        return CliRunner().invoke(cli, argv, input=given)

    return run


def timeless(story: str) -> str:
    """A story without how long its phase has lasted, and how long it will."""
    return re.sub(r" \(for [^)]*\)|[\w.]+ after this|in [\w.]+(?=; 'retry')", "", story)
