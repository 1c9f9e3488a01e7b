"""The input queue: inputs that came and are not recorded yet. Turns take them in shares.

One source may tell of ten thousand vassals at once. All of that in one turn would delay every
other event by seconds: changes of other sources, deaths, operators' requests. So an input that
means many events marks the places where others may go first, with ``None``. In one pass each
input gives a share: up to ``SHARE`` events, for ``SHARE_TIME`` at most. The rest of it waits
for the next pass. A turn makes passes until it has ``MOST`` events or ``LARGE`` texts, or until
another sender comes, whose input is in its last pass. It does not end with each pass, because
SQLite takes longer for many small transactions than for a large one.

Between two shares the fleet moves on. An input is therefore read no further than it is folded,
and says by the fleet of that moment what follows.

Observations of one source keep their order: none is taken while an earlier one of that source
waits. There is one exception. News of single vassals may overtake a listing that is being taken,
because they are newer, and it may be of another user's thousands. The observer leaves those
vassals out of the listing (``ListingInput``, ``SourceInput``). Different senders have no order
among them, except ``BarrierInput``.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import trio

from ..core.draft import Draft
from ..core.fleet import Fleet
from .turn import Input

SHARE: Final = 100  # events of one input in a pass
SHARE_TIME: Final = 0.02  # seconds of one input in a pass
MOST: Final = 500  # events of a turn, after which there is no other pass
LARGE: Final = 1 << 20  # bytes of config texts of a turn, after which there is no other pass


class SourceInput:
    """An input of a source, whose inputs are taken in their order.

    ``single``: it is of single vassals, and may be taken before the rest of a listing.
    """

    is_listing = False

    def __init__(self, url: str, meaning: Input, *, single: bool = False) -> None:
        self.url = url
        self.single = single
        self._meaning = meaning

    def __call__(self, fleet: Fleet) -> Iterable[Draft | None]:
        return self._meaning(fleet)


class ListingInput(SourceInput):
    """A listing of a source. Later news of single vassals may be taken once it has begun."""

    is_listing = True


class BarrierInput:
    """An input that waits until all that came before it is taken."""

    def __init__(self, meaning: Input) -> None:
        self._meaning = meaning

    def __call__(self, fleet: Fleet) -> Iterable[Draft | None]:
        return self._meaning(fleet)


class _Waiting:
    """An input with what is left of it, and the event of its sender."""

    def __init__(self, given: Input, drafts: Iterator[Draft | None], done: trio.Event) -> None:
        self.url = given.url if isinstance(given, SourceInput) else None
        self.single = isinstance(given, SourceInput) and given.single
        self.is_listing = isinstance(given, SourceInput) and given.is_listing
        self.has_begun = False
        self.after_others = isinstance(given, BarrierInput)
        self.done = done
        self._drafts = drafts

    def give(self, take: Callable[[Draft], None], is_over: Callable[[int], bool]) -> bool:
        """Give one share. Whether there is no more."""
        self.has_begun = True
        count = 0
        for draft in self._drafts:
            if draft is not None:
                take(draft)
                count += 1
            elif is_over(count):
                return False
        return True


class InputQueue:
    """The inputs that wait, in the order in which they came. ``read`` gives the events of one.

    ``clock`` counts seconds. ``size`` is how many bytes of texts the turn has.
    """

    def __init__(
        self,
        read: Callable[[Input], Iterator[Draft | None]],
        clock: Callable[[], float] = lambda: 0.0,
        size: Callable[[], int] = lambda: 0,
    ) -> None:
        self._read = read
        self._clock = clock
        self._size = size
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
        listed: set[str | None] = set()  # sources of which only a listing waits that has begun
        for each in self._waiting:
            waits = each.url in held or (each.after_others and bool(left))
            waits = waits or (each.url in listed and not each.single)
            if not waits and each.give(take, self._share()):
                finished.append(each.done)
                continue
            left.append(each)
            if each.url is not None:
                (listed if each.is_listing and each.has_begun else held).add(each.url)
        self._waiting = left
        return finished

    def _share(self) -> Callable[[int], bool]:
        """Whether a share that begins now is over after so many events."""
        end = self._clock() + SHARE_TIME

        def is_over(count: int) -> bool:
            return count >= SHARE or self._clock() >= end or (count > 0 and self.is_large())

        return is_over

    def is_large(self) -> bool:
        """Whether the turn has so many texts that others come first."""
        return self._size() >= LARGE
