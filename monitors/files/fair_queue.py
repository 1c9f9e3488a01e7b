"""The names that a monitor of files is to look at, taken in turns.

One tenant may change ten thousand files at once. So names are taken in bounded batches, and each
batch takes one name after the other in turns of all whose names wait.

In tyrant mode the turn of a name is its owner's. That of a new file is not known when its event
comes, because only a thread may look at a file. Such names are *unsorted* until a thread has looked
for their owners. Otherwise the new files of all users would share one turn.
"""

from collections.abc import Callable, Hashable, Iterable
from itertools import islice
from typing import Final

MOST: Final = 100  # names of one batch
MOST_UNSORTED: Final = 5000  # names whose owners are looked for at once
PIECE: Final = 0.025  # seconds of work for one batch
LARGE: Final = 1 << 19  # bytes of texts, after which a batch is over
SLICE: Final = 0.1  # seconds for what a rescan reads
SCANNED: Final = ""  # instead of a path: only a rescan asks for it

# How a name came here: a path if the file has appeared, and counts if it gets no close.
How = str | None


_UNSORTED: Final = object()  # instead of a turn


class FairQueue:
    """Names that wait. ``turn`` says in which turn a name is taken: its owner's, or directory's.

    It is None where only a look at the file tells that.
    """

    def __init__(self, turn: Callable[[str], Hashable | None]) -> None:
        self._turn = turn
        self._turns: dict[str, Hashable] = {}
        self._unsorted: dict[str, How] = {}
        self._waiting: dict[Hashable, dict[str, How]] = {}  # by turn, the next one first
        self._taken: dict[str, Hashable] = {}  # the turns of the last batch

    def __bool__(self) -> bool:
        """Whether any name waits."""
        return bool(self._turns)

    def put(self, name: str, how: How = None) -> None:
        """A name is to be looked at. This replaces an earlier ``how``."""
        turn = self._turns.get(name)
        if turn is None:
            turn = self._turn_of(name)
        self._put(name, how, turn)

    def add(self, name: str, how: How, turn: Hashable | None = None) -> None:
        """A name is to be looked at, if it does not wait already, in that turn if it is known."""
        if name not in self._turns:
            self._put(name, how, self._turn_of(name) if turn is None else turn)

    def _turn_of(self, name: str) -> Hashable:
        turn = self._turn(name)
        return _UNSORTED if turn is None else turn

    def _put(self, name: str, how: How, turn: Hashable) -> None:
        self._turns[name] = turn
        self._names_of(turn)[name] = how

    def _names_of(self, turn: Hashable) -> dict[str, How]:
        return self._unsorted if turn is _UNSORTED else self._waiting.setdefault(turn, {})

    def drop(self, name: str) -> None:
        """A name is not to be looked at for now."""
        turn = self._turns.pop(name, None)
        if turn is not None:
            names = self._names_of(turn)
            del names[name]
            if not names:
                self._waiting.pop(turn, None)

    def unsorted(self) -> list[str]:
        """The names of which a turn is to be found next."""
        return list(islice(self._unsorted, MOST_UNSORTED))

    def sort(self, turns: Iterable[tuple[str, Hashable]]) -> None:
        """Take in the turns of names that were unsorted."""
        for name, turn in turns:
            if name in self._unsorted:
                self._put(name, self._unsorted.pop(name), turn)

    def take(self) -> dict[str, How]:
        """The next batch of sorted names, in the order in which it is to be looked at."""
        batch: dict[str, How] = {}
        self._taken = {}
        while self._waiting and len(batch) < MOST:
            turn = next(iter(self._waiting))
            names = self._waiting.pop(turn)
            name = next(iter(names))
            batch[name] = names.pop(name)
            self._taken[name] = self._turns.pop(name)
            if names:
                self._waiting[turn] = names
        return batch

    def put_back(self, batch: Iterable[tuple[str, How]]) -> None:
        """Names of the last batch that were not looked at. Each goes first in its turn."""
        first: dict[Hashable, dict[str, How]] = {}
        for name, how in batch:
            if name not in self._turns:
                turn = self._turns[name] = self._taken[name]
                first.setdefault(turn, {})[name] = how
        for turn, names in self._waiting.items():
            first.setdefault(turn, {}).update(names)
        self._waiting = first
