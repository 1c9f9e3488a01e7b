"""Tables: readings of a whole source of rows, one after the other, become listings.

A reading is told at once where its new configs are few. Otherwise it is told in parts, which bounds
the daemon's memory. A part has room for each user, so that one user's rows keep no other's back.
Rows become the ``Seen`` of a vassal in ``rows``.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ..journal.chain import digest
from ..journal.events import Spec
from .contract import Listing, Seen, Touched
from .options import MonitorOptions
from .polling import SourceFailed
from .round_robin import round_robin
from .rows import MUCH, Flaw, Row, content_of, id_of, label_of, name_of, seen_of, seen_of_file

MOST_HELD: Final = 16 << 20  # bytes of new configs that are told at once
MOST_TOLD: Final = 256 << 20  # bytes of new configs from one listing to the next
MOST_ROWS: Final = 100_000
_AUTHORED: Final = ("ts", "config", "path", "uid", "gid", "socket")
_TWICE: Final = "the name is there twice; the first one counts"


class _ReportedRow(msgspec.Struct, frozen=True):
    mark: tuple[Any, ...]
    seen: Seen


class Table:
    """Turns readings of a whole source, one after the other, into listings.

    It remembers a mark of each row, not its text. A row that is as it was is told as the very spec
    of before, and costs a digest. ``known`` is what the fleet has of the source at first.
    ``files``: a row without a config stands for the file of its name. The file is read when the
    row is new, so adding such a row may block.
    """

    def __init__(
        self, options: MonitorOptions, known: Mapping[str, Spec], *, files: bool = False
    ) -> None:
        self.options = options
        self.known = known
        self.files = files
        # Of readings that came to no end: a text that is slow to read is read once.
        self.unfinished: dict[str, _ReportedRow] = {}
        self.held = 0  # bytes of new configs
        self.held_by: Counter[int | None] = Counter()  # by user in tyrant mode
        self.current: Reading | None = None
        self._before: dict[str, _ReportedRow] = {}
        self._told = 0  # bytes of configs since the last listing

    def reading(self) -> "Reading":
        """A new reading; it counts when its listing is made."""
        self.current = Reading(self, self._before)
        return self.current

    def keep(self, now: dict[str, _ReportedRow]) -> None:
        """A reading was told as a listing."""
        self._before = now
        self._told = 0
        self._let_go()

    def keep_also(self, now: dict[str, _ReportedRow]) -> None:
        """A part of a reading is about to be told.

        Raises SourceFailed if that is too much. Then the part is not told, so its rows are new to
        the next reading.
        """
        told, held = {**self._before, **now}, self.held
        self._let_go()
        if len(told) > MOST_ROWS:
            self._before, self._told = {}, 0
            raise SourceFailed(f"it has more than {MOST_ROWS:,} new vassals")
        if self._told + held > MOST_TOLD:
            self._told = 0
            raise SourceFailed(f"it has more than {MOST_TOLD >> 20} MiB of new configs")
        self._before = told
        self._told += held

    def _let_go(self) -> None:
        self.unfinished = {}
        self.held = 0
        self.held_by.clear()

    def hold(self, row: Row, content: bytes | None) -> None:
        """A new config is kept until it was told."""
        size = len(content or b"")
        self.held += size
        self.held_by[self._user_of(row)] += size

    def has_room(self, row: Row) -> bool:
        """Whether a new config of this row is kept.

        In tyrant mode a user has half of the room that the others leave. So there is some for a
        user whose row comes after thousands of another user's.
        """
        if not self.options.tyrant:
            return self.held <= MOST_HELD
        own = self.held_by[self._user_of(row)]
        return 2 * own <= MOST_HELD - (self.held - own)

    def _user_of(self, row: Row) -> int | None:
        """The user by its number, which sources give as a number, a text or bytes."""
        if not self.options.tyrant:
            return None
        try:
            return id_of("uid", row.uid)
        except Flaw:  # the row is about to be refused for it
            return None


class Reading:
    """One reading: rows are added, then it is a listing. A bad row is refused, and only it.

    At most ``MOST_HELD`` bytes of new configs are kept. New configs beyond that are passed over:
    the reading is told as a part, and the next one finds the rest.
    """

    def __init__(self, table: Table, before: dict[str, _ReportedRow]) -> None:
        self._table = table
        self._before = before
        self._now: dict[str, _ReportedRow] = {}
        self._seen: dict[str, Seen] = {}
        self._refused: dict[str, str] = {}
        self._passed_over: set[str] = set()  # names, for want of room

    def add(self, row: Row) -> None:
        """Take a row in."""
        try:
            # As a label it stays as it is: a known vassal whose row is bad now is not gone.
            label = name = name_of(row.name, self._table.options)
        except Flaw as flaw:
            self.refuse(label_of(row.name), str(flaw))
            return
        try:
            self._add(name, row)
        except Flaw as flaw:
            self.refuse(label, str(flaw))

    def add_all(self, rows: list[Row]) -> None:
        """Take rows in; in a thread, please, where there is ``much`` in them, or files.

        It ends when another reading has begun: then no task waits for this one.
        """
        for row in rows:
            if self._table.current is self:
                self.add(row)

    def refuse(self, label: str, reason: str) -> None:
        """Note what cannot be a vassal, with the first reason there is."""
        self._refused.setdefault(label, reason)

    def listing(self) -> Listing | tuple[Touched, ...]:
        """All that was read; or, where that is too much at once, a part of what is new in it.

        The next reading is compared with this one. Raises SourceFailed.
        """
        if self._passed_over:
            self._table.keep_also(self._now)
            return tuple(round_robin(self._news().values()))
        self._table.keep(self._now)
        return Listing(self._seen, self._refused)

    def _news(self) -> dict[int | None, list[Touched]]:
        """The new ones, by the user in whose turn each is told."""
        news: dict[int | None, list[Touched]] = {}
        for name, seen in self._seen.items():
            if seen.content is not None:
                news.setdefault(seen.spec.uid, []).append(Touched(name, seen))
        return news

    def _add(self, name: str, row: Row) -> None:
        is_there = name in self._seen or name in self._passed_over
        if is_there:
            self.refuse(name, _TWICE)
        is_file = self._table.files and row.config in (None, "")
        config = None if is_file else digest(content_of(row.config))
        mark = (config, row.ts, row.uid, row.gid, row.socket)
        if is_there:
            if not self._is_former(name, mark, row):
                return
            self._now.pop(name, None)
            self._seen.pop(name, None)
        told = self._before.get(name)
        # A file that may not run is looked at again: what bars it is mended without a new row.
        barred = is_file and told is not None and told.seen.spec.bar is not None
        if told is None or told.mark != mark or barred:
            if not self._table.has_room(row):
                self._passed_over.add(name)
                return
            seen = self._read_file(row) if is_file else self._understand(name, row, mark)
            told = _ReportedRow(mark, Seen(seen.spec))
        else:
            seen = told.seen
        self._now[name], self._seen[name] = told, seen

    def _is_former(self, name: str, mark: tuple[Any, ...], row: Row) -> bool:
        """Whether this is the row of its name that counted so far, though it is not the first.

        An order says little: PostgreSQL gives a row last once it was updated. Raises Flaw.
        """
        before, known = self._before.get(name), self._table.known.get(name)
        if before is not None:
            return before.mark == mark
        if known is None:
            return False
        is_file = self._table.files and row.config in (None, "")
        read = seen_of_file if is_file else seen_of
        return _states(read(row, self._table.options)[1].spec, known)

    def _read_file(self, row: Row) -> Seen:
        seen = seen_of_file(row, self._table.options)[1]
        self._table.hold(row, seen.content)
        return seen

    def _understand(self, name: str, row: Row, mark: tuple[Any, ...]) -> Seen:
        unfinished = self._table.unfinished
        told = unfinished.get(name)
        if told is None or told.mark != mark:
            told = unfinished[name] = _ReportedRow(mark, seen_of(row, self._table.options)[1])
            self._table.hold(row, told.seen.content)
        return told.seen


def _states(spec: Spec, known: Spec) -> bool:
    """Whether a row's spec is the known one, as far as its author decides."""
    return all(getattr(spec, field) == getattr(known, field) for field in _AUTHORED)


def much(rows: list[Row]) -> bool:
    """Whether others would have to wait for their turn while these are understood."""
    return sum(len(row.config) for row in rows if isinstance(row.config, str | bytes)) > MUCH
