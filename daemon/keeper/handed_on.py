"""Signals for the daemon, which the keeper hands on.

A daemon that leaves to be replaced takes no signal at some moment. From an order of its own on, all
wait for the next daemon. Those that were handed on before come back, if it has not taken them.
"""

import os
from collections.abc import Collection


class HandedOn:
    """Signals that wait for a daemon. ``known`` are the numbers that may come back."""

    def __init__(self, known: Collection[int]) -> None:
        self.waiting: list[int] = []
        self._known = known
        self._held = False

    def hold(self, untaken: list[int]) -> None:
        """Keep all for the next daemon, and first those that this one has not taken."""
        self._held = True
        self.waiting = [*(each for each in untaken if each in self._known), *self.waiting]

    def send(self, daemon: int) -> None:
        """Send those that wait to the daemon with this pid."""
        if not self._held:
            for number in self.waiting:
                os.kill(daemon, number)
            self.waiting = []

    def daemon_ended(self, stopping: int | None) -> None:
        """The next daemon gets what waits. One signal that tells to stop takes the place of all."""
        self._held = False
        if stopping is not None:
            self.waiting = [stopping]
