"""The options that init scripts and monitoring of uWSGI's Emperor rely on."""

from typing import Any, Final

from .option_kinds import Decorator, option

_MANY: Final[dict[str, Any]] = {"multiple": True}


def services() -> list[Decorator]:
    """The pid file."""
    return [
        option(
            "--pidfile",
            "--pidfile2",
            "--safe-pidfile",
            "--safe-pidfile2",
            **_MANY,
            metavar="FILE",
            help="Write the pid that takes signals to this file: the keeper's. It is removed at the"
            " end. Repeatable.",
        ),
    ]
