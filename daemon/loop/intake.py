"""The intake: inputs that came and are not recorded yet. Turns take them in shares.

One source may tell of ten thousand vassals at once. All of that in one turn would delay every
other event by seconds: changes of other sources, deaths, operators' requests. So an input that
means many events marks the places where others may go first, with ``None``. In one pass each
input gives up to ``SHARE`` events, and what is left of it waits for the next pass. A turn makes
passes until it has ``MOST`` events, or until another sender comes, whose input is in its last pass.
It does not end with each pass, because SQLite takes longer for many small transactions than for a
large one.

Between two shares the fleet moves on. An input is therefore read no further than it is folded,
and says by the fleet of that moment what follows.

Observations of one source keep their order: none is taken while an earlier one of that source
waits. Different senders have no order among them, except ``AfterOthers``.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import trio

from ..core.draft import Draft
from ..core.fleet import Fleet
from .turn import Input

SHARE: Final = 100  # events of one input in a pass
MOST: Final = 500  # events of a turn, after which there is no other pass


class OfSource:
    """An input of a source, whose inputs are taken in their order."""

    def __init__(self, url: str, meaning: Input) -> None:
        self.url = url
        self._meaning = meaning

    def __call__(self, fleet: Fleet) -> Iterable[Draft | None]:
        return self._meaning(fleet)


class AfterOthers:
    """An input that waits until all that came before it is taken."""

    def __init__(self, meaning: Input) -> None:
        self._meaning = meaning

    def __call__(self, fleet: Fleet) -> Iterable[Draft | None]:
        return self._meaning(fleet)


class _Waiting:
    """An input with what is left of it, and the event of its sender."""

    def __init__(self, given: Input, drafts: Iterator[Draft | None], done: trio.Event) -> None:
        self.url = given.url if isinstance(given, OfSource) else None
        self.after_others = isinstance(given, AfterOthers)
        self.done = done
        self._drafts = drafts

    def give(self, take: Callable[[Draft], None]) -> bool:
        """Give one share. Whether there is no more."""
        count = 0
        for draft in self._drafts:
            if draft is not None:
                take(draft)
                count += 1
            elif count >= SHARE:
                return False
        return True


class Intake:
    """The inputs that wait, in the order in which they came. ``read`` gives the events of one."""

    def __init__(self, read: Callable[[Input], Iterator[Draft | None]]) -> None:
        self._read = read
        self._waiting: list[_Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, given: Input, done: trio.Event) -> None:
        """An input came. Its sender waits for ``done``."""
        self._waiting.append(_Waiting(given, self._read(given), done))

    def has_of(self, url: str) -> bool:
        """Whether something of this source waits, or is being taken."""
        return any(each.url == url for each in self._waiting)

    def take(self, take: Callable[[Draft], None]) -> list[trio.Event]:
        """Make one pass; the ``done`` of each input that has no more events."""
        finished: list[trio.Event] = []
        left: list[_Waiting] = []
        held: set[str | None] = set()
        for each in self._waiting:
            waits = each.url in held or (each.after_others and bool(left))
            if not waits and each.give(take):
                finished.append(each.done)
                continue
            left.append(each)
            if each.url is not None:
                held.add(each.url)
        self._waiting = left
        return finished
