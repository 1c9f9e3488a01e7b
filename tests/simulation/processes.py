"""The processes of a run, as the simulation tells of them; each is one that the record allows."""

from .conditions import Conditions
from .ledger import Ledger
from .pacing import Attempt
from .trouble import must


class Processes(Ledger):
    """Follows the processes that begin and end."""

    conditions: Conditions
    stopping: dict[int, float]  # pid -> since when it knows that it is to stop

    def born(self, pid: int, vassal: str, number: int) -> None:
        """A process runs an attempt."""
        attempt = Attempt(vassal, number)
        must(attempt in self.ordered, "durable first", f"{attempt} runs, its spawn is not durable")
        must(attempt not in self.over, "gone means gone", f"{attempt} runs and is over")
        others = {p: of for p, of in self.living.items() if of.vassal == vassal}
        most = vassal in self.replacements.names and len(set(others.values())) < 2
        must(not others or most, "never two", f"{attempt} runs beside {others}")
        self.living[pid] = attempt

    def strayed(self, pid: int, vassal: str, number: int) -> None:
        """A descendant left its leader."""
        self.living[pid] = Attempt(vassal, number)

    def died(self, pid: int) -> None:
        """A process is gone."""
        del self.living[pid]
        self.stopping.pop(pid, None)
        self.conditions.died(pid)

    def ended(
        self, vassal: str, number: int, code: int | None, signal: int | None, *, known: bool
    ) -> None:
        """A leader ended so; ``known``: a keeper saw it."""
        self.ends[Attempt(vassal, number)] = code, signal, known

    def forgotten(self) -> None:
        """The status of an end that is not recorded is lost with the keeper."""
        self.ends = {attempt: (c, s, False) for attempt, (c, s, _) in self.ends.items()}

    def told_to_stop(self, pid: int, now: float) -> None:
        """A vassal was told to stop; from here on its mercy counts."""
        self.stopping.setdefault(pid, now)
