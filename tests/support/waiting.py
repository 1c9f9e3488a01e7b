"""Waiting for a condition, never for a time: with a deadline, and with words when it passes."""

import select
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 20.0  # seconds; far more than anything here takes on a busy machine
_PERIOD = 0.01

_T = TypeVar("_T")


class NeverHappened(AssertionError):
    """An event that a test waited for did not come."""


def breathe() -> None:
    """Let other processes run for a moment, between two looks at a condition."""
    select.select((), (), (), _PERIOD)


def until(
    condition: Callable[[], _T | None],
    what: str,
    *,
    patience: float = PATIENCE,
    account: Callable[[], str] = str,
) -> _T:
    """The first true value of ``condition``; ``account`` tells how things stood if none came."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise NeverHappened(f"{what}: not in {patience:g} s\n{account()}")
        breathe()
