"""Where a file starts uWSGI: a unit, a job of Upstart, a supervisord.conf, or a shell script.

The reader also finds the user, the folder and the environment around the command line. They become
options of uWSGI, because they have the same effect. All else is told.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from . import kinds, supervisord_config, unit_file, unit_words
from .found import Refused

_PROGRAM: Final = re.compile(r"uwsgi([-_.0-9].*)?")
_CALL: Final = re.compile(r"(?:^|[\s/])uwsgi\S*\s")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)|([(`]))|(`)")
_SINGLE: Final = re.compile(r"'[^']*'")
_LITERAL: Final = "\0"  # a dollar sign between single quotes
_BEFORE: Final = ("exec", "sudo", "nohup", "env", "setsid", "ionice", "nice", "-E", "--")
_UPSTART: Final = re.compile(r"^\s*(exec|respawn|start on|stop on|script)\b", re.MULTILINE)
# --from does none of these, and vassals would notice.
_PREPARES: Final = (
    "ExecStartPre", "ExecStartPost", "ExecStopPost", "EnvironmentFile", "RuntimeDirectory",
    "LimitNOFILE", "UMask", "SupplementaryGroups", "AmbientCapabilities", "PassEnvironment",
)  # fmt: skip
_IN_UNIT: Final = "keep the unit, and have its ExecStart run 'emperor --from' with the command line"
_OF_UNIT: Final = {"User": "uid", "Group": "gid", "WorkingDirectory": "chdir"}
_OF_UPSTART: Final = {"setuid": "uid", "setgid": "gid", "chdir": "chdir"}


class Around(NamedTuple):
    """A line beside the command: an option of uWSGI with the same effect, or advice."""

    line: int
    key: str
    value: str
    option: str = ""
    says: str = ""


class Started(NamedTuple):
    """A command line of uWSGI, without the program, and what stands around it."""

    line: int
    words: tuple[str, ...]
    around: tuple[Around, ...] = ()


def is_command(text: str) -> bool:
    """Whether the value of --from is a command line, and no file."""
    return runs_uwsgi(text) and not os.path.lexists(text)


def runs_uwsgi(text: str) -> bool:
    """Whether a text may have a command line of uWSGI."""
    return _CALL.search(text) is not None


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
        return [] if kind == kinds.PROCFILE else list(_scripted(text, environ))
    except (ValueError, unit_file.NotExpanded, supervisord_config.NotExpanded) as flaw:
        raise Refused(f"{path}: {flaw}") from None


def _unit(path: str, text: str, environ: Mapping[str, str]) -> Iterator[Started]:
    for unit in unit_file.units(path, environ):
        keys = [line for found in unit.all().values() for line in found]
        around = [_of_unit(line, text, unit) for line in keys if line.section == "Service"]
        known = {each.value.partition("=")[0]: each.value.partition("=")[2]
                 for one in around for each in one if each.option == "env"}  # fmt: skip
        for line in keys:
            if line.key != "ExecStart":
                continue
            for each in unit_words.execs(line.value, unit.expand):
                words = _expanded(list(each.words), {**environ, **known})
                if (found := _behind_program(words)) is not None:
                    flat = tuple(one for each in around for one in each)
                    yield Started(_number(text, line.key, line.value), tuple(found[1]), flat)


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
        found = _behind_program(shlex.split(value["command"]))
        if found is None:
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
        yield Started(_number(text, "command", items["command"]), tuple(found[1]), tuple(around))


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
        elif key == "env" and (pair := _ASSIGNMENT.fullmatch(value)):
            known[pair[1]] = pair[2].strip("\"'")
            around.append(Around(number, key, f"{pair[1]}={known[pair[1]]}", "env"))
    outside = re.sub(r"(?ms)^\s*(?:pre|post)-\w+ script\s*$.*?^\s*end script", _blank, text)
    for each in _scripted(outside, {**environ, **known}):
        yield each._replace(around=(*around, *each.around))


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")


def _scripted(text: str, environ: Mapping[str, str]) -> Iterator[Started]:
    """The commands of a shell script. Redirections, sudo and nohup have no effect here."""
    known = dict(environ)
    begun, begins = "", 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        begins = begins if begun else number
        if line.endswith("\\"):
            begun += f"{line[:-1]} "
            continue
        whole, begun = begun + line, ""
        for words in _commands(whole):
            pairs = [pair for each in words if (pair := _ASSIGNMENT.fullmatch(each))]
            if len(pairs) == len(words):
                known |= {pair[1]: pair[2].replace(_LITERAL, "$") for pair in pairs}
                continue
            found = _behind_program(words)
            if found is None:
                continue
            around = [
                Around(begins, "environment", each, "env") for each in _expanded(found[0], known)
            ]
            yield Started(begins, tuple(_expanded(found[1], known)), tuple(around))


def _commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line, without redirections."""
    if "uwsgi" not in line and "=" not in line:
        return
    line = _SINGLE.sub(lambda found: found[0].replace("$", _LITERAL), line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    try:
        tokens = [*lexer, ";"]
    except ValueError:
        return  # a line that is no command, or goes on
    words: list[str] = []
    skip = False
    for token in tokens:
        if token and set(token) <= set("<>&|;"):
            skip = "<" in token or ">" in token
            if skip and words and words[-1].isdigit():
                words.pop()
            if not skip and words:
                yield words
                words = []
        elif skip:
            skip = False
        else:
            words.append(os.path.expanduser(token))


def _behind_program(words: list[str]) -> tuple[list[str], list[str]] | None:
    """The assignments before uWSGI and the words behind it; None if the command is another."""
    pairs: list[str] = []
    for at, word in enumerate(words):
        if _PROGRAM.fullmatch(os.path.basename(word)):
            return pairs, words[at + 1 :]
        if _ASSIGNMENT.fullmatch(word):
            pairs.append(word)
        elif word not in _BEFORE:
            return None
    return None


def _expanded(words: list[str], known: Mapping[str, str]) -> list[str]:
    """The words with their variables replaced. Raises ValueError."""

    def one(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not name:
            raise ValueError("its command line runs another command; give it with its output")
        if name not in known:
            raise ValueError(f"${name} is not set here; set it, or give the command line itself")
        return known[name]

    return [_VARIABLE.sub(one, word).replace(_LITERAL, "$") for word in words]


def _number(text: str, key: str, value: str) -> int:
    """The number of the line that begins with the key and has the value; 0 if none has."""
    start = value.split("\n")[0][:20].rstrip()
    for number, line in enumerate(text.splitlines(), 1):
        name, _, rest = line.strip().partition("=")
        if name.strip().lower() == key.lower() and start in rest:
            return number
    return 0
