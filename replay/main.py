"""``emperor-replay``: the command line. ``commands/`` has a file for each command.

Each command opens the journal, asks one of the other files here, and prints. Output
for people is text. JSON and config texts are bytes, whatever the locale.

Exit codes: 0; 1 not found, or diverged; 2 usage; 3 unreadable or damaged.
"""

from importlib import import_module
from keyword import iskeyword
from typing import Final, NoReturn

import click

from ..daemon.cli import commandline, completion
from ..daemon.cli.commandline import Group
from ..journal.errors import JournalError
from . import completing, hosts, joining
from .salvage import OPTION
from .shared import SOURCES, UNREADABLE, complain

# Each is a module of ``commands/`` with a ``command``. A hyphen is an underscore there, and a name
# that Python keeps for itself has one behind it.
COMMANDS: Final = (
    "archive",
    "around",
    "bisect",
    "blame",
    "diff",
    "events",
    "export",
    "export-configs",
    "graph",
    "history",
    "import",
    "incident",
    "report",
    "runs",
    "search",
    "show",
    "simulate",
    "state",
    "timeline",
    "undo",
    "verify",
    "why",
)


# Those that take several journals.
SEVERAL: Final = ("around", "events", "history", "report")


class _Commands(Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name.replace("-", "_")
        module = import_module(f".commands.{name}", __package__)
        command: click.Command = module.command
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--journal",
    "journals",
    metavar="[HOST=]PATH",
    shell_complete=completion.files,
    multiple=True,
    help="The journal to read, or in EMPEROR_JOURNAL. Repeatable: archives of a journal are read"
    " as one with it. around, events, history and report also merge the journals of several hosts"
    " by time.  [default: the one of this machine or user]",
)
@click.option(
    "--salvage",
    is_flag=True,
    help="Read on past damaged events, and leave out what follows from them; exits with 3 then.",
)
@click.version_option(package_name="emperord", prog_name="emperor-replay")
@click.pass_context
def cli(context: click.Context, journals: tuple[str, ...], salvage: bool) -> None:
    """Read a journal: what was deployed, when, from where, and why things are as they are.

    Works while a daemon runs, on a copy, on an archive. Only 'archive' writes to it. T is a time as
    in 2026-11-24T06:31:03Z (local without an offset), a date, a clock time (06:41: the last one),
    or yesterday. It is also '10 minutes ago', 10m, -10m, or an event: @SEQ.
    """
    told = completing.journals(journals)
    if "" in told:
        raise click.BadParameter("has no value", param_hint="--journal")
    try:
        found = hosts.sources(told)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--journal") from None
    if len(found) > 1:
        try:
            found = joining.with_archives(found)
        except JournalError as error:
            context.exit(complain(error, UNREADABLE))
    if len(found) > 1 and context.invoked_subcommand not in SEVERAL:
        raise click.UsageError(
            f"{context.invoked_subcommand} reads one journal and its archives; give --journal once"
            f" ({', '.join(SEVERAL)} take several). These do not continue each other:"
            f" {joining.spans(found)}"
        )
    context.obj = found[0].path
    context.meta[SOURCES] = found
    context.meta[OPTION] = salvage


def main() -> NoReturn:
    """The command ``emperor-replay``."""
    commandline.run(cli, "emperor-replay")


if __name__ == "__main__":
    main()
