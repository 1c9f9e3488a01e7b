"""Figures of one run at successive times, and which of them grow."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Caches and the allocator's own lists are full by then, so a run is judged from there on.
SETTLED = 0.25  # of the run


class Sample(NamedTuple):
    """Figures by their names, after so many seconds of load."""

    seconds: float
    figures: Mapping[str, float]


class Bound(NamedTuple):
    """By how much a figure may be more at the end: a part of what it was, and so much more."""

    part: float
    more: float


def settled(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Those from which on a run is judged."""
    end = samples[-1].seconds
    return [each for each in samples if each.seconds >= end * SETTLED]


def halves(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """The most that a figure was in the first half of the settled samples, and in the second."""
    values = [each.figures.get(name, 0.0) for each in settled(samples)]
    middle = len(values) // 2
    return max(values[:middle]), max(values[middle:])


def grown(samples: Sequence[Sample], bounds: Mapping[str, Bound], other: Bound) -> list[str]:
    """The figures whose most in the second half is over the bound of the first, a line for each."""
    found = []
    for name in dict.fromkeys(name for each in samples for name in each.figures):
        bound = bounds.get(name, other)
        before, after = halves(samples, name)
        if after > before * (1 + bound.part) + bound.more:
            found.append(f"{name}: {before:.4g}, then {after:.4g}")
    return found
