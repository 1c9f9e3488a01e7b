"""Whether a vassal is above its budget of records, for the host, which knows no fleet."""

from collections.abc import Callable

from ..core import budget
from ..core.fleet import Fleet
from .clock import Clock


def over_budget(fleet: Fleet, clock: Clock) -> Callable[[str], bool]:
    """Tells it of a vassal of this fleet, by its name."""
    return lambda vassal: budget.is_vassal_over(fleet, vassal, clock.now())
