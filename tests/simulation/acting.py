"""The operations of a script, by name, as far as the simulation and real processes share them."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable

from .script import Step


class Acting(ABC):
    """Carries out the steps of a script: a method an operation."""

    def happen(self, step: Step) -> None:
        """Carry out a step."""
        getattr(self, self.method_for(step))(step)

    @staticmethod
    def method_for(step: Step) -> str:
        """The name of the method that carries the step out."""
        return "do_" + step.do.replace(" ", "_").replace("-", "_")

    @abstractmethod
    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Have this done after seconds."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send the daemon a signal."""

    @abstractmethod
    def ask(self, step: Step) -> None:
        """Have an operator ask for what the step says."""

    def during(self, step: Step, on: Callable[[], None], off: Callable[[], None]) -> None:
        """Switch a trouble on, and off when the step's time is over."""
        on()
        self.later(step.much, off)

    def do_stop(self, step: Step) -> None:
        self.ask(step)

    do_start = do_reload = do_restart = do_retry = do_stop

    def do_term(self, step: Step) -> None:
        self.signal(signal.SIGTERM)

    def do_term_twice(self, step: Step) -> None:
        self.signal(signal.SIGTERM)
        self.later(1.3, lambda: self.signal(signal.SIGTERM))

    def do_hup(self, step: Step) -> None:
        self.signal(signal.SIGHUP)

    def do_urg(self, step: Step) -> None:
        self.signal(signal.SIGURG)

    def do_usr2(self, step: Step) -> None:
        self.signal(signal.SIGUSR2)
