"""The questions that the host asks about the fleet, which it does not know."""

from collections.abc import Callable
from typing import TypedDict

from ..core.attempts import candidate_of
from ..core.fleet import Fleet
from .clock import Clock
from .over_budget import over_budget


class Questions(TypedDict):
    """Whether a vassal is above its budget of records, and whether an attempt is a candidate."""

    is_over: Callable[[str], bool]
    is_tried: Callable[[str, int], bool]


def questions(fleet: Fleet, clock: Clock) -> Questions:
    """The questions, answered by this fleet."""
    return {"is_over": over_budget(fleet, clock), "is_tried": candidate_of(fleet)}
