"""The options of ``emperor``: their names, defaults and sources.

Each is taken from the command line, under our name and under uWSGI's, else from the environment
(``EMPEROR_FREQ``), else from the file given by ``--config``, else from its default.
"""

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from ..journal.places import default_config, default_journal
from ..journal.policy import Policy
from ..journal.quantities import duration_text, size_text
from . import config_file
from .cli import commandline
from .cli.option_types import (
    AUTO,
    duration,
    milliseconds,
    mode,
    owner,
    size,
    vassals_user,
    whole,
    whole_or_auto,
)
from .host import cgroup_base
from .host.vassal_log import MOST_PARTS
from .keeper import stdio

_F = TypeVar("_F", bound=Callable[..., Any])

_DEFAULTS: Final = Policy()
_FORGIVE: Final = 60.0  # seconds; the policy's own default is that of journals without it
_ON_DEMAND: Final = ("on_demand_extension", "on_demand_directory", "on_demand_exec")
_EMPEROR: Final = "--emperor"
_LOG_SIZE: Final = 10 << 20
_RESERVE: Final = 64 << 20
_RECORD_BUDGET: Final = 64 << 20  # the policy's own default is that of journals without it


# Slots for each core with --max-starting auto. uWSGI takes a second for a reload and uses the
# processor for a tenth of it, so an idle machine can do with many more than it has cores.
FLOOR: Final = 2
CEILING: Final = 32


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))


class _Option(click.Option):
    """Shows its own names only; that each has uWSGI's too is said once. Takes no empty text."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        # An empty path is the working directory, an empty ending is that of every file.
        if value == "" or (isinstance(value, list | tuple) and "" in value):
            raise click.BadParameter("has no value", ctx=ctx, param=self)
        return super().process_value(ctx, value)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        names = self.opts
        self.opts = [name for name in names if not name.startswith("--emperor-")]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


class Command(commandline.Command):
    """Takes monitors as arguments and by ``--emperor``, in the order in which they stand."""

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
            if name == _EMPEROR and (equals or rest):
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


class _Monitors(click.types.StringParamType):
    """Monitors; in the environment between blanks, but URLs may hold some: those, one a line."""

    def split_envvar_value(self, rv: str) -> list[str]:
        if "://" not in rv:
            return rv.split()
        return [line.strip() for line in rv.splitlines() if line.strip()]


def _option(*names: str, **settings: Any) -> Callable[[_F], _F]:
    """An option under our name (the first), uWSGI's, and in the environment."""
    own = names[0].removeprefix("--")
    # The environment knows it by all of its names, ours first.
    variables = list(dict.fromkeys(f"EMPEROR_{config_file.plain(name).upper()}" for name in names))
    return click.option(
        *names, f"--emperor-{own}", own.replace("-", "_"), cls=_Option, envvar=variables, **settings
    )


def _all(function: _F, options: list[Callable[[_F], _F]]) -> _F:
    for option in reversed(options):
        function = option(function)
    return function


