"""Round robin: items of several lines, one of each line in turn.

A line is all that one user has in a listing, or in a part of it. However long it is, the first item
of each other line comes after one of its items.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def round_robin(lines: Iterable[Iterable[T]]) -> Iterator[T]:
    """The items of all lines. Each line keeps its order."""
    waiting = [iter(line) for line in lines]
    while waiting:
        left = []
        for line in waiting:
            for item in line:
                yield item
                left.append(line)
                break
        waiting = left
