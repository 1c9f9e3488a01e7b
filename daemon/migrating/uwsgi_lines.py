"""Where a file starts uWSGI: a unit, a job of Upstart, a supervisord.conf, or a shell script.

The reader also finds the user, the folder and the environment around the command line. They become
options of uWSGI, because they have the same effect. All else is told.
"""

import os
import re
import shlex
from collections.abc import Container, Iterator, Mapping
from typing import Final

from . import kinds, supervisord_config, unit_file, unit_words
from .found import Refused
from .uwsgi_calls import ASSIGNMENT, CALL, Around, Script, Started

_UPSTART: Final = re.compile(r"^\s*(exec|respawn|start on|stop on|script)\b", re.MULTILINE)
# --from does none of these, and vassals would notice.
_PREPARES: Final = (
    "ExecStartPre", "ExecStartPost", "ExecStopPost", "EnvironmentFile", "RuntimeDirectory",
    "LimitNOFILE", "UMask", "SupplementaryGroups", "AmbientCapabilities", "PassEnvironment",
)  # fmt: skip
_IN_UNIT: Final = "keep the unit, and have its ExecStart run 'emperor --from' with the command line"
_OF_UNIT: Final = {"User": "uid", "Group": "gid", "WorkingDirectory": "chdir"}
_OF_UPSTART: Final = {"setuid": "uid", "setgid": "gid", "chdir": "chdir"}


def is_command(text: str) -> bool:
    """Whether the value of --from is a command line, and no file."""
    return runs_uwsgi(text) and not os.path.lexists(text)


def runs_uwsgi(text: str) -> bool:
    """Whether a text may have a command line of uWSGI."""
    return CALL.search(text) is not None


def find(path: str, text: str, environ: Mapping[str, str]) -> list[Started]:
    """All command lines of uWSGI in a file. Raises Refused."""
    try:
        kind = kinds.kind_of(path, text)
        if kind == kinds.UNIT:
            return list(_unit(path, text, environ))
        if kind == kinds.SUPERVISORD:
            return list(_supervisord(path, text, environ))
        if kind is None and _UPSTART.search(text) and path.endswith(".conf"):
            return list(_upstart(text, environ))
        return [] if kind == kinds.PROCFILE else _scripted(text, environ)
    except (ValueError, unit_file.NotExpanded, supervisord_config.NotExpanded) as flaw:
        raise Refused(f"{path}: {flaw}") from None


def _unit(path: str, text: str, environ: Mapping[str, str]) -> Iterator[Started]:
    for unit in unit_file.units(path, environ):
        keys = [line for found in unit.all().values() for line in found]
        starts = [line for line in keys if line.key == "ExecStart" and runs_uwsgi(line.value)]
        if not starts:
            continue  # its flaws are none of an emperor's
        found = [_of_unit(line, text, unit) for line in keys if line.section == "Service"]
        around = [each for one in found for each in one]
        known = {each.value.partition("=")[0]: each.value.partition("=")[2]
                 for each in around if each.option == "env"}  # fmt: skip
        for line in starts:
            number = _number(text, line.key, line.value)
            for each in unit_words.execs(line.value, unit.expand):
                script = Script({**environ, **known})
                for call in script.command(list(each.words), number):
                    beside = (*around, *call.around, *script.beside.values())
                    yield call._replace(around=beside)


def _of_unit(line: unit_file.Line, text: str, unit: unit_file.Unit) -> list[Around]:
    number = _number(text, line.key, line.value)
    if option := _OF_UNIT.get(line.key):
        value = unit.expand(line.value).removeprefix("-")
        return [Around(number, line.key, value, option)]
    if line.key == "Environment":
        return [
            Around(number, line.key, unit.expand(each), "env")
            for each in unit_words.words(line.value)
        ]
    if line.key in _PREPARES:
        return [Around(number, line.key, line.value, says=_IN_UNIT)]
    return []


def _supervisord(path: str, text: str, environ: Mapping[str, str]) -> Iterator[Started]:
    config = supervisord_config.Config(path, environ)
    for section in config.sections():
        items = config.items(section)
        if not section.startswith("program:") or "command" not in items:
            continue
        more = {"program_name": section.partition(":")[2], "process_num": 0, "group_name": ""}
        value = {key: config.expand(each, more) for key, each in items.items()
                 if key in ("command", "user", "directory", "environment")}  # fmt: skip
        number = _number(text, "command", items["command"])
        calls = list(Script(environ).command(shlex.split(value["command"]), number))
        if not calls:
            continue
        around = [
            Around(_number(text, key, items[key]), key, value[key], option)
            for key, option in (("user", "uid"), ("directory", "chdir"))
            if key in value
        ]
        number = _number(text, "environment", items.get("environment", ""))
        around += [
            Around(number, "environment", f"{name}={each}", "env")
            for name, each in supervisord_config.variables(value.get("environment", "")).items()
        ]
        for call in calls:
            yield call._replace(around=(*around, *call.around))


def _upstart(text: str, environ: Mapping[str, str]) -> Iterator[Started]:
    """A job: the stanzas of one line, and the command of ``exec`` or of ``script``."""
    around: list[Around] = []
    known: dict[str, str] = {}
    before = False
    for number, line in enumerate(text.splitlines(), 1):
        key, _, value = line.strip().partition(" ")
        value = value.strip().strip("\"'")
        if key in ("pre-start", "post-start", "pre-stop", "post-stop"):
            before = value.startswith("script")
            says = "do it in a unit, by ExecStartPre="
            around.append(Around(number, key, value, says=says))
        elif line.strip() == "end script":
            before = False
        elif before:
            continue
        elif option := _OF_UPSTART.get(key):
            around.append(Around(number, key, value, option))
        elif key == "env" and (pair := ASSIGNMENT.fullmatch(value)):
            known[pair[1]] = pair[2].strip("\"'")
            around.append(Around(number, key, f"{pair[1]}={known[pair[1]]}", "env"))
    outside = re.sub(r"(?ms)^\s*(?:pre|post)-\w+ script\s*$.*?^\s*end script", _blank, text)
    for each in _scripted(outside, {**environ, **known}, ("umask", "ulimit")):
        yield each._replace(around=(*around, *each.around))


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")


def _scripted(
    text: str, environ: Mapping[str, str], told: Container[str] | None = None
) -> list[Started]:
    """The calls of uWSGI in a shell script, each with all commands beside, or those ``told``."""
    script = Script(environ)
    calls = script.read(text)
    beside = [each for key, each in script.beside.items() if told is None or key in told]
    return [each._replace(around=(*each.around, *beside)) for each in calls]


def _number(text: str, key: str, value: str) -> int:
    """The number of the line that begins with the key and has the value; 0 if none has."""
    start = value.split("\n")[0][:20].rstrip()
    for number, line in enumerate(text.splitlines(), 1):
        name, _, rest = line.strip().partition("=")
        if name.strip().lower() == key.lower() and start in rest:
            return number
    return 0
