"""Signals to the end of the daemon. One that comes while it leaves ends nothing, and is not lost.

An operator who repeats a signal would otherwise end the process, and be its cause of death.
"""

import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from types import FrameType
from typing import Self

import trio

from ..keeper.link import KeeperLink


class LastSignals:
    """Signals as they arrive. Those of the leave are ``untaken``: no task takes them any more.

    A handler stays as long as a thread may start a child: execve(2) resets a signal that has one to
    the default action. A signal that is ignored would be ignored by the child, too.
    """

    def __init__(self) -> None:
        self.untaken: list[int] = []  # numbers, in the order in which they came
        self._numbers: tuple[int, ...] = ()

    @contextlib.contextmanager
    def receive(self, *numbers: int) -> Iterator[AsyncIterator[int]]:
        """Signals of these numbers as they arrive, those before the first look included."""
        self._numbers = numbers
        for number in numbers:
            signal.signal(number, self._keep)
        # At its end trio restores this handler, and raises again each signal that was not taken.
        with trio.open_signal_receiver(*numbers) as received:
            while self.untaken:
                signal.raise_signal(self.untaken.pop(0))
            yield received

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Ignore them from now on. No child is started any more.

        Python takes its handlers away in its last moments, and the default action would end it.
        """
        for number in self._numbers:
            signal.signal(number, signal.SIG_IGN)

    def hand_back(self, keeper: KeeperLink, unrecorded: Sequence[int]) -> None:
        """Have the keeper tell the next daemon those that are untaken or ``unrecorded``.

        Blocks for a moment.
        """
        keeper.hold([])
        # All that was handed on before has come, and no other one follows.
        keeper.hold([*unrecorded, *self.untaken])

    def _keep(self, number: int, _: FrameType | None) -> None:
        self.untaken.append(number)
