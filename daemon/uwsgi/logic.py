"""Conditions and loops of uWSGI's configs: ``if-env``, ``for-glob`` and the like, to their ``end``.

A block repeats each of its options for each value, with ``%(_)`` replaced: none, one or many times.
"""

import glob
import os
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

Lookup = Callable[[str], str | None]

ENDS: Final = ("end", "endfor", "endif", "end-if", "end-for")
# Only a running uWSGI could tell.
NOT_OURS: Final = ("if-plugin", "if-not-plugin", "ifplugin", "if-hostname-match",
    "if-not-hostname-match")  # fmt: skip


class World(NamedTuple):
    """The things that conditions look at."""

    option: Lookup
    variable: Lookup
    lines: Callable[[str], Iterable[str]]


# Values for the options of a block; None repeats an option as it is.
Values = Iterable[str | None]


def _when(holds: bool, value: str | None) -> Values:
    return [value] if holds else []


def _compared(argument: str, lookup: Lookup, wanted: bool) -> Values:
    """For ``name``, whether it has a value; for ``name=value``, whether it has that one."""
    name, equals, value = argument.partition("=")
    found = lookup(name)
    holds = found == value if equals else found is not None
    return _when(holds is wanted, found)


def _times(argument: str) -> Values:
    digits = argument[: len(argument) - len(argument.lstrip("0123456789"))]
    return map(str, range(1, int(digits[:18] or 0) + 1))


def _glob(pattern: str) -> Values:
    found = sorted(f"{path}/" if os.path.isdir(path) else path for path in glob.glob(pattern))
    return found or [pattern]


def _readable(path: str) -> bool:
    return os.access(path, os.R_OK)


def _host(name: str) -> bool:
    return os.uname().nodename == name


_TESTS: Final[dict[str, tuple[Callable[[str], bool], bool]]] = {
    "if-exists": (_readable, True),
    "ifexists": (_readable, True),
    "if-not-exists": (_readable, False),
    "if-file": (os.path.isfile, True),
    "if-not-file": (os.path.isfile, False),
    "if-dir": (os.path.isdir, True),
    "ifdir": (os.path.isdir, True),
    "if-directory": (os.path.isdir, True),
    "if-not-dir": (os.path.isdir, False),
    "if-hostname": (_host, True),
    "if-not-hostname": (_host, False),
}
_OTHERS: Final[dict[str, Callable[[str, World], Values]]] = {
    "for": lambda argument, _: (word for word in argument.split(" ") if word),
    "for-glob": lambda argument, _: _glob(argument),
    "for-times": lambda argument, _: _times(argument),
    "for-readline": lambda argument, world: world.lines(argument),
    "if-opt": lambda argument, world: _compared(argument, world.option, True),
    "if-not-opt": lambda argument, world: _compared(argument, world.option, False),
    "if-env": lambda argument, world: _compared(argument, world.variable, True),
    "ifenv": lambda argument, world: _compared(argument, world.variable, True),
    "if-not-env": lambda argument, world: _compared(argument, world.variable, False),
    "if-reload": lambda argument, _: _when(False, None),
    "if-not-reload": lambda argument, _: _when(True, None),
}
BLOCKS: Final = (*_TESTS, *_OTHERS)


def values(kind: str, argument: str, world: World) -> Values:
    """The values for which the options of the block are repeated."""
    if kind in _TESTS:
        test, wanted = _TESTS[kind]
        return _when(test(argument) is wanted, argument)
    return _OTHERS[kind](argument, world)
