"""From a Procfile: each process is a vassal, with the PORT and ``.env`` that foreman gives it."""

import os
import re
import shlex
from collections.abc import Mapping
from typing import Final

from . import dotenv, shell
from .found import Found, Manner, Refused, Vassal, file_name

_LINE: Final = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")
_BASE: Final = 5000  # the port of the first process
_STEP: Final = 100  # from one type of processes to the next
_RELEASE: Final = "release"
_ALL: Final = "all"


def read(
    path: str, source: str, folder: str, formation: Mapping[str, int]
) -> tuple[Found, list[str]]:
    """The vassals of a Procfile, and the files that they are made of.

    ``folder`` is where the vassals will be. Raises Refused and OSError.
    """
    found = Found(source)
    here = os.path.dirname(os.path.abspath(path))
    commands = _commands(path, found)
    if unknown := [name for name in formation if name not in (*commands, _ALL)]:
        raise Refused(f"{source} has no {unknown[0]}; --formation names processes that it has")
    env = os.path.join(here, ".env")
    environment = _Environment(found, env, os.path.join(os.path.abspath(folder), f"{source}.env"))
    for number, (name, line) in enumerate(commands.items()):
        count = formation.get(name, formation.get(_ALL, 1))
        if not count:
            found.name_apart(f"{name}:", line, "--formation wants none of it")
        for instance in range(count):
            label = file_name(name if count == 1 else f"{name}-{instance + 1}")
            vassal = Vassal(label, f"{name}:")
            own = _command(vassal, line, by_env=environment.is_there)
            vassal.take("its folder", ("directory", here))
            if "PORT" not in own:
                port = environment.base + number * _STEP + instance
                vassal.take("PORT", ("environment", f"PORT={port}"))
            environment.give(vassal)
            if name == _RELEASE:
                vassal.take(f"{name}", ("restart", "no"))
                vassal.name_unfinished(name, "it is run once, before a deploy; run it yourself")
            found.add(vassal)
    if os.path.exists(os.path.join(here, ".foreman")):
        found.name_apart(".foreman", "", "foreman has options there; give --formation, and PORT")
    return found, [path, env] if environment.is_there else [path]


def _commands(path: str, found: Found) -> dict[str, str]:
    """The command of each process; of two with one name the last one counts, as for foreman."""
    commands: dict[str, str] = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        pair = _LINE.fullmatch(stripped)
        if pair is None:
            found.name_apart(f"line {number}:", stripped, "it is no NAME: COMMAND")
            continue
        if pair[1] in commands:
            found.name_apart(f"{pair[1]}:", commands.pop(pair[1]), "a later line has this name")
        commands[pair[1]] = pair[2]
    return commands


def _command(vassal: Vassal, line: str, *, by_env: bool) -> list[str]:
    """Take a command; the names of variables that become ``environment``.

    An ``environment-file`` would win over these. So ``by_env`` has env(1) set them, because in a
    shell the variables before a command win.
    """
    try:
        made = shell.command(line)
    except ValueError as flaw:
        vassal.name_unfinished(line, f"it cannot be split into words: {flaw}")
        return []
    if by_env and made.variables and made.text:
        text = f"env {made.assignments} {made.text}"
        vassal.take(line, ("command", text), says="env sets the variables, as they win over .env")
        return []
    pairs = [("environment", f"{name}={shlex.quote(value)}") for name, value in made.variables]
    vassal.take(line, ("command", made.text), *pairs, says=made.says)
    return [name for name, _ in made.variables]


class _Environment:
    """The ``.env`` beside the Procfile: used as it is, or written anew where it reads otherwise."""

    def __init__(self, found: Found, path: str, written: str) -> None:
        self.is_there = os.path.exists(path)
        self.base = _BASE
        self._path: str | None = None
        self._says = ""
        self._flaws: list[tuple[str, str]] = []
        if not self.is_there:
            return
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        made = dotenv.read(text)
        for name, note in made.notes:
            found.name_apart(".env:", name, note, Manner.CHANGED)
        for line, flaw in made.flaws:
            found.name_apart(".env:", line, flaw)
        variables = dict(made.variables)
        port = variables.pop("PORT", None)
        if port is not None and port.isascii() and port.isdigit():
            self.base = int(port)
        elif port is not None:
            found.name_apart(".env:", "PORT", f"it is no port, so the first one is {_BASE}")
        for name in [name for name, value in variables.items() if "\n" in value]:
            del variables[name]
            self._flaws.append((name, "a value with a line break; an environment-file has none"))
        self._path = path
        if port is not None or not dotenv.same_here(text, variables):
            self._path, self._says = written, "written anew, as it would be read otherwise here"
            found.files[os.path.basename(written)] = dotenv.written(variables)

    def give(self, vassal: Vassal) -> None:
        """Let a vassal have the variables."""
        if self._path is not None:
            vassal.take(".env", ("environment-file", self._path), says=self._says)
        for name, flaw in self._flaws:
            vassal.name_unfinished(name, flaw)
