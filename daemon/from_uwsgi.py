"""``--from`` and ``--migrate``: an emperor's own config of uWSGI, run as it stands, or as YAML."""

import logging
import os
from typing import Any, Final

import click
from click.core import ParameterSource

from .config_file import CONTRADICT, FROM
from .migrating.kinds import kind_of
from .uwsgi import as_yaml, reader
from .uwsgi.emperor_options import Fate
from .uwsgi.errors import Unreadable
from .uwsgi.formats import FORMATS
from .uwsgi.plan import Entry, Plan, make
from .uwsgi.reader import LARGEST

log = logging.getLogger("emperor")

_RIGHTS_OF_ROOT: Final = ("user", "as_root")
_GIVEN: Final = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def load(context: click.Context, path: str) -> Plan | None:
    """Take the config's values as defaults, below the command line and the environment."""
    if context.resilient_parsing:
        return None
    if context.get_parameter_source("config") in _GIVEN:
        raise click.UsageError(CONTRADICT)
    plan = _read(path)
    if refused := plan.with_fate(Fate.REFUSED):
        lines = "".join(f"\n  {entry} ({entry.rule})" for entry in refused)
        if warned := plan.with_fate(Fate.WARNED):
            lines += "\nThese are not taken either, and need not be removed:"
            lines += "".join(f"\n  {entry}" for entry in warned)
        raise click.BadParameter(
            f"ignoring these lines would do harm: see to them and remove them, or start by --config"
            f" with the output of --migrate{lines}"
        )
    known = {str(each.name): each for each in context.command.params}
    defaults: dict[str, Any] = {}
    for ours, entries in plan.values().items():
        name = ours.replace("-", "_")
        if name in _RIGHTS_OF_ROOT and os.geteuid() != 0:
            continue  # as uWSGI, which ignores uid and gid then
        option = known[name]
        for entry in entries:
            _check(entry, option, context)
        several = option.multiple or option.nargs == -1
        values = [entry.value for entry in entries]
        defaults[name] = values if several else values[-1]
    context.default_map = defaults
    context.meta[FROM] = path
    return plan


def is_config(path: str) -> bool:
    """Whether a file for ``--migrate`` is a config of uWSGI: by its ending, and it is no other."""
    file, _, section = path.rpartition(":")
    file = file if file and "/" not in section else path
    if os.path.splitext(file)[1] not in FORMATS:
        return False
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            return kind_of(file, opened.read(LARGEST)) is None
    except OSError:
        return True  # its reader tells the error


def migrate(path: str) -> None:
    """Write the config as YAML."""
    click.echo(as_yaml.write(path, _read(path)), nl=False)


def enter(plan: Plan) -> None:
    """Set the variables of the config for vassals, and warn of the lines that are not taken."""
    os.environ.update(plan.environment)
    if os.geteuid() != 0 and any(ours in plan.values() for ours in ("user", "as-root")):
        log.warning("--from: uid and gid do nothing, as this daemon is not root's")
    for entry in plan.with_fate(Fate.WARNED):
        log.warning("--from: %s", entry)


def _read(path: str) -> Plan:
    try:
        return make(reader.read(path))
    except Unreadable as flaw:
        raise click.BadParameter(str(flaw)) from None


def _check(entry: Entry, option: click.Parameter, context: click.Context) -> None:
    """Raise BadParameter, with the line, for a value that the option does not take."""
    try:
        option.type.convert(entry.value, option, context)
    except click.BadParameter as wrong:
        raise click.BadParameter(f"{entry.place}: {entry.line}: {wrong.message}") from None
