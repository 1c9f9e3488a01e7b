"""The options of ``emperor --migrate``, and how it ends: no daemon starts.

They are for one call, so neither the environment nor the file of ``--config`` can have them. No
daemon needs the readers, so these are imported when the option is given.
"""

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import click
from click.core import ParameterSource

from .cli import completion
from .cli.commandline import os_error_text
from .config_file import FROM, NO_EMPEROR
from .keeper.link import KeeperLink
from .option_kinds import Decorator

_REFUSED: Final = 1
_FOLDER: Final = "vassals"  # unless -o names another one


class _Formation(click.ParamType[dict[str, int]]):
    """How many of each: ``web=2,worker=1``."""

    name = "formation"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, int]:
        if isinstance(value, dict):
            return value
        pairs = [each.strip().partition("=") for each in value.split(",")]
        for name, _, count in pairs:
            if not name or not re.fullmatch(r"[0-9]{1,3}", count, re.ASCII):
                self.fail(f"{value!r} is no formation; write web=2,worker=1", param, ctx)
        return {name: int(count) for name, _, count in pairs}


def migrating() -> list[Decorator]:
    """The files of other supervisors, and where their vassals go."""
    return [
        click.option(
            "--migrate",
            multiple=True,
            metavar="FILE",
            is_eager=True,  # an argument after it is another file
            shell_complete=completion.files,
            help="Write the programs of a supervisord.conf, a Procfile or a .service as a folder of"
            " vassals. Say what became of each line, and start nothing. Arguments are further"
            " files. The config of uWSGI's Emperor is written to standard output, as YAML for"
            " --config.",
        ),
        click.option(
            "-o",
            "--output",
            metavar="DIR",
            shell_complete=completion.files,
            show_default=_FOLDER,
            help="The folder that --migrate writes.",
        ),
        click.option(
            "-m",
            "--formation",
            metavar="NAME=N,...",
            type=_Formation(),
            help="How many vassals each process of a Procfile becomes: web=2,worker=1. all=N is for"
            " those that are not named.",
        ),
        click.option(
            "--overwrite",
            is_flag=True,
            help="Have --migrate replace files that are there with another text.",
        ),
    ]


def required(
    context: click.Context, parameter: click.Parameter, monitors: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse a daemon without monitors; --migrate needs none."""
    if not monitors and not context.params.get("migrate") and not context.resilient_parsing:
        config = context.meta.get(FROM)
        why = f"{config} {NO_EMPEROR}"
        raise click.MissingParameter(why if config else None, ctx=context, param=parameter)
    return monitors


def _migrate_emperor(files: tuple[str, ...], chosen: Mapping[str, Any]) -> None:
    """Write the config of uWSGI's Emperor as YAML. Raises UsageError and BadParameter."""
    from . import from_uwsgi

    if len(files) > 1:
        raise click.UsageError("--migrate takes one config of uWSGI's Emperor, and no other file")
    for option in ("output", "overwrite", "formation"):
        if chosen[option]:
            raise click.UsageError(
                f"--{option} is for folders of vassals; --migrate writes an Emperor's config to"
                " standard output"
            )
    from_uwsgi.migrate(files[0])


def migrate(chosen: Mapping[str, Any]) -> NoReturn:
    """Do what --migrate asks for, and exit."""
    from . import from_uwsgi
    from .migrating import run
    from .migrating.found import Refused

    KeeperLink.from_environment().passing()
    source = click.get_current_context().get_parameter_source("monitor")
    more = chosen["monitor"] if source is ParameterSource.COMMANDLINE else ()
    files = tuple(dict.fromkeys((*chosen["migrate"], *more)))
    if any(map(from_uwsgi.is_config, files)):
        _migrate_emperor(files, chosen)
        sys.exit()
    request = run.Request(
        files, chosen["output"] or _FOLDER, chosen["overwrite"], chosen["formation"] or {}
    )
    try:
        run.migrate(request, os.environ)
    except Refused as flaw:
        click.echo(f"Error: {flaw}", err=True)
        sys.exit(_REFUSED)
    except OSError as error:
        click.echo(f"Error: {os_error_text(error)}", err=True)
        sys.exit(_REFUSED)
    sys.exit()
