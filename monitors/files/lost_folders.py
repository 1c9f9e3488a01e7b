"""Vassals of folders that a rescan of glob:// did not look into. They stay as they are known.

A directory that cannot be read may still have all its files. So its vassals stay until it can be
read, and other directories are told as they are.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from .. import names
from .file_state import Record
from .survey import Survey

_UNREAD: Final = "its directory cannot be read"


class LostFolders:
    """``known`` are the names that the fleet had of the source as this run began."""

    def __init__(self, known: Iterable[str]) -> None:
        self._unread = set(known)  # names that no rescan of this run was able to look for

    def keep(self, survey: Survey, records: Mapping[str, Record]) -> None:
        """Take in, as they are known, the vassals of folders that the survey did not look into.

        ``records`` are those of before.
        """
        found = survey.found
        for name in records.keys() - found.records.keys():
            if _is_below(name, found.passed_over):
                found.revert(name)
        self._unread = {
            name
            for name in self._unread - found.records.keys()
            if _is_below(name, found.passed_over)
        }
        # A listing that refuses a vassal does not end it.
        found.refused.update(dict.fromkeys(map(names.shown, self._unread), _UNREAD))


def _is_below(name: str, prefixes: set[str]) -> bool:
    """Whether one of these directories is on the way to a vassal's file."""
    end = name.rfind("/") + 1 if prefixes else 0
    while end > 0:
        if name[:end] in prefixes:
            return True
        end = name.rfind("/", 0, end - 1) + 1
    return False
