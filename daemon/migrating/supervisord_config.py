"""Reads a supervisord.conf as supervisord 4 does: its sections, includes and ``%(name)s``.

supervisord uses configparser with the comments of Python 2: ``;`` and ``#`` after a blank begin
one. A section may come twice, and a key too; the last value counts.
"""

import configparser
import glob
import os
import re
import shlex
from collections.abc import Mapping
from typing import Final

from .found import Refused

_NAME: Final = re.compile(r"%\((\w+)\)")
_INCLUDE: Final = "include"
_NUMBER: Final = "\0"  # behind it is the number of a line
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class NotExpanded(Exception):
    """A value with a ``%`` that cannot be expanded; the text says why."""


class Config:
    """The sections of a file and of those that it includes; keys are in lower case."""

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        self.here = os.path.dirname(os.path.abspath(path))
        self.environ = {f"ENV_{name}": value for name, value in environ.items()}
        self.files = [path]
        self.missing: list[str] = []  # patterns of includes that no file has
        self.nested: list[str] = []  # includes of included files
        self._includes: list[tuple[str, str]] = []  # the lines of the file's own
        self._parser = _Parser(inline_comment_prefixes=(";", "#"), strict=False)
        self._read(path)
        self._include()

    def sections(self) -> list[str]:
        return self._parser.sections()

    def items(self, section: str) -> dict[str, str]:
        """The keys of a section, and their values as they are written; empty if it is not there."""
        return dict(self._lines(section))

    def former(self, section: str) -> list[tuple[str, str]]:
        """The keys with a value of which a later line has another value."""
        lines = self._includes if section == _INCLUDE else self._lines(section)
        last = dict(lines)
        own = lines[len(self._parser.defaults()) :]
        return [(key, value) for key, value in own if value != last[key]]

    def _lines(self, section: str) -> list[tuple[str, str]]:
        """The lines of a section in their order, after those of ``[DEFAULT]``."""
        if not self._parser.has_section(section):
            return []
        return [(key.partition(_NUMBER)[0], value) for key, value in self._parser.items(section)]

    def _read(self, path: str) -> None:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            raise Refused(
                f"{path}: it is not UTF-8; supervisord would not read it either"
            ) from None
        here = os.path.dirname(os.path.abspath(path)).replace("%", "%%")
        try:
            self._parser.read_string(text.replace("%(here)s", here), path)
        except configparser.Error as error:
            raise Refused(" ".join(str(error).split())) from None

    def _include(self) -> None:
        """Read the files of ``[include]``. Their own includes are ignored, as by supervisord."""
        self._includes = self._lines(_INCLUDE)
        for pattern in dict(self._includes).get("files", "").split():
            full = os.path.join(self.here, self.expand(pattern, {}))
            found = sorted(glob.glob(full))
            if not found:
                self.missing.append(pattern)
            for path in found:
                self._read(path)
            self.files += found
        self.nested = [
            value for key, value in self._lines(_INCLUDE)[len(self._includes) :] if key == "files"
        ]

    def expand(self, value: str, more: Mapping[str, object]) -> str:
        """Expand ``%(name)s`` in a value. Raises NotExpanded."""
        known = {"here": self.here, "host_node_name": os.uname().nodename, **self.environ, **more}
        try:
            return value % known
        except KeyError as missing:
            name = str(missing.args[0])
            if name.startswith("ENV_"):
                raise NotExpanded(f"{name.removeprefix('ENV_')} is not set here") from None
            raise NotExpanded(f"%({name})s is not known") from None
        except (TypeError, ValueError):
            raise NotExpanded("it has a % that begins no %(name)s") from None


class _Parser(configparser.RawConfigParser):
    """Keeps all lines of a key, each with a number behind the key."""

    _count = 0

    def optionxform(self, optionstr: str) -> str:
        self._count += 1
        return f"{optionstr.lower()}{_NUMBER}{self._count}"


def names(value: str) -> list[str]:
    """The names of variables of the environment in a value, each once."""
    found = dict.fromkeys(_NAME.findall(value))
    return [name.removeprefix("ENV_") for name in found if name.startswith("ENV_")]


def variables(text: str) -> dict[str, str]:
    """The variables of an ``environment``: ``A="x",B=y``. Raises ValueError.

    Its words are those of a lexer of Python, so supervisord splits ``a@b`` in three. This is told
    as an error there, and so it is here.
    """
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():"
    tokens = list(lexer)
    found = {}
    for at in range(0, len(tokens), 4):
        triple = tokens[at : at + 3]
        if len(triple) != 3 or triple[1] != "=" or tokens[at + 3 : at + 4] not in ([], [","]):
            raise ValueError('it is no list of KEY="value"; quote the values')
        if not _KEY.fullmatch(triple[0]):
            raise ValueError(f"{triple[0]} cannot be the name of a variable")
        found[triple[0]] = triple[2].strip("'\"")
    return found
