"""Each option of ``emperor``: its names, type, default and help, in the order of ``--help``.

An option has three sources: the command line, the environment, the file of ``--config``. click
takes them in this order of precedence (``options.py``). ``_option`` derives the further names from
the first one, so no option can lack one of them.

The defaults are of two kinds. A default of ``Policy`` is what a journal without that field means,
and it never changes. So where a new installation should have another one, it is a constant of this
file.
"""

from collections.abc import Callable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from ..journal.places import default_config, default_journal
from ..journal.policy import Policy
from ..journal.quantities import duration_text, size_text
from . import config_file
from .cli import completion
from .cli.option_types import (
    AUTO,
    duration,
    group,
    interval,
    milliseconds,
    mode,
    owner,
    port_ranges,
    size,
    vassals_user,
    whole,
    whole_or_auto,
)
from .host import cgroup_base
from .host.vassal_log import MOST_PARTS
from .keeper import stdio

Decorator = Callable[[Any], Any]

EMPEROR: Final = "--emperor"
_DEFAULTS: Final = Policy()
_FORGIVE: Final = 60.0  # seconds; the policy's own default is that of journals without it
_LOG_SIZE: Final = 10 << 20
_RESERVE: Final = 64 << 20
_RECORD_BUDGET: Final = 64 << 20  # the policy's own default is that of journals without it


# Slots for each core with --max-starting auto. uWSGI takes a second for a reload, and a tenth of it
# on the processor. So an idle machine can start many more vassals at once than it has cores.
FLOOR: Final = 2
CEILING: Final = 32


class _Option(click.Option):
    """Shows its own names only; the help tells once of uWSGI's names. Takes no empty text."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        # An empty path is the working directory, an empty ending is that of every file.
        if value == "" or (isinstance(value, list | tuple) and "" in value):
            raise click.BadParameter("has no value", ctx=ctx, param=self)
        return super().process_value(ctx, value)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if completion.is_path(self):
            return completion.files(ctx, self, incomplete)
        return super().shell_complete(ctx, incomplete)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        names = self.opts
        self.opts = [name for name in names if not name.startswith("--emperor-")]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


class _Monitors(click.types.StringParamType):
    """Monitors; in the environment between blanks, but URLs may hold some: those, one a line."""

    def split_envvar_value(self, rv: str) -> list[str]:
        if "://" not in rv:
            return rv.split()
        return [line.strip() for line in rv.splitlines() if line.strip()]


def _option(*names: str, **settings: Any) -> Decorator:
    """An option under our name (the first), uWSGI's, and in the environment."""
    own = names[0].removeprefix("--")
    # The environment knows it by all of its names, ours first.
    variables = list(dict.fromkeys(f"EMPEROR_{config_file.plain(name).upper()}" for name in names))
    return click.option(
        *names, f"--emperor-{own}", own.replace("-", "_"), cls=_Option, envvar=variables, **settings
    )


def essentials() -> list[Decorator]:
    """The config file, the journal, uWSGI, and the interval between polls."""
    seconds = duration()
    return [
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
    ]


def starts() -> list[Decorator]:
    """When vassals start, are restarted, and count as failed."""
    seconds = duration()
    thousandths = milliseconds()
    return [
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
    ]


def users() -> list[Decorator]:
    """The users that vassals run as, and how far their configs are followed."""
    return [
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
            help="Ask link-local and metadata addresses, too: for configs that are named by a"
            " URL, and whether a program is ready.",
        ),
        _option(
            "--allow-ports",
            type=port_ranges,
            metavar="RANGES",
            show_default="none",
            help="Ports below 1024 that vassals may listen at with --tyrant, as 80,443,500-600.",
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
        _option("--nofollow", is_flag=True, help="A symlink's own times count, not its target's."),
    ]


