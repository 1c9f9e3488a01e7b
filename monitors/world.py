"""Settings of ``[emperor]`` about the world of a program: its user, directory, cgroup and such.

| key | |
|---|---|
| `directory` | the working directory of a program that a ``command`` names, an absolute path |
| `environment` | variables ``NAME=VALUE``, split as a shell would; the lines of several add up |
| `environment-file` | files of such lines, read at each start; with ``-`` one may be missing |
| `umask` | the mask of the modes of new files, octal |
| `stop-timeout` | how long a stop may take until the kill |
| `user`, `group` | whom it runs as, outside of tyrant mode and ``--user``: names or numbers |
| `memory-max`, `tasks-max` | bytes and tasks that its cgroup may have |
| `cpu-weight` | the share of its cgroup in busy processors, 1 to 10000; the kernel has 100 |

Here is what each may be. ``daemon/host/enter.py`` applies them, with the rights of the vassal.
"""

import re
from collections.abc import Callable
from typing import Final

from ..journal import quantities
from . import names, shell_words

FIXED: Final = ("directory", "environment", "environment-file", "umask")  # see enter.py
USERS: Final = ("user", "group")
CGROUP_LIMITS: Final = ("memory-max", "cpu-weight", "tasks-max")
KEYS: Final = (*FIXED, "stop-timeout", *USERS, *CGROUP_LIMITS)
LONGEST_STOP: Final = 86_400  # seconds; the daemon's own stop waits for it
# Variables that the daemon sets, or that make a program take the daemon for its own supervisor.
_RESERVED: Final = re.compile(
    r"EMPERORD_.*|UWSGI_EMPEROR_FD.*|UWSGI_RELOADS|NOTIFY_SOCKET|WATCHDOG_(USEC|PID)"
    r"|LISTEN_(FDS|PID|FDNAMES)"
)
_FILES: Final = re.compile(r"\s+(?=-?/)")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def variables(text: str) -> dict[str, str]:
    """The variables of an ``environment``. Raises ValueError, which names the flaw."""
    found = {}
    for word in shell_words.split(text):
        pair = _VARIABLE.fullmatch(word)
        if pair is None:
            raise ValueError(f"{_brief(word)} is no variable; write NAME=VALUE")
        if _RESERVED.fullmatch(pair[1]):
            raise ValueError(f"{pair[1]} is set by the daemon; remove it")
        found[pair[1]] = pair[2]
    return found


def files(text: str) -> list[str]:
    """The paths of an ``environment-file``; each begins with a slash, or with ``-`` and a slash."""
    return _FILES.split(text)


def flaw(key: str, text: str) -> str | None:
    """Why this setting cannot have this value; None if it can."""
    return _CHECKS[key](text)


def _directory(text: str) -> str | None:
    return None if text.startswith("/") else f"{_brief(text)} is relative; write an absolute path"


def _environment(text: str) -> str | None:
    try:
        variables(text)
    except ValueError as error:
        return str(error)
    return None


def _file(text: str) -> str | None:
    return _directory(text.removeprefix("-"))  # those behind a blank are absolute


def _umask(text: str) -> str | None:
    if re.fullmatch(r"0?[0-7]{1,3}", text, re.ASCII):
        return None
    return f"{_brief(text)} is no mask; write it in octal, as 027"


def _stop_timeout(text: str) -> str | None:
    seconds = quantities.duration(text)
    if seconds is not None and 0 < seconds <= LONGEST_STOP:
        return None
    return f"{_brief(text)} is no time for a stop; write {quantities.DURATIONS}, at most a day"


def _account(text: str) -> str | None:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?|[0-9]{1,10}", text, re.ASCII):
        return None
    return f"{_brief(text)} is no account; write a name or a number"


def _memory(text: str) -> str | None:
    number = quantities.size(text)
    if number and number < 1 << 63:
        return None
    return f"{_brief(text)} is no such limit; write {quantities.SIZES}"


def _weight(text: str) -> str | None:
    return _count(text, 10_000)


def _tasks(text: str) -> str | None:
    return _count(text, 4_194_304)  # the kernel has no more pids


def _count(text: str, most: int) -> str | None:
    if re.fullmatch(r"[1-9][0-9]{0,6}", text, re.ASCII) and int(text) <= most:
        return None
    return f"{_brief(text)} is no such limit; write a whole number from 1 to {most}"


def _brief(text: str) -> str:
    return names.shown(text if len(text) <= 40 else f"{text[:40]}…")


_CHECKS: Final[dict[str, Callable[[str], str | None]]] = {
    "directory": _directory,
    "environment": _environment,
    "environment-file": _file,
    "umask": _umask,
    "stop-timeout": _stop_timeout,
    "user": _account,
    "group": _account,
    "memory-max": _memory,
    "cpu-weight": _weight,
    "tasks-max": _tasks,
}
