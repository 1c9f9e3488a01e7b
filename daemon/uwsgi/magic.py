"""uWSGI's magic variables in a config: ``%n`` and its like, which depend on the file's name.

uWSGI puts them in before it parses the text, in comments and keys as well. A variable that is none
becomes nothing. At the end of a line, a percent sign takes the line's end away: uWSGI joins the
next line to it, and loses an option. That was not meant, so it is refused.
"""

import grp
import os
import pwd
import re
from typing import Final

from .errors import Unreadable

_VARIABLE: Final = re.compile("%(.)", re.DOTALL)
# The values of these are uWSGI's own, or differ at each start.
_NOT_OURS: Final = {
    "b": "the path of uWSGI's binary",
    "V": "uWSGI's version",
    "j": "a hash of the file's name",
    "i": "the file's inode",
    "J": "a hash of the file's name",
    "I": "the file's inode",
    "t": "the time of the start",
    "T": "the time of the start",
    "[": "an escape character",
}
_MARK: Final = "\ue0f5"  # in the text stands for a variable that is not ours


class Magic:
    """The variables of a file; ``first`` are those of the file that includes all others."""

    def __init__(self, given: str, file: str, section: str, first: "Magic | None" = None) -> None:
        if any(ord(character) < 32 for character in file):
            raise Unreadable(file, 0, "its path has a control character; rename it")
        self._file = file
        self.own: dict[str, str] = _of_file(given, file, section)
        upper = self.own if first is None else first.own
        self._table = {
            **_of_process(),
            **self.own,
            **{name.upper(): value for name, value in upper.items()},
            **{name: f"{_MARK}{name}" for name in _NOT_OURS},
            "%": "%",
            "(": "%(",
        }

    def expand(self, text: str) -> str:
        """The text of the file with the variables put in. Raises Unreadable."""

        def one(match: re.Match[str]) -> str:
            if match[1] == "\n":
                line = text.count("\n", 0, match.start()) + 1
                reason = "uWSGI joins the next line to one that ends with %; write %% there"
                raise Unreadable(self._file, line, reason)
            return self._table.get(match[1], "")

        return _VARIABLE.sub(one, text)


def unknown(text: str) -> str | None:
    """The first variable in it whose value is not known here, and what uWSGI has there."""
    _, mark, rest = text.partition(_MARK)
    return f"%{rest[0]} ({_NOT_OURS[rest[0]]})" if mark and rest[:1] in _NOT_OURS else None


def _of_file(given: str, file: str, section: str) -> dict[str, str]:
    # As uWSGI: a symlink keeps its path as it was given, anything else has its canonical one.
    path = os.path.join(os.getcwd(), file) if os.path.islink(file) else os.path.realpath(file)
    directory, _, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    parts = [part for part in directory.split("/") if part][:10]
    return {
        "o": given,
        "p": path,
        "s": name,
        "d": f"{directory}/",
        "c": directory.rpartition("/")[2],
        "n": stem if dot else name,
        "e": extension if dot else "",
        "x": section,
        **{str(number): part for number, part in enumerate(parts)},
    }


def _of_process() -> dict[str, str]:
    uid, gid = os.getuid(), os.getgid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = str(gid)
    return {
        "v": os.getcwd(),
        "h": os.uname().nodename,
        "k": str(os.cpu_count() or 1),
        "u": str(uid),
        "U": user,
        "g": str(gid),
        "G": group,
    }
