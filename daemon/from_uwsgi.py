"""``--from`` and ``--migrate``: an emperor's own config of uWSGI, run as it stands, or as YAML.

A file that starts an emperor by a command line is one as well: a unit, a script and the like.
"""

import logging
import os
import re
from typing import Any, Final, TextIO

import click
from click.core import ParameterSource

from ..monitors.names import shown
from .config_file import CONTRADICT, FROM, NO_EMPEROR
from .migrating import uwsgi_lines
from .migrating.found import Refused
from .migrating.kinds import SUPERVISORD, UNIT, kind_of
from .migrating.uwsgi_calls import Started
from .uwsgi import as_yaml, command_line, reader
from .uwsgi.command_line import Mistaken
from .uwsgi.emperor_options import Fate
from .uwsgi.errors import Unreadable
from .uwsgi.formats import FORMATS
from .uwsgi.plan import Entry, Plan, make
from .uwsgi.reader import LARGEST, Option

log = logging.getLogger("emperor")

_COMMAND_LINE: Final = "command line"
_RIGHTS_OF_ROOT: Final = ("user", "as_root")
_PROGRAMS: Final = re.compile(
    r"^\[(?:program|fcgi-program|eventlistener|include)\b.*\]", re.MULTILINE
)
_GIVEN: Final = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


class _Flawed(click.BadParameter):
    """A command line of uWSGI that cannot be taken: it may be an Emperor's."""


def load(context: click.Context, path: str) -> Plan | None:
    """Take the config's values as defaults, below the command line and the environment."""
    if context.resilient_parsing:
        return None
    if context.get_parameter_source("config") in _GIVEN:
        raise click.UsageError(CONTRADICT)
    plan = _read(path)
    if refused := plan.with_fate(Fate.REFUSED):
        lines = "".join(dict.fromkeys(f"\n  {entry} ({entry.rule})" for entry in refused))
        if warned := plan.with_fate(Fate.WARNED):
            lines += "\nThese are not taken either, and need not be removed:"
            lines += "".join(dict.fromkeys(f"\n  {entry}" for entry in warned))
        raise click.BadParameter(
            f"ignoring these lines would do harm: see to them and remove them, or start by --config"
            f" with the output of --migrate{lines}"
        )
    known = {str(each.name): each for each in context.command.params}
    defaults: dict[str, Any] = {}
    flaws: list[str] = []
    for ours, entries in plan.values().items():
        name = ours.replace("-", "_")
        if name in _RIGHTS_OF_ROOT and os.geteuid() != 0:
            continue  # as uWSGI, which ignores uid and gid then
        option = known[name]
        flaws += [flaw for each in entries if (flaw := _flaw(each, plan, option, context))]
        several = option.multiple or option.nargs == -1
        values = [entry.value for entry in entries]
        defaults[name] = values if several else values[-1]
    if flaws:
        told = {flaw.split(": ")[0] for flaw in flaws}
        flaws += [str(each) for each in plan.entries if each.note and each.place not in told]
        raise click.BadParameter("\n  ".join(flaws))
    context.default_map = defaults
    context.meta[FROM] = path
    return plan


def is_config(path: str) -> bool:
    """Whether a file for ``--migrate`` is an Emperor's: a config of uWSGI, or what starts one.

    A file that starts other programs as well is none.
    """
    if uwsgi_lines.is_command(path):
        return True
    file, _, section = path.rpartition(":")
    file = file if file and "/" not in section else path
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            text = opened.read(LARGEST)
    except OSError:
        return os.path.splitext(file)[1] in FORMATS  # its reader tells the error
    kind = kind_of(file, text)
    if os.path.splitext(file)[1] in FORMATS:
        return kind is None
    if kind == SUPERVISORD and len(_PROGRAMS.findall(text)) > 1:
        return False
    try:
        return _has_monitor(_started(path))
    except (_Flawed, Unreadable):
        # A unit with a flaw may start an Emperor, and that is no vassal.
        return kind == UNIT or (kind is None and uwsgi_lines.runs_uwsgi(text))
    except click.BadParameter:
        # No other reader would take it, so its flaw is told.
        return kind is None and uwsgi_lines.runs_uwsgi(text)


def migrate(path: str) -> None:
    """Write the config as YAML."""
    click.echo(as_yaml.write(path, _read(path)), nl=False)


