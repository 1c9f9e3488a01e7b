"""A rescan: one look at everything, made in pieces.

A look at 20,000 files takes a second. Changes of single files are looked at between two pieces, so
that they do not wait for its end. A piece runs in a thread, and no thread runs between two pieces.
"""

import time
from collections.abc import Callable, Iterator

from .. import names
from ..os_errors import error_text
from . import fair_queue
from .directory_marks import Marks, marks
from .links import trail
from .scan import Scan
from .survey import Searched, Survey
from .watches import Watches


class Rescan:
    """``survey`` has the findings so far. ``reason`` says why it failed, if it did."""

    def __init__(
        self, place: Searched, watches: Watches, scan: Callable[[Survey], Scan], *, tyrant: bool
    ) -> None:
        self.reason = ""
        self.marks: Marks | None = None  # of the directories, at its end
        self._place = place
        self._watches = watches
        self._scan = scan
        self._tyrant = tyrant
        self._is_begun = False
        self.survey = self._new()
        self._steps = self._look()

    def _new(self) -> Survey:
        return Survey(self._watches, self._scan, tyrant=self._tyrant)

    def piece(self) -> bool:
        """Look on for the time of a piece, in a thread. Whether there is more."""
        if not self._is_begun:
            self._is_begun = True
            self._watches.open()
        end = time.monotonic() + fair_queue.PIECE
        with self._watches:
            for _ in self._steps:
                if time.monotonic() >= end:
                    return True
        return False

    def _look(self) -> Iterator[None]:
        root = self._place.root
        way = trail("/" if root.startswith("/") else "", root)
        self.survey.root_links(way[:-1])
        try:
            yield from self._place.survey(self.survey)
        except OSError:
            # Look once more with the last step watched, too. Otherwise a root that appears
            # between this look and the watch would be missed.
            self.survey.found.end()
            self.survey = self._new()
            self.survey.root_links(trail("/" if root.startswith("/") else "", root))
            try:
                yield from self._place.survey(self.survey)
            except OSError as error:
                path = error.filename if isinstance(error.filename, str) else root
                self.reason = f"{names.shown(path)}: {error_text(error)}"
        self._watches.keep(self.survey.watched)
        watched = self.survey.watched.items()
        self.marks = marks({path: bool(directory.folders) for path, directory in watched})
        self.survey.found.end()
