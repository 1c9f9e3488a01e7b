"""From units of systemd: each service is a vassal, and each instance of a template one."""

import contextlib
import glob
import os
import shlex
from collections.abc import Mapping
from typing import Final

from . import unit_advice, unit_socket
from .found import Found, Vassal, file_name
from .unit_file import Line, NotExpanded, Unit, units
from .unit_settings import ADD_UP, COMMANDS, LAST, NO_SPECIFIERS, SETTINGS, TIMEOUTS, USERS
from .unit_words import Exec, execs, has_quotes, words

_SERVICE: Final = "Service"
_HERE: Final = ("Type", "ExecStart", "ExecStartPre", "Environment", "EnvironmentFile")
_TABLES: Final = (SETTINGS, TIMEOUTS, COMMANDS, LAST, USERS)
_STOP: Final = "90s"  # systemd's default
_AS_ROOT: Final = "+!"
_LATER: Final = "a later line has this key, and counts alone, as for systemd"
_SPLITS: Final = (
    "the shell splits a value at blanks alone, and keeps quotes in it; write such words into"
    " the command"
)
_NO_ASSIGNMENT: Final = "has no =, so systemd ignores it"

Keys = dict[tuple[str, str], list[Line]]


def read(path: str, source: str, environ: Mapping[str, str]) -> tuple[Found, list[str]]:
    """The vassals of a service, and the files that they are made of. Raises Refused, OSError."""
    found = Found(source)
    files = []
    for unit in units(path, environ):
        vassal = Vassal(file_name(unit.stem), "")
        files += unit.files
        files += _Service(vassal, unit, environ).read()
        found.add(vassal)
    return found, files


