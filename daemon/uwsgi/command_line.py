"""A command line of uWSGI, read as uWSGI reads its own: options with their values, and configs.

uWSGI has a thousand options. One that is not in the table of an emperor's options takes the next
word as its value, unless that word begins with a dash.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from .emperor_options import Fate, Kind, find
from .formats import FORMATS

_SHORT: Final = {
    "s": "socket", "p": "processes", "t": "harakiri", "x": "xml", "S": "set", "d": "daemonize",
    "l": "listen", "v": "max-vars", "b": "buffer-size", "m": "memory-report", "C": "chmod-socket",
    "T": "enable-threads", "i": "single-interpreter", "M": "master", "r": "reaper",
    "R": "max-requests", "z": "socket-timeout", "Q": "spooler", "L": "disable-logging", "y": "yaml",
    "j": "json", "w": "module", "H": "home", "c": "cgi-mode", "A": "sharedarea", "O": "optimize",
}  # fmt: skip
# Those that take no value, and those that may have one behind an equals sign.
_FLAGS: Final = frozenset((
    "auto-procname", "autoload", "cheap", "close-on-exec", "die-on-term", "disable-logging",
    "disable-write-exception", "early-emperor", "emperor-magic-exec", "emperor-no-blacklist",
    "emperor-graceful-shutdown", "enable-threads", "ignore-sigpipe", "ignore-write-errors",
    "imperial-monitor-list", "imperial-monitors-list", "lazy", "lazy-apps", "log-date",
    "log-master", "log-truncate", "log-reopen", "log-x-forwarded-for", "log-zero", "log-slow",
    "log-4xx", "log-5xx", "logdate", "manage-script-name", "master", "master-as-root",
    "memory-report", "need-app", "no-default-app", "no-initgroups", "no-orphans", "reaper",
    "single-interpreter", "strict", "thunder-lock", "vacuum", "stats-http", "cheaper-list",
    "enable-metrics", "pcre-jit", "reuse-port", "log-backtrace", "die-on-idle", "log-prefix",
    "catch-exceptions", "reload-os-env", "so-keepalive", "tcp-nodelay", "harakiri-verbose",
))  # fmt: skip


_CONFIGS: Final = ("config", "ini", "xml", "yaml", "yml", "json")
_OF_FOLDER: Final = (*_CONFIGS, "include", "inherit", "chdir")


class Mistaken(Exception):
    """A command line that uWSGI would not take either; the text says why."""


def options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options of the words behind the program, each with its value. Raises Mistaken."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            continue
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
        elif word.startswith("-") and len(word) > 1:
            key, equals, value = _short(word)
        else:
            yield _config(word), word
            continue
        if equals:
            yield key, value
        elif _is_flag(key):
            yield key, "true"
        elif rest and not (_unknown(key) and rest[0].startswith("-")):
            yield key, rest.pop(0)
        elif _unknown(key):
            yield key, "true"
        else:
            raise Mistaken(f"--{key} has no value")


def configs(words: Sequence[str]) -> list[str]:
    """The configs that the words name. Raises Mistaken."""
    return [value for key, value in options(words) if key in _CONFIGS]


def beginning_in(folder: str, key: str, value: str) -> str:
    """The value of an option that names a config, or the next folder, below the folder."""
    if key not in _OF_FOLDER or "://" in value or value.startswith(":"):
        return value
    return os.path.join(folder, value)


def _short(word: str) -> tuple[str, str, str]:
    key = _SHORT.get(word[1])
    if key is None:
        raise Mistaken(f"{word} is no option of uWSGI")
    return key, "=" if word[2:] else "", word[2:]


def _is_flag(key: str) -> bool:
    row = find(key)
    return key in _FLAGS or (row is not None and row.kind is Kind.FLAG)


def _unknown(key: str) -> bool:
    """Whether it is not known if the option takes a value."""
    row = find(key)
    return key not in ("ini", "xml", "yaml", "yml", "json", "include", "inherit", "set") and (
        row is None or row.fate is not Fate.TAKEN
    )


def _config(word: str) -> str:
    """The option that reads a config which is named without one. Raises Mistaken."""
    path, _, section = word.rpartition(":")
    file = path if path and "/" not in section else word
    if os.path.splitext(file)[1] not in FORMATS:
        raise Mistaken(f"{word} is no option, and no config: quote a pattern, as in --emperor '*'")
    return "config"
