"""Programs of the simulated machine that notify (``ready = notify``), and heartbeats of all."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Literal

from emperord.daemon.core.inputs import Notice
from emperord.daemon.host import emperor_protocol

from .checker import Checker
from .kernel import Kernel, Process, Word


class Notifying(Kernel, ABC):
    """Plans their messages. ``machine.py`` has the rest of their lives."""

    _rng: Random
    _checker: Checker
    _now: Callable[[], float]

    @abstractmethod
    def _in(self, process: Process, seconds: float, do: Callable[[], None]) -> None:
        """Have it do this after seconds, if it lives."""

    @abstractmethod
    def says(self, process: Process, word: Word) -> None:
        """It writes a byte or a message."""

    @abstractmethod
    def dies(self, process: Process, code: int | None, signal: int | None) -> None:
        """It ends."""

    @abstractmethod
    def _is_ready(self, process: Process) -> None:
        """It is."""

    def _begin_notifying(self, process: Process) -> None:
        """A program says how it is."""
        rng, behaviour = self._rng, process.behaviour
        self._checker.conditions.begins(process.pid, self._now(), 2.0)
        if behaviour == "mum":
            return
        ready = rng.uniform(0.05, 0.6)
        if behaviour == "begs":
            asks = rng.uniform(0.3, 1.2)
            ready = asks + rng.uniform(1.9, 2.2)
            self._in(process, asks, lambda: self._begs(process, 2.6))
        self._in(process, ready, lambda: self._says_ready(process))
        if behaviour == "watched":
            self._in(process, ready, lambda: self._beats(process))
            self._in(process, ready + rng.uniform(0.3, 2.5), lambda: self.mutes(process))
        if behaviour == "halts":
            ends = ready + rng.uniform(0.3, 2.5)
            self._in(process, ends, lambda: self._notifies(process, "stopping"))
            self._in(process, ends + rng.uniform(0.0, 0.2), lambda: self.dies(process, 0, None))

    def _notifies(
        self, process: Process, about: Literal["stopping", "time"], seconds: float = 0.0
    ) -> None:
        self.says(process, Notice(process.name, process.attempt, about, seconds))

    def _begs(self, process: Process, seconds: float) -> None:
        if process.connected:
            self._checker.conditions.begins(process.pid, self._now(), seconds)
        self._notifies(process, "time", seconds)

    def _says_ready(self, process: Process) -> None:
        self._is_ready(process)
        self.says(process, emperor_protocol.ACCEPTING)

    def _beats(self, process: Process) -> None:
        if not process.mute:
            self.says(process, emperor_protocol.HEARTBEAT)
        self._in(process, 0.6, lambda: self._beats(process))

    def mutes(self, process: Process) -> None:
        """It hangs."""
        process.mute = True
        self._checker.conditions.fell_silent(process.pid, self._now())
