"""The options of ``emperor``: how they are read, and which of them decide.

The command line comes first, under our name or uWSGI's. Then come the environment
(``EMPEROR_FREQ``), the file given by ``--config``, and the default.
"""

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from ..journal.policy import Policy
from . import config_file
from .cli import commandline
from .cli.option_types import AUTO
from .keeper.arguments import TRY_START
from .option_groups import CEILING, EMPEROR, FLOOR, every

_F = TypeVar("_F", bound=Callable[..., Any])

_ON_DEMAND: Final = ("on_demand_extension", "on_demand_directory", "on_demand_exec")


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))


class Command(commandline.Command):
    """Takes monitors as arguments and by ``--emperor``, in the order in which they stand."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer uWSGI's names only to a user who writes one."""
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith(EMPEROR):
            return found
        return [each for each in found if not str(each.value).startswith(f"{EMPEROR}-")]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put each ``--emperor``'s value among the arguments; click keeps no order of both."""
        valued = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for name in parameter.opts
        }
        options: list[str] = []
        monitors: list[str] = []
        rest = list(args)
        while rest:
            word = rest.pop(0)
            name, equals, value = word.partition("=")
            if word == "--":
                monitors += rest
                break
            if name == EMPEROR and (equals or rest):
                monitors.append(value if equals else rest.pop(0))
            elif commandline.is_option(word):
                options.append(word)
                if word in valued and rest:
                    options.append(rest.pop(0))
            else:
                monitors.append(word)
        try:
            return super().parse_args(ctx, [*options, *(["--", *monitors] if monitors else [])])
        except click.NoSuchOption as wrong:
            if config_file.plain(wrong.option_name) not in ("uid", "gid"):
                raise
            message = f"No such option {wrong.option_name}; {config_file.USER_ADVICE}"
            raise click.NoSuchOption(wrong.option_name, message, ctx=ctx) from None


# A daemon of another version gives it before an upgrade, so it keeps its name for ever.
_TRIAL: Final = click.option(
    TRY_START,
    is_flag=True,
    hidden=True,
    help="Exit 0 if a daemon would begin its start with the other options; open nothing.",
)


def options(function: _F) -> _F:
    """Decorate a command with every option of the daemon."""
    for option in reversed([*every(), _TRIAL]):
        function = option(function)
    return function


def policy(chosen: dict[str, Any]) -> Policy:
    """The deciding ones among the chosen options."""
    for modifier in ("tyrant_nofollow", "tyrant_initgroups"):
        if chosen.get(modifier) and not chosen.get("tyrant"):
            raise click.UsageError(
                f"--{modifier.replace('_', '-')} says how --tyrant is meant; add --tyrant"
            )
    if chosen.get("user") is not None:
        for other in ("tyrant", "as_root"):
            if chosen.get(other):
                raise click.UsageError(
                    f"--user and --{other.replace('_', '-')} contradict each other; give one"
                )
    ways = [way for way in _ON_DEMAND if chosen.get(way)]
    if len(ways) > 1:
        both = " and ".join("--" + way.replace("_", "-") for way in ways)
        raise click.UsageError(f"{both} contradict each other; give one of them")
    decided = {field: chosen[field] for field in Policy.__struct_fields__ if field in chosen}
    decided["allow_ports"] = chosen.get("allow_ports") or ()
    decided["rollout"] = chosen.get("rollout") or ""
    if decided.get("max_starting") == AUTO:
        decided["max_starting"] = FLOOR * cores()
        decided["max_starting_ceiling"] = CEILING * cores()
    return Policy(**decided)
