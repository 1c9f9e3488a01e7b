"""Vassals of folders that a rescan of glob:// did not look into. They stay as they are known.

A directory that cannot be read may still have all its files. So its vassals stay until it can be
read, and other directories are told as they are.

A directory that is not there may be about to be exchanged for another one (``mv current old``,
``mv next current``), as a file may. So its vassals stay for ``GRACE`` seconds.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from .. import names
from .changes import GRACE
from .file_state import Record
from .survey import Searched, Survey

_UNREAD: Final = "its directory cannot be read"


class LostFolders:
    """``known`` are the names that the fleet had of the source as this run began.

    Times are trio's.
    """

    def __init__(self, place: Searched, known: Iterable[str]) -> None:
        self._place = place
        self._missing: dict[str, float] = {}  # prefixes, and since when they are not there
        self._unread = set(known)  # names that no rescan of this run was able to look for

    @property
    def due(self) -> float:
        """When a rescan is to look again for folders that are not there; infinite without any."""
        return min(self._missing.values(), default=math.inf) + GRACE

    def keep(
        self, survey: Survey, records: Mapping[str, Record], began: float, ended: float
    ) -> None:
        """Take in, as they are known, the vassals of folders that the survey did not look into.

        ``records`` are those of before. The rescan ``began`` and ``ended`` at these times.
        """
        found = survey.found
        missing: dict[str, float] = {}
        for name in records.keys() - found.records.keys():
            prefix, _ = self._place.locate(name)
            if _is_below(name, found.passed_over):
                found.revert(name)
            elif prefix not in survey.folders:
                since = self._missing.get(prefix, ended)
                if began < since + GRACE:
                    missing[prefix] = since
                    found.revert(name)
        self._missing = missing
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
