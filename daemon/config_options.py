"""The options that name a file with further options."""

import typing

import click

from ..journal.places import default_config
from . import config_file
from .option_kinds import Decorator, option

if typing.TYPE_CHECKING:
    from .uwsgi.plan import Plan


def _load(context: click.Context, parameter: click.Parameter, path: str | None) -> "Plan | None":
    """Take the options of an Emperor's config. Without one its readers are not imported."""
    if path is None:
        return None
    from . import from_uwsgi

    return from_uwsgi.load(context, path)


def config_files() -> list[Decorator]:
    """Our own file, and that of uWSGI's Emperor."""
    return [
        option(
            "--config",
            metavar="FILE",
            is_eager=True,
            default=default_config,
            show_default="emperor.yml in the unit's ConfigurationDirectory=, if it is there",
            callback=config_file.load,
            help="Read options from this YAML file, by the same names. The command line wins.",
        ),
        option(
            "--from",
            metavar="EMPEROR.INI",
            is_eager=True,
            callback=_load,
            help="Take the options of this config of uWSGI's Emperor, .ini, .yml, .xml or .json, as"
            " it stands. A unit, a script or a command line in quotes that starts one will do, too."
            " The command line wins.",
        ),
    ]