def options(function: _F) -> _F:
    """Decorate a command with every option of the daemon."""
    seconds = duration()
    thousandths = milliseconds()
    many: dict[str, Any] = {"multiple": True, "metavar": "F"}
    return _all(
        function,
        [
            _option(
                "--config",
                metavar="FILE",
                is_eager=True,
                default=default_config,
                show_default="emperor.yml in the unit's ConfigurationDirectory=, if it is there",
                callback=config_file.load,
                help="YAML file with the same names; the command line wins.",
            ),
            _option(
                "--journal",
                metavar="PATH",
                default=default_journal,
                show_default="in the unit's StateDirectory=, /var/lib/emperord or your state"
                " directory: journal.db",
                help="Where the record is kept.",
            ),
            _option("--uwsgi", metavar="PATH", help="The uWSGI binary to run vassals with."),
            _option(
                "--freq",
                type=seconds,
                default=duration_text(_DEFAULTS.freq),
                metavar="S",
                show_default=True,
                help="Time between polls and safety-net rescans.",
            ),
            _option(
                "--throttle",
                type=thousandths,
                default=duration_text(_DEFAULTS.throttle, "ms"),
                metavar="MS",
                show_default=True,
                help="First delay after an unloyal death; doubles with each in a row.",
            ),
            _option(
                "--max-throttle",
                type=thousandths,
                default=duration_text(_DEFAULTS.max_throttle, "ms"),
                metavar="MS",
                show_default=True,
                help="Ceiling of the doubling.",
            ),
            _option(
                "--forgive",
                type=duration(0.0),
                default=duration_text(_FORGIVE),
                metavar="S",
                show_default=True,
                help="How long a vassal has to run quietly until its deaths are forgotten; 0: for"
                " ever.",
            ),
            _option(
                "--required-heartbeat",
                type=seconds,
                default=duration_text(_DEFAULTS.required_heartbeat),
                metavar="S",
                show_default=True,
                help="A vassal that has begun to send heartbeats and is silent for so long is"
                " killed and started again.",
            ),
            _option(
                "--mercy",
                "--curse-tolerance",
                "--emperor-curse-tolerance",
                type=seconds,
                default=duration_text(_DEFAULTS.mercy),
                metavar="S",
                show_default=True,
                help="Time from the stop to the kill.",
            ),
            _option(
                "--max-starting",
                type=whole_or_auto(),
                default=AUTO,
                metavar="N|auto",
                show_default=True,
                help="Vassals spawned or reloaded and not yet accepting, at once. With auto from"
                f" {FLOOR} to {CEILING} for each core, by the pressure that the machine is under.",
            ),
            _option(
                "--start-patience",
                type=seconds,
                default=duration_text(_DEFAULTS.start_patience),
                metavar="S",
                show_default=True,
                help="How long a vassal that does not say it accepts counts as starting.",
            ),
            _option(
                "--tyrant",
                is_flag=True,
                help="Run each vassal as the user and group that its source gives: for files, their"
                " owner. Needs root.",
            ),
            _option(
                "--tyrant-nofollow",
                is_flag=True,
                help="With --tyrant: a symlink's own owner counts, not its target's.",
            ),
            _option(
                "--tyrant-initgroups",
                is_flag=True,
                help="With --tyrant: vassals get the supplementary groups of their users.",
            ),
            _option(
                "--allow-link-local",
                is_flag=True,
                help="Fetch configs that are named by a URL from link-local and metadata addresses,"
                " too.",
            ),
            _option(
                "--user",
                type=vassals_user,
                metavar="USER[:GROUP]",
                show_default="the daemon's; with --tyrant, the source's",
                help="Whom all vassals run as, with the groups of its account. Needs root.",
            ),
            _option(
                "--as-root",
                is_flag=True,
                help="Vassals are meant to run as root: no warning of that.",
            ),
            _option(
                "--nofollow", is_flag=True, help="A symlink's own times count, not its target's."
            ),
            _option(
                "--on-demand-extension",
                "--emperor-on-demand-ext",
                metavar="EXT",
                help="The file NAME + EXT beside a config file has the address at which its vassal"
                " is started by the first connection.",
            ),
            _option(
                "--on-demand-directory",
                "--emperor-on-demand-dir",
                metavar="DIR",
                type=click.Path(resolve_path=True),
                help="Each config file's vassal is on demand, at DIR/NAME.socket (NAME without its"
                " extension).",
            ),
            _option(
                "--on-demand-exec",
                metavar="CMD",
                help="Run this with a config file's path; what it prints is its on-demand address."
                " With --tyrant it runs as the vassal's user.",
            ),
            _option(
                "--on-demand-mode",
                type=mode,
                default=f"{_DEFAULTS.on_demand_mode:04o}",
                metavar="MODE",
                show_default=True,
                help="Mode of the socket files of vassals on demand.",
            ),
            _option(
                "--on-demand-owner",
                type=owner,
                metavar="USER[:GROUP]",
                show_default="the daemon's; with --tyrant or --user, the vassal's",
                help="Whose these socket files are.",
            ),
            _option(
                "--on-demand-backlog",
                type=whole(most=2**31 - 1),
                default=_DEFAULTS.on_demand_backlog,
                metavar="N",
                show_default=True,
                help="How many clients may wait while a vassal on demand starts.",
            ),
            _option(
                "--extra-extension",
                "--emperor-extra-ext",
                multiple=True,
                metavar="EXT",
                help="Files that end so are configs too; read with --config. Repeatable.",
            ),
            _option(
                "--vassal-set",
                "--vassals-set",
                multiple=True,
                metavar="K=V",
                help="Set a placeholder in each vassal. Repeatable.",
            ),
            _option("--vassals-inherit", **many, help="Template for each vassal. Repeatable."),
            _option("--vassals-include", **many, help="Config that each vassal includes."),
            _option(
                "--vassals-inherit-before", **many, help="The same, before the vassal's config."
            ),
            _option(
                "--vassals-include-before", **many, help="The same, before the vassal's config."
            ),
            _option("--wrapper", metavar="PATH", help="Run this in place of uWSGI, same argv."),
            _option(
                "--graceful-shutdown",
                is_flag=True,
                help="Stop vassals gracefully: requests under way are finished.",
            ),
            _option(
                "--log",
                type=click.Choice(["files", "inherit"]),
                default="files",
                show_default=True,
                help="Where vassals write: a file each, or the daemon's own output.",
            ),
            _option(
                "--log-directory",
                metavar="DIR",
                show_default="the journal's path + .logs, or that in the unit's LogsDirectory=",
                help="Where the vassals' logs are.",
            ),
            _option(
                "--log-size",
                type=size(4096),
                default=size_text(_LOG_SIZE),
                metavar="SIZE",
                show_default=True,
                help="A log is cut at this size; the part before stays beside it as .1.",
            ),
            _option(
                "--log-keep",
                type=whole(0, MOST_PARTS),
                default=1,
                metavar="N",
                show_default=True,
                help="How many parts that were cut off stay beside a log, .1 to .N; 1000 at most.",
            ),
            _option(
                "--log-format",
                type=click.Choice(stdio.FORMS),
                show_default="journal where standard error is the systemd journal, else text",
                help="The form of the daemon's own log.",
            ),
            _option(
                "--record-budget",
                type=size(),
                default=size_text(_RECORD_BUDGET),
                metavar="SIZE",
                show_default=True,
                help="How much one user (with --tyrant, else one vassal) may have recorded at once;"
                " as much again in four hours. 0: no limit.",
            ),
            _option(
                "--journal-reserve",
                type=size(),
                default=size_text(_RESERVE),
                metavar="SIZE",
                show_default=True,
                help="Room on the journal's file system that only the daemon's own start and stop"
                " may use when the disk is full. 0: none.",
            ),
            _option(
                "--control",
                metavar="PATH",
                show_default="the journal's path + .sock",
                help="The socket that emperor-ctl talks to.",
            ),
            _option(
                "--cgroup",
                metavar="PATH|auto|none",
                default=cgroup_base.AUTO,
                show_default=True,
                help="The cgroup v2 in which each vassal gets one of its own, so that a stop ends"
                " all of its processes; auto: what systemd delegated (Delegate=).",
            ),
            _option(
                "--max-clock-step",
                type=duration(1),
                metavar="S",
                help="Do not take the time from a wall clock that jumped further ahead since the"
                " last daemon, until the kernel calls it synchronized.",
            ),
            _option(
                "--restore",
                is_flag=True,
                help="Give this copy of a journal an identity of its own, and start all vassals"
                " anew: the original goes on elsewhere. Given again, it does nothing.",
            ),
            _option(
                "--check",
                is_flag=True,
                help="Reach every source, print what would be run, start nothing; exit 1 if"
                " something would not work.",
            ),
            click.option(
                _EMPEROR,
                multiple=True,
                metavar="MONITOR",
                expose_value=False,
                help="The same as a MONITOR argument, as uWSGI has it. Repeatable.",
            ),
            click.argument(
                "monitor",
                nargs=-1,
                required=True,
                envvar=["EMPEROR_MONITOR", "EMPEROR_EMPEROR"],
                type=_Monitors(),
            ),
        ],
    )


def policy(chosen: dict[str, Any]) -> Policy:
    """The deciding ones among the chosen options."""
    for modifier in ("tyrant_nofollow", "tyrant_initgroups"):
        if chosen.get(modifier) and not chosen.get("tyrant"):
            raise click.UsageError(
                f"--{modifier.replace('_', '-')} says how --tyrant is meant; add that"
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
    if decided.get("max_starting") == AUTO:
        decided["max_starting"] = FLOOR * cores()
        decided["max_starting_ceiling"] = CEILING * cores()
    return Policy(**decided)