def enter(plan: Plan) -> None:
    """Set the variables of the config for vassals, and warn of the lines that are not taken."""
    os.environ.update(plan.environment)
    if os.geteuid() != 0 and any(ours in plan.values() for ours in ("user", "as-root")):
        log.warning("--from: uid and gid do nothing, as this daemon is not root's")
    warned = (entry for entry in plan.entries if entry.note or entry.fate is Fate.WARNED)
    for line in dict.fromkeys(map(str, warned)):  # a loop repeats its options
        log.warning("--from: %s", line)


def _read(path: str) -> Plan:
    file, _, section = path.rpartition(":")
    file = file if file and "/" not in section else path
    try:
        if os.path.splitext(file)[1] in FORMATS and not uwsgi_lines.is_command(path):
            return make(reader.read(path))
        return _started(path)
    except Unreadable as flaw:
        raise click.BadParameter(str(flaw)) from None


def _started(path: str) -> Plan:
    """The plan for the Emperor that a command line, or a file with one, starts.

    Raises BadParameter, and Unreadable where a config that it names cannot be read.
    """
    if uwsgi_lines.is_command(path):
        file, text = _COMMAND_LINE, path
    else:
        file = path
        with _readable(path) as opened:
            text = opened.read(LARGEST)
    try:
        found = uwsgi_lines.find(file, text, os.environ)
    except Refused as flaw:
        raise _Flawed(str(flaw)) from None
    except OSError as flaw:
        raise click.BadParameter(str(flaw)) from None
    flaws: list[str] = []
    plans = []
    for each in found:
        try:
            plans.append(_plan(file, each))
        except Unreadable as flaw:
            flaws.append(str(flaw))
        except Mistaken as flaw:
            flaws.append(f"{shown(file)}: {flaw}")
    emperors = [plan for plan in plans if _has_monitor(plan)]
    if len(emperors) == 1:
        return emperors[0]
    if flaws:
        raise _Flawed(flaws[0])
    named = [config for each in found for config in command_line.configs(each.words)]
    if named and not emperors:
        none = f"starts no emperor of uWSGI: {shown(named[0])} {NO_EMPEROR}"
        raise click.BadParameter(f"{shown(file)} {none}")
    many = f"starts {len(emperors)} emperors" if emperors else "starts no emperor of uWSGI"
    raise (_Flawed if emperors else click.BadParameter)(
        f"{shown(file)} {many}; give a config, or a command line: --from 'uwsgi --emperor DIR'"
    )


def _readable(path: str) -> TextIO:
    try:
        return open(path, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise click.BadParameter(f"{shown(path)} cannot be read: {error.strerror}") from None


def _plan(file: str, found: Started) -> Plan:
    """The options of a command line, and of what stands around it, which uWSGI sees first or last.

    A user of the unit comes last: uWSGI runs as that user, and ignores its own uid then.
    """
    users = [each for each in found.around if each.option in ("uid", "gid")]
    first = [each for each in found.around if each.option and each not in users]
    line = 0 if file == _COMMAND_LINE else found.line
    folder, given = "", []
    for each in first:
        value = each.value
        if each.option == "chdir":
            value = folder = os.path.join(folder, value)
        given.append(reader.Given(each.line, each.option, value))
    given += [
        reader.Given(line, key, command_line.beginning_in(folder, key, value))
        for key, value in command_line.options(found.words)
    ]
    given += [reader.Given(each.line, each.option, each.value) for each in users]
    plan = make(reader.read_given(file, given))
    plan.entries += [
        Entry(Option(each.key, each.value, file, each.line, each.value), Fate.WARNED, each.says)
        for each in found.around
        if not each.option
    ]
    return plan


def _has_monitor(plan: Plan) -> bool:
    return "monitor" in plan.values()


def _flaw(entry: Entry, plan: Plan, option: click.Parameter, context: click.Context) -> str | None:
    """Why the option does not take the value, with the line; None if it does."""
    try:
        option.type.convert(entry.value, option, context)
    except click.BadParameter as wrong:
        if "there is no user" in wrong.message:  # the line of gid has the whole user as well
            users = [each for each in plan.entries if each.ours == entry.ours]
            entry = next(each for each in users if each.option.key.endswith("uid"))
        note = f"; {entry.note}" if entry.note else ""
        return f"{entry.place}: {entry.line}: {wrong.message}{note}"
    return None
