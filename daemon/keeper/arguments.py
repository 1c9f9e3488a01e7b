"""The command line, without the passwords in it.

Each user who can list processes can read their arguments, and a URL among them may hold a password.
So the keeper and its daemon are executed with arguments that show none. The real arguments reach
them by the environment, which only their own user can read, and go no further.
"""

import json
import os
import sys
from typing import Final

from ...monitors.urls import without_secrets

TRY_START: Final = "--try-start"  # see whether a daemon would start with the other arguments
GIVEN: Final = "EMPERORD_ARGUMENTS"  # in the environment, where they are not the arguments


_of_this_process: Final[list[str]] = []


def given() -> list[str]:
    """The arguments of this process. Call it once: it takes them out of the environment."""
    told = os.environ.pop(GIVEN, None)
    _of_this_process[:] = sys.argv[1:] if told is None else json.loads(told)
    return [*_of_this_process]


def hidden() -> list[str]:
    """The keeper's arguments. If they show a secret, the keeper executes itself again."""
    arguments = given()
    shown, secret = concealed(arguments)
    if shown != sys.argv[1:]:
        os.execve(sys.executable, command("keeper", shown), {**os.environ, **secret})
    return arguments


def command(part: str, arguments: list[str]) -> list[str]:
    """argv of the keeper or the daemon proper (``main``)."""
    # -P: Python imports nothing from the working directory.
    return [sys.executable, "-P", "-m", f"emperord.daemon.{part}", *arguments]


def trial() -> tuple[list[str], dict[str, str]]:
    """The command that sees whether a daemon would start with our arguments, and its environment.

    Options in the environment count as they do at a start. The keeper's own variables do not.
    """
    shown, secret = concealed([TRY_START, *_of_this_process])
    its = {key: value for key, value in os.environ.items() if not key.startswith("EMPERORD_")}
    return command("keeper", shown), {**its, **secret}


def concealed(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """The arguments to execute a process with, and what its environment needs besides."""
    shown = [_shown(argument) for argument in arguments]
    return shown, {} if shown == arguments else {GIVEN: json.dumps(arguments)}


def _shown(argument: str) -> str:
    """The argument without secrets. In ``--emperor=URL`` the URL begins behind the ``=``."""
    option, equals, value = argument.partition("=")
    if equals and option.startswith("--"):
        argument = f"{option}={without_secrets(value)}"
    return without_secrets(argument)
