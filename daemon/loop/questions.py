"""The questions that the host asks about the fleet, which it does not know."""

from collections.abc import Callable
from typing import TypedDict

from ..core import budget
from ..core.attempts import candidate_of
from ..core.fleet import Fleet
from .clock import Clock


class Questions(TypedDict):
    """Whether a vassal is above its budget of records, and whether an attempt is a candidate."""

    is_over: Callable[[str], bool]
    is_tried: Callable[[str, int], bool]


def questions(fleet: Fleet, clock: Clock) -> Questions:
    """The questions, answered by this fleet."""
    return {
        "is_over": lambda vassal: budget.is_vassal_over(fleet, vassal, clock.now()),
        "is_tried": candidate_of(fleet),
    }
