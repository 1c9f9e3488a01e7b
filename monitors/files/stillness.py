"""When a rescan need not look at each file: inotify would have told of a change.

Every ``freq`` seconds the directories are looked at, and each file only when that is of use. It is
not where two rescans in a row found nothing new, and no event came since. Then the directories are
compared with what they were (``directory_marks``): another one may be mounted over a path, of which
inotify tells nothing. The listing is told all the same, because another source may have let go of a
name.

Inotify tells of no change

- on file systems that other machines write to,
- through another hard link, or a bind mount of a single file,
- by a memory mapping.

So the first two are looked for, and ``EACH`` times ``freq`` after the last rescan there is another
one in any case. In tyrant mode every rescan looks at each file, because it judges owners of
directories above.
"""

from typing import Final

from ..options import MonitorOptions
from .changes import Changes
from .directory_marks import Marks, marks
from .rescan import Rescan
from .watches import Watches

EACH: Final = 20  # times freq, until each file is looked at in any case


class Stillness:
    """Whether the next rescan would find what the last one did. Times are trio's."""

    def __init__(self, options: MonitorOptions, watches: Watches, changes: Changes) -> None:
        self._options = options
        self._watches = watches
        self._changes = changes
        self._known: Marks | None = None  # as the last rescan left them
        self._still = False
        self._each = 0.0  # when each file is to be looked at again

    def disturb(self) -> None:
        """Something has changed, or may have."""
        self._known, self._still = None, False

    def note(self, rescan: Rescan, before: int, now: float) -> None:
        """A rescan has looked at each file. ``before`` it so many were known."""
        found, changes = rescan.survey.found, self._changes
        news = found.fresh or found.waiting or found.refused or found.put_off
        is_quiet = not (news or self._has_events()) and len(found.records) == before
        blind = self._options.tyrant or found.has_blind_spots
        if not is_quiet or blind or not self._watches.cover(changes.watched):
            self.disturb()
            return
        # The marks of the last rescan were taken before this one, which found nothing new.
        self._still = rescan.marks is not None and rescan.marks == self._known
        self._known = rescan.marks
        self._each = now + EACH * self._options.freq

    def may_be(self, now: float) -> bool:
        """Whether a look at the directories is enough, if they are as they were."""
        return self._still and now < self._each and not self._has_events()

    def _has_events(self) -> bool:
        changes = self._changes
        waiting = changes.pending or changes.unfinished or changes.missing or changes.later
        return bool(changes.rescan or changes.moved or waiting)

    def is_so(self) -> bool:
        """Whether the directories are as they were. Blocks."""
        if self._known is None:
            return False
        return marks({path: mark[2] > 0 for path, mark in self._known.items()}) == self._known
