"""Asks a daemon by emperor-ctl, as an operator does."""

import json
from typing import Any

from support.kept import Emperor


def asked(emperor: Emperor, *words: str, code: int = 0) -> Any:
    """The JSON that a command prints."""
    done = emperor.ctl(*words, "--json")
    assert done.returncode == code, done
    return json.loads(done.stdout)


def refused(emperor: Emperor, *words: str) -> str:
    """Why a command is refused: one line on stderr."""
    done = emperor.ctl(*words)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("emperor-ctl: ")
    return line.removeprefix("emperor-ctl: ")