def on_demand() -> list[Decorator]:
    """Vassals that their first connection starts."""
    return [
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
            help="Run this with a config file's path. It prints the vassal's on-demand address."
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
            help="Owner of these socket files.",
        ),
        _option(
            "--on-demand-backlog",
            type=whole(most=2**31 - 1),
            default=_DEFAULTS.on_demand_backlog,
            metavar="N",
            show_default=True,
            help="How many clients may wait while a vassal on demand starts.",
        ),
    ]


def configs() -> list[Decorator]:
    """The files that are configs, and how vassals are run with them."""
    many: dict[str, Any] = {"multiple": True, "metavar": "F"}
    return [
        _option(
            "--name",
            multiple=True,
            metavar="MONITOR=NAME",
            help="A short name of this monitor, for tables. Repeatable.",
            show_default="made of the monitor's URL",
        ),
        _option(
            "--extra-extension",
            "--emperor-extra-ext",
            multiple=True,
            metavar="EXT",
            help="Files that end so are configs too; read with --config. Repeatable.",
        ),
        _option(
            "--vassal-defaults",
            multiple=True,
            metavar="FILE",
            help="[emperor] settings for all vassals; a vassal can only lower limits. Repeatable.",
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
        _option("--vassals-inherit-before", **many, help="The same, before the vassal's config."),
        _option("--vassals-include-before", **many, help="The same, before the vassal's config."),
        _option("--wrapper", metavar="PATH", help="Run this in place of uWSGI, same argv."),
        _option(
            "--graceful-shutdown",
            is_flag=True,
            help="Stop vassals gracefully: requests under way are finished.",
        ),
    ]


def logs() -> list[Decorator]:
    """The logs of vassals and the log of the daemon."""
    return [
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
    ]


def record() -> list[Decorator]:
    """Limits of the journal, the control socket, cgroups, and the clock."""
    return [
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
            "--witness",
            metavar="PATH|syslog|cmd:CMD",
            help="Write the journal's last number and hash there as well: to a file, to syslog, or"
            " to a command's input. Then a journal that is rewritten or put back is noticed.",
        ),
        _option(
            "--witness-every",
            type=interval(),
            default="10m",
            metavar="S|N",
            show_default=True,
            help="How often: a time with its unit, or a plain number of events.",
        ),
        _option(
            "--witness-key",
            metavar="FILE",
            help="Sign it by this private key of Ed25519 (PEM).",
        ),
        _option(
            "--control",
            metavar="PATH",
            show_default="the journal's path + .sock",
            help="The socket that emperor-ctl talks to.",
        ),
        _option(
            "--control-group",
            type=group,
            metavar="G",
            help="Members of this group may look with emperor-ctl (status, list, show, why, check,"
            " wait), and change nothing.",
        ),
        _option(
            "--cgroup",
            metavar="PATH|auto|none",
            default=cgroup_base.AUTO,
            show_default=True,
            help="The cgroup v2 in which each vassal gets one of its own. Then a stop ends all of"
            " its processes. auto: the one that systemd delegated (Delegate=).",
        ),
        _option(
            "--max-clock-step",
            type=duration(1),
            metavar="S",
            help="Do not take the time from a wall clock that jumped further ahead since the"
            " last daemon, until the kernel calls it synchronized.",
        ),
    ]


def run() -> list[Decorator]:
    """Options of one run, and the monitors."""
    return [
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
            EMPEROR,
            multiple=True,
            metavar="MONITOR",
            expose_value=False,
            shell_complete=completion.files,
            help="The same as a MONITOR argument, as uWSGI has it. Repeatable.",
        ),
        click.argument(
            "monitor",
            nargs=-1,
            required=True,
            envvar=["EMPEROR_MONITOR", "EMPEROR_EMPEROR"],
            type=_Monitors(),
            shell_complete=completion.files,
        ),
    ]


def every() -> list[Decorator]:
    """All options, and the argument for monitors."""
    return [
        *essentials(),
        *starts(),
        *users(),
        *on_demand(),
        *configs(),
        *logs(),
        *record(),
        *run(),
    ]
