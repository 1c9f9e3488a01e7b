"""The options that init scripts and monitoring of uWSGI's Emperor rely on."""

from typing import Any, Final

import click

from .control import stats
from .host.listen_address import CannotListen
from .option_kinds import Decorator, option

_MANY: Final[dict[str, Any]] = {"multiple": True}


def services() -> list[Decorator]:
    """The daemon's own log, the background, the pid file, and the server of statistics."""
    return [
        option(
            "--log-file",
            "--logto",
            "--logto2",
            metavar="FILE",
            show_default="standard error",
            help="Append the daemon's own log to this file. SIGUSR1 has it opened anew.",
        ),
        option(
            "--daemonize",
            "--daemonize2",
            metavar="FILE",
            help="Go to the background once the daemon is in charge, and log to this file, unless"
            " --log-file names another one. Not under systemd (Type=notify), nor as process 1.",
        ),
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
        option(
            "--stats",
            "--stats-server",
            **_MANY,
            type=_address,
            metavar="ADDRESS",
            help="Write a JSON document, as uWSGI's emperor-stats, to each client that connects"
            " to PATH, @NAME, HOST:PORT, or :PORT on 127.0.0.1. Repeatable.",
        ),
    ]


def _address(text: str) -> str:
    """An address at which the daemon can listen."""
    try:
        stats.place(text)
    except CannotListen as wrong:
        raise click.BadParameter(str(wrong)) from None
    return text
