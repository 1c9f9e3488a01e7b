"""Each option of ``emperor``: its names, type, default and help, in the order of ``--help``.

An option has three sources: the command line, the environment, the file of ``--config``. click
takes them in this order of precedence (``options.py``). ``option`` derives the further names from
the first one, so no option can lack one of them.

The defaults are of two kinds. A default of ``Policy`` is what a journal without that field means,
and it never changes. So where a new installation should have another one, it is a constant of this
file.
"""

from typing import Any, Final

import click

from ..journal.places import default_journal
from ..journal.policy import Policy
from ..journal.quantities import duration_text, size_text
from ..monitors.rollback import MOST as MOST_FAILURES
from .cli import completion
from .cli.option_types import (
    AUTO,
    age,
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
from .config_options import config_files
from .hook_options import confinement, hooks, uwsgi_binary
from .host import cgroup_base
from .host.vassal_log import MOST_PARTS
from .keeper import stdio
from .migrate_options import migrating, required
from .option_kinds import Decorator, Monitors, option
from .rollout_options import rollouts
from .service_options import services

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


def essentials() -> list[Decorator]:
    """The config file, the journal, uWSGI, and the interval between polls."""
    seconds = duration()
    return [
        *config_files(),
        option(
            "--journal",
            metavar="PATH",
            default=default_journal,
            show_default="in the unit's StateDirectory=, /var/lib/emperord or your state"
            " directory: journal.db",
            help="Keep the journal, the record of all events, in this file.",
        ),
        uwsgi_binary(),
        option(
            "--freq",
            type=seconds,
            default=duration_text(_DEFAULTS.freq),
            metavar="S",
            show_default=True,
            help="Time between polls of a source, and between rescans of files.",
        ),
    ]


def starts() -> list[Decorator]:
    """When vassals start, are restarted, and count as failed."""
    seconds = duration()
    thousandths = milliseconds()
    return [
        option(
            "--throttle",
            type=thousandths,
            default=duration_text(_DEFAULTS.throttle, "ms"),
            metavar="MS",
            show_default=True,
            help="Delay of the next start after a death without loyalty. It doubles with each death"
            " in a row.",
        ),
        option(
            "--max-throttle",
            type=thousandths,
            default=duration_text(_DEFAULTS.max_throttle, "ms"),
            metavar="MS",
            show_default=True,
            help="The longest such delay.",
        ),
        option(
            "--forgive",
            type=duration(0.0),
            default=duration_text(_FORGIVE),
            metavar="S",
            show_default=True,
            help="How long a vassal has to run until its deaths are forgotten. 0: they never are.",
        ),
        option(
            "--required-heartbeat",
            type=seconds,
            default=duration_text(_DEFAULTS.required_heartbeat),
            metavar="S",
            show_default=True,
            help="Kill a vassal that has begun to send heartbeats, and sends none for so long. It"
            " is started again.",
        ),
        option(
            "--mercy",
            "--curse-tolerance",
            "--emperor-curse-tolerance",
            type=seconds,
            default=duration_text(_DEFAULTS.mercy),
            metavar="S",
            show_default=True,
            help="Kill a vassal that takes longer than this to stop.",
        ),
        option(
            "--max-starting",
            type=whole_or_auto(),
            default=AUTO,
            metavar="N|auto",
            show_default=True,
            help="How many vassals start or reload at once. A slot is free again when its vassal"
            f" accepts. auto: from {FLOOR} to {CEILING} for each core, by the machine's pressure.",
        ),
        option(
            "--start-patience",
            type=seconds,
            default=duration_text(_DEFAULTS.start_patience),
            metavar="S",
            show_default=True,
            help="How long a vassal counts as starting that does not say that it accepts.",
        ),
    ]


def changes() -> list[Decorator]:
    """How changes are carried out, and taken back."""
    return [
        option(
            "--rollback",
            type=whole(0, MOST_FAILURES),
            default=_DEFAULTS.rollback,
            metavar="N",
            show_default=True,
            help="After N failures in a row of a changed vassal, run the last config with which it"
            " ran well. 0: never. A config says it for itself by rollback in [emperor].",
        ),
    ]


def users() -> list[Decorator]:
    """The users that vassals run as, and how far their configs are followed."""
    return [
        option(
            "--tyrant",
            is_flag=True,
            help="Run each vassal as the user and group that its source gives: for files, their"
            " owner. Needs root.",
        ),
        option(
            "--tyrant-nofollow",
            is_flag=True,
            help="With --tyrant: a symlink's own owner counts, not its target's.",
        ),
        option(
            "--tyrant-initgroups",
            is_flag=True,
            help="With --tyrant: vassals get the supplementary groups of their users.",
        ),
        option(
            "--allow-link-local",
            is_flag=True,
            help="Allow requests to link-local addresses, as those of cloud metadata. They are for"
            " configs at a URL, and for whether a program is ready.",
        ),
        option(
            "--allow-ports",
            type=port_ranges,
            metavar="RANGES",
            show_default="none",
            help="Ports below 1024 that vassals may listen at with --tyrant, as 80,443,500-600.",
        ),
        option(
            "--user",
            type=vassals_user,
            metavar="USER[:GROUP]",
            show_default="the daemon's; with --tyrant, the source's",
            help="Run all vassals as this user, with the groups of its account. Needs root.",
        ),
        option(
            "--as-root",
            is_flag=True,
            help="Do not warn that vassals run as root.",
        ),
        option("--nofollow", is_flag=True, help="A symlink's own times count, not its target's."),
    ]


def on_demand() -> list[Decorator]:
    """Vassals that their first connection starts."""
    return [
        option(
            "--on-demand-extension",
            "--emperor-on-demand-ext",
            metavar="EXT",
            help="The file NAME + EXT beside a config file has an address. The first connection"
            " there starts the vassal.",
        ),
        option(
            "--on-demand-directory",
            "--emperor-on-demand-dir",
            metavar="DIR",
            type=click.Path(resolve_path=True),
            help="Start the vassal of each config file on demand, by the first connection to"
            " DIR/NAME.socket (NAME without its extension).",
        ),
        option(
            "--on-demand-exec",
            metavar="CMD",
            help="Run this command with a config file's path. It prints the address of a vassal on"
            " demand. With --tyrant it runs as the vassal's user.",
        ),
        option(
            "--on-demand-mode",
            type=mode,
            default=f"{_DEFAULTS.on_demand_mode:04o}",
            metavar="MODE",
            show_default=True,
            help="Mode of the socket files of vassals on demand.",
        ),
        option(
            "--on-demand-owner",
            type=owner,
            metavar="USER[:GROUP]",
            show_default="the daemon's; with --tyrant or --user, the vassal's",
            help="Owner of these socket files.",
        ),
        option(
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
        option(
            "--name",
            multiple=True,
            metavar="MONITOR=NAME",
            help="A short name of this monitor, for tables. Repeatable.",
            show_default="made of the monitor's URL",
        ),
        option(
            "--extra-extension",
            "--emperor-extra-ext",
            multiple=True,
            metavar="EXT",
            help="Take files with this ending as configs, too. uWSGI reads them with --config."
            " Repeatable.",
        ),
        option(
            "--vassal-defaults",
            multiple=True,
            metavar="FILE",
            help="Give all vassals the [emperor] settings of this file. A config may replace them,"
            " and only lower limits. Repeatable.",
        ),
        option(
            "--vassal-set",
            "--vassals-set",
            multiple=True,
            metavar="K=V",
            help="Set a placeholder for the configs of all vassals. Repeatable.",
        ),
        option(
            "--vassals-inherit",
            **many,
            help="Have each vassal inherit from this template. Repeatable.",
        ),
        option("--vassals-include", **many, help="Have each vassal include this config."),
        option("--vassals-inherit-before", **many, help="As --vassals-inherit, before its config."),
        option("--vassals-include-before", **many, help="As --vassals-include, before its config."),
        option(
            "--wrapper",
            metavar="PATH",
            help="Run this program in place of uWSGI, with its arguments.",
        ),
        option(
            "--graceful-shutdown",
            is_flag=True,
            help="Stop vassals gracefully, so that they finish the requests under way.",
        ),
    ]


def logs() -> list[Decorator]:
    """The logs of vassals and the log of the daemon."""
    return [
        option(
            "--log",
            type=click.Choice(["files", "inherit"]),
            default="files",
            show_default=True,
            help="Where vassals write: a file each, or the daemon's own output.",
        ),
        option(
            "--log-directory",
            metavar="DIR",
            show_default="the journal's path + .logs, or that in the unit's LogsDirectory=",
            help="Keep the logs of vassals in this directory.",
        ),
        option(
            "--log-size",
            type=size(4096),
            default=size_text(_LOG_SIZE),
            metavar="SIZE",
            show_default=True,
            help="Cut a log at this size. The part before stays beside it as .1.",
        ),
        option(
            "--log-keep",
            type=whole(0, MOST_PARTS),
            default=1,
            metavar="N",
            show_default=True,
            help="How many parts that were cut off stay beside a log, .1 to .N; 1000 at most.",
        ),
        option(
            "--log-format",
            type=click.Choice(stdio.FORMS),
            show_default="journal where standard error is the systemd journal, else text",
            help="The form of the daemon's own log.",
        ),
    ]


def room() -> list[Decorator]:
    """The room that the journal takes."""
    return [
        option(
            "--keep",
            type=age,
            metavar="AGE",
            show_default="all",
            help="Move events that are older to verified archives beside the journal, at the start"
            " and each day. It has a unit, as in 90d.",
        ),
        option(
            "--record-budget",
            type=size(),
            default=size_text(_RECORD_BUDGET),
            metavar="SIZE",
            show_default=True,
            help="How much one user (with --tyrant, else one vassal) may have recorded at once;"
            " as much again in four hours. 0: no limit.",
        ),
        option(
            "--journal-reserve",
            type=size(),
            default=size_text(_RESERVE),
            metavar="SIZE",
            show_default=True,
            help="Room on the journal's file system that only the daemon's own start and stop"
            " may use when the disk is full. 0: none.",
        ),
    ]


def record() -> list[Decorator]:
    """The witness, the control socket, cgroups, and the clock."""
    return [
        option(
            "--witness",
            metavar="PATH|syslog|cmd:CMD",
            help="Write the journal's last number and hash there as well: to a file, to syslog, or"
            " to a command's input. Then a journal that is rewritten or put back is noticed.",
        ),
        option(
            "--witness-every",
            type=interval(),
            default="10m",
            metavar="S|N",
            show_default=True,
            help="How often: a time with its unit, or a plain number of events.",
        ),
        option(
            "--witness-key",
            metavar="FILE",
            help="Sign the witness with this private key (Ed25519, PEM).",
        ),
        option(
            "--control",
            metavar="PATH",
            show_default="the journal's path + .sock",
            help="Listen for emperor-ctl at this socket.",
        ),
        option(
            "--control-group",
            type=group,
            metavar="G",
            help="Members of this group may look with emperor-ctl (status, list, show, why, check,"
            " top, wait), and change nothing.",
        ),
        option(
            "--cgroup",
            metavar="PATH|auto|none",
            default=cgroup_base.AUTO,
            show_default=True,
            help="The cgroup v2 in which each vassal gets one of its own. Then a stop ends all of"
            " its processes. auto: the one that systemd delegated (Delegate=).",
        ),
        option(
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
        option(
            "--restore",
            is_flag=True,
            help="Give this copy of a journal an identity of its own, and start all vassals"
            " anew: the original goes on elsewhere. Given again, it does nothing.",
        ),
        option(
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
            metavar="MONITOR...",
            callback=required,
            envvar=["EMPEROR_MONITOR", "EMPEROR_EMPEROR"],
            type=Monitors(),
            shell_complete=completion.files,
        ),
    ]


def every() -> list[Decorator]:
    """All options, and the argument for monitors."""
    return [
        *essentials(),
        *starts(),
        *changes(),
        *rollouts(),
        *users(),
        *on_demand(),
        *configs(),
        *logs(),
        *room(),
        *record(),
        *hooks(),
        *confinement(),
        *services(),
        *migrating(),
        *run(),
    ]
