"""The names that a monitor of files is to look at, taken in turns.

One tenant may change ten thousand files at once. So names are taken in bounded batches, and each
batch takes one name after the other in turns of all whose names wait.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Final

MOST: Final = 100  # names of one batch
SLICE: Final = 0.1  # seconds of work for one batch, and for what a rescan reads
SWEPT: Final = ""  # instead of a path: only a rescan asks for it

# How a name came here: a path if the file has appeared, and counts if it gets no close.
How = str | None


class FairQueue:
    """Names that wait. ``turn`` says in which turn a name is taken: its owner's, or directory's."""

    def __init__(self, turn: Callable[[str], Hashable]) -> None:
        self._turn = turn
        self._turns: dict[str, Hashable] = {}
        self._waiting: dict[Hashable, dict[str, How]] = {}  # by turn, the next one first

    def __bool__(self) -> bool:
        """Whether any name waits."""
        return bool(self._turns)

    def put(self, name: str, how: How = None) -> None:
        """A name is to be looked at. This replaces an earlier ``how``."""
        turn = self._turns.get(name)
        if turn is None:
            turn = self._turns[name] = self._turn(name)
        self._waiting.setdefault(turn, {})[name] = how

    def add(self, name: str, how: How) -> None:
        """A name is to be looked at, if it does not wait already."""
        if name not in self._turns:
            self.put(name, how)

    def drop(self, name: str) -> None:
        """A name is not to be looked at for now."""
        turn = self._turns.pop(name, None)
        if turn is not None:
            names = self._waiting[turn]
            del names[name]
            if not names:
                del self._waiting[turn]

    def take(self) -> dict[str, How]:
        """The next batch, in the order in which it is to be looked at."""
        batch: dict[str, How] = {}
        while self._waiting and len(batch) < MOST:
            turn = next(iter(self._waiting))
            names = self._waiting.pop(turn)
            name = next(iter(names))
            batch[name] = names.pop(name)
            del self._turns[name]
            if names:
                self._waiting[turn] = names
        return batch

    def put_back(self, batch: Iterable[tuple[str, How]]) -> None:
        """Names that were taken and not looked at. Those whose turn it was are the next ones."""
        first: dict[Hashable, dict[str, How]] = {}
        for name, how in batch:
            if name not in self._turns:
                turn = self._turns[name] = self._turn(name)
                first.setdefault(turn, {})[name] = how
        for turn, names in self._waiting.items():
            first.setdefault(turn, {}).update(names)
        self._waiting = first
