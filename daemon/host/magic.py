"""uWSGI's magic variables (``%n`` and its like) in settings that all vassals get.

uWSGI expands them in config files only. A setting such as ``UWSGI_VASSAL_SOCKET=/run/%n.sock``
comes to a vassal by its environment, where uWSGI would take it literally: each vassal would bind
the same path. So the daemon expands it, as uWSGI would in the vassal's own config.

The user database may not answer, and one thread starts all vassals. So it is asked for a name only
where ``%U`` or ``%G`` wants one that the lookup of the account has not told.
"""

import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ...journal.events import Spec
from ...monitors import working_directory
from .users import User, group_name, user_name

_VARIABLE: Final = re.compile("%(.)", re.DOTALL)
_AS_THEY_ARE: Final = {"%": "%", "(": "%("}  # %(KEY) is a placeholder, which uWSGI expands itself
PREFIX: Final = "UWSGI_VASSAL_"


class InheritedSetting(NamedTuple):
    """A value that a vassal gets from a setting for all vassals, and that setting."""

    value: str
    origin: str


def inherited(
    own: Mapping[str, str], name: str, spec: Spec, user: User | None
) -> dict[str, InheritedSetting]:
    """Each ``UWSGI_X`` that comes of ``UWSGI_VASSAL_X`` in the environment ``own``. Blocks."""
    found = {}
    for key, value in own.items():
        if key.startswith(PREFIX):
            expanded, used = expand(value, name, spec, user)
            origin = f"{key}, {' '.join(used)} expanded" if used else key
            found["UWSGI_" + key.removeprefix(PREFIX)] = InheritedSetting(expanded, origin)
    return found


def expand(value: str, name: str, spec: Spec, user: User | None) -> tuple[str, list[str]]:
    """The value with magic variables expanded, and those that were. Blocks, for accounts.

    A variable that only uWSGI knows (``%V``, ``%t`` …), or that is none, stays as it is.
    """
    used: dict[str, None] = {}
    table: dict[str, str] | None = None

    def one(match: re.Match[str]) -> str:
        nonlocal table
        letter = match[1]
        if letter in _AS_THEY_ARE:
            return _AS_THEY_ARE[letter]
        if table is None:
            table = _of_config(name, spec) | _of_process(spec, user)
        if letter in _NAMES and letter not in table:
            table[letter] = _NAMES[letter](user)
        if letter not in table:
            return match[0]
        used[match[0]] = None
        return table[letter]

    return _VARIABLE.sub(one, value), list(used)


def _of_config(name: str, spec: Spec) -> dict[str, str]:
    """The variables of a config's name; an inline config has no directory."""
    if spec.path is None:
        directory, file = "", name.rpartition("/")[2]
        found = {"o": f"emperor://{name}", "p": "", "d": ""}
    else:
        full = os.path.join(_working_directory(spec), name)
        # As uWSGI: a symlink keeps its path as it was given, anything else has its canonical one.
        path = full if os.path.islink(full) else os.path.realpath(full)
        directory, _, file = path.rpartition("/")
        found = {"o": name, "p": path, "d": f"{directory}/"}
    stem, dot, extension = file.rpartition(".")
    found |= {"s": file, "n": stem if dot else file, "e": extension}
    found["c"] = directory.rpartition("/")[2]
    found["x"] = "uwsgi" if ":" in name else ""  # the section, see command.py
    found |= {letter.upper(): found[letter] for letter in "odspcenx"}
    parts = [*filter(None, directory.split("/")), *[""] * 10]
    return found | {str(number): parts[number] for number in range(10)}


def _working_directory(spec: Spec) -> str:
    """The vassal's working directory as the kernel names it, without symlinks. Blocks."""
    return os.path.realpath(spec.cwd or working_directory.current())


def _of_process(spec: Spec, user: User | None) -> dict[str, str]:
    """The variables of the process: its ids, its directory, its machine."""
    uid, gid = (os.getuid(), os.getgid()) if user is None else (user.uid, user.gid)
    return {
        "u": str(uid),
        "g": str(gid),
        "v": _working_directory(spec),
        "h": os.uname().nodename,
    }


def _name_of_user(user: User | None) -> str:
    """The name of its account, the number where there is none. May block for the daemon's own."""
    if user is None:
        return user_name(os.getuid())
    return user.account.get("USER", str(user.uid))


def _name_of_group(user: User | None) -> str:
    """The name of its group, the number where there is none. May block."""
    return group_name(os.getgid() if user is None else user.gid)


_NAMES: Final = {"U": _name_of_user, "G": _name_of_group}