class _Service:
    """One service, on its way to a vassal."""

    def __init__(self, vassal: Vassal, unit: Unit, environ: Mapping[str, str]) -> None:
        self._vassal = vassal
        self._unit = unit
        self._environ = environ
        self._keys = unit.all()
        self._type = self._last("Type", "simple")

    def read(self) -> list[str]:
        """Take all keys; the further files that were read."""
        self._command()
        self._kind()
        for key, take in USERS.items():
            self._take(key, take)
        self._variables()
        self._files()
        for key, take in SETTINGS.items():
            self._take(key, take)
        for key in self._unit.latest_first(_SERVICE, TIMEOUTS):
            self._take(key, TIMEOUTS[key])
        for key, command in COMMANDS.items():
            found = self._keys.get((_SERVICE, key), [])
            values = [(line.text, self._expanded(line)) for line in found]
            command(self._vassal, [(text, value) for text, value in values if value is not None])
        for key, take in LAST.items():
            self._take(key, take)
        sockets = unit_socket.take(self._vassal, self._unit, self._environ)
        self._defaults()
        for (section, key), found in self._keys.items():
            for line in found:
                self._rest(section, key, line)
        for line in self._unit.ignored():
            self._vassal.name_line(line.text, line.flaw)
        for line in self._unit.taken_back():
            self._vassal.take(line.text)
        self._timer()
        return sockets

    def _last(self, key: str, default: str = "") -> str:
        found = self._keys.get((_SERVICE, key))
        return found[-1].value if found else default

    def _take(self, key: str, take: object) -> None:
        found = self._keys.get((_SERVICE, key), [])
        if key not in ADD_UP:
            self._name_former(found)
            found = found[-1:]
        for line in found:
            value = self._expanded(line)
            if value is not None and callable(take):
                take(self._vassal, line.text, value)

    def _name_former(self, found: list[Line]) -> None:
        """Name the lines that differ from the last one, where this one counts alone."""
        for line in found[:-1]:
            if line.value != found[-1].value:
                self._vassal.name_line(line.text, _LATER)

    def _expanded(self, line: Line) -> str | None:
        """The value with specifiers expanded. None if it cannot be, and that is named."""
        if line.key in NO_SPECIFIERS:
            return line.value
        try:
            return self._unit.expand(line.value)
        except NotExpanded as flaw:
            self._vassal.name_unfinished(line.text, f"{flaw}; write the value")
            return None

    # The program

    def _command(self) -> None:
        starts = self._keys.get((_SERVICE, "ExecStart"), [])
        before = self._keys.get((_SERVICE, "ExecStartPre"), [])
        if not starts:
            self._vassal.name_unfinished("ExecStart", "there is none")
            for line in before:
                self._vassal.name_line(line.text, "it comes before no program")
            return
        text = "; ".join(line.text for line in (*before, *starts))
        try:
            prepared = [each for line in before for each in execs(line.value, self._unit.expand)]
            programs = [each for line in starts for each in execs(line.value, self._unit.expand)]
        except NotExpanded as flaw:
            self._vassal.name_unfinished(text, f"{flaw}; write the command")
            return
        except ValueError as flaw:
            self._vassal.name_unfinished(text, str(flaw))
            return
        if not programs:
            self._vassal.name_unfinished(text, "it names no program")
            return
        if any(set(each.prefixes) & set(_AS_ROOT) for each in (*prepared, *programs)):
            self._vassal.name_unfinished(
                text, "+ and ! run it with more rights than its user has; a vassal has those alone"
            )
        all_of_them = self._with_values(text, [*prepared, *programs])
        split = sorted({name for each in all_of_them for name in each.split})
        splits = ", ".join(f"${name}" for name in split) if self._has_files() else ""
        says = f"{splits}: {_SPLITS}" if splits else ""
        if len(all_of_them) > 1:
            self._by_shell(text, all_of_them, says)
        else:
            self._alone(text, all_of_them[0], says)

    def _with_values(self, text: str, programs: list[Exec]) -> list[Exec]:
        """The programs with the words of each ``$X`` that a shell would split otherwise."""
        quoted = {}
        for line in self._keys.get((_SERVICE, "Environment"), []):
            with contextlib.suppress(NotExpanded, ValueError):  # they are named with the variables
                found = [self._unit.expand(word).partition("=") for word in words(line.value)]
                quoted.update({name: value for name, equals, value in found if equals})
        quoted = {name: value for name, value in quoted.items() if has_quotes(value)}
        alone = [name for each in programs for name in each.split if name in quoted]
        if alone and self._has_files():
            self._vassal.name_unfinished(
                text, f"${alone[0]} has quotes, and a file may have another value; write its words"
            )
            return programs
        return [each.with_words(quoted) for each in programs]

    def _has_files(self) -> bool:
        return (_SERVICE, "EnvironmentFile") in self._keys

    def _alone(self, text: str, program: Exec, splits: str) -> None:
        says = _of_prefixes(program)
        if program.has_variables:
            says.append("a shell expands its variables, and the program then replaces the shell")
            command = _shell([program])
        else:
            command = shlex.join(program.words)
        says += [splits] if splits else []
        self._vassal.take(text, ("command", command), says="; ".join(says))

    def _by_shell(self, text: str, programs: list[Exec], splits: str) -> None:
        """Run all by a shell, and the last program in its place."""
        says = [
            "a shell runs it all at each start, and the last program then replaces the shell",
            *_of_prefixes(programs[-1]),
            *([splits] if splits else []),
        ]
        self._vassal.take(text, ("command", _shell(programs)), says="; ".join(says))

    def _kind(self) -> None:
        line = f"Type = {self._type}"
        self._name_former(self._keys.get((_SERVICE, "Type"), []))
        if self._type == "notify":
            self._vassal.take(line, ("ready", "notify"))
        elif self._type == "notify-reload":
            self._vassal.take(line, ("ready", "notify"), ("reload", "signal"))
        elif self._type == "oneshot":
            self._vassal.take(line, says="an end stays down, as done")
        elif self._type == "forking":
            self._vassal.name_unfinished(
                line,
                "a vassal stays in the foreground; give its program the option for that, and none"
                " for a PID file",
            )
        elif self._type in ("dbus", "idle"):
            self._vassal.take(line, says="its program counts as up once it runs; see ready")
        elif self._type in ("simple", "exec"):
            if (_SERVICE, "Type") in self._keys:
                self._vassal.take(line)
        else:
            self._vassal.name_unfinished(line, "systemd has no such type")

    # Its variables

    def _variables(self) -> None:
        for line in self._keys.get((_SERVICE, "Environment"), []):
            try:
                found = [self._unit.expand(word) for word in words(line.value)]
            except NotExpanded as flaw:
                self._vassal.name_unfinished(line.text, f"{flaw}; write the value")
                continue
            except ValueError as flaw:
                self._vassal.name_unfinished(line.text, str(flaw))
                continue
            for word in found:
                if "=" not in word:
                    self._vassal.name_line(line.text, f"{word} {_NO_ASSIGNMENT}")
            pairs = [each.partition("=") for each in found if "=" in each]
            self._vassal.take(
                line.text,
                *(("environment", f"{name}={shlex.quote(value)}") for name, _, value in pairs),
            )

    def _files(self) -> None:
        """Take the files of variables, in their order."""
        for line in self._keys.get((_SERVICE, "EnvironmentFile"), []):
            path = self._expanded(line)
            if path is None:
                continue
            if glob.has_magic(path):
                says = "no pattern is expanded here; name each file"
                self._vassal.name_unfinished(line.text, says)
            else:
                self._vassal.take(line.text, ("environment-file", path))

    # The rest

    def _defaults(self) -> None:
        """Write the defaults of systemd that are not ours."""
        if self._vassal.value("restart") is None:
            self._vassal.take("Restart = no (default)", ("restart", "no"))
        if self._vassal.value("stop-timeout") is None:
            self._vassal.take("TimeoutStopSec = 90s (default)", ("stop-timeout", _STOP))
        if self._vassal.value("reload") is None:
            self._vassal.take("no ExecReload", ("reload", "restart"))

    def _rest(self, section: str, key: str, line: Line) -> None:
        if section == _SERVICE and (key in _HERE or any(key in each for each in _TABLES)):
            return
        there = {f"{self._unit.stem}.socket", *unit_advice.AT_BOOT}
        if key in unit_advice.ORDERS and there.issuperset(line.value.split()):
            self._vassal.take(line.text)
            return
        if (section, key) in unit_advice.TAKEN or section.startswith("X-") or key.startswith("X-"):
            self._vassal.take(line.text)
            return
        advice = _advice(section, key)
        if advice is None:
            self._vassal.name_line(
                line.text, f"no setting stands for it; is it a key of [{section}]?"
            )
        elif section == _SERVICE and key in unit_advice.NEEDED:
            self._vassal.name_unfinished(line.text, advice)
        else:
            self._vassal.name_line(line.text, advice)

    def _timer(self) -> None:
        name = f"{self._unit.stem}.timer"
        if os.path.exists(os.path.join(os.path.dirname(self._unit.path), name)):
            self._vassal.name_unfinished(name, "a timer starts it; leave both with systemd")


def _of_prefixes(program: Exec) -> list[str]:
    """The differences to systemd that the prefixes of a program make."""
    says = {"@": "the program is told its own name", "-": "a failure of it counts as one"}
    return [text for prefix, text in says.items() if prefix in program.prefixes]


def _shell(programs: list[Exec]) -> str:
    """A command that runs the programs in turn, the last one in the shell's place."""
    *first, last = programs
    steps = "".join(
        f"{{ {each.script} || :; }} && " if "-" in each.prefixes else f"{each.script} && "
        for each in first
    )
    # systemd expands no patterns in the words of a value.
    no_patterns = "set -f; " if any(each.split for each in programs) else ""
    return f"sh -c {shlex.quote(f'{no_patterns}{steps}exec {last.script}')}"


def _advice(section: str, key: str) -> str | None:
    tables: dict[str, Mapping[str, str]] = {
        "Unit": unit_advice.UNIT,
        _SERVICE: {**unit_advice.SERVICE, **unit_advice.NEEDED},
    }
    found = tables.get(section, {}).get(key)
    if found is not None or section not in tables:
        return found
    return next((text for prefix, text in unit_advice.PREFIXES if key.startswith(prefix)), None)
