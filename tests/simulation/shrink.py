"""Cutting a failing script down to the steps that it takes."""

from emperord.daemon.loop.shell import Shell

from .script import Script
from .trouble import Violation
from .world import play

MOST_TRIES = 400


class Failure:
    """A script that fails, and how."""

    def __init__(self, script: Script, violation: Violation, kept: list[int]) -> None:
        self.script = script
        self.violation = violation
        self.kept = kept  # the numbers of its steps in the whole script

    def __str__(self) -> str:
        seed, only = self.script.seed, ",".join(map(str, self.kept))
        steps = [f"  {number:3} {step}" for number, step in zip(self.kept, self.steps, strict=True)]
        hops = " --hops" if self.script.hops else ""
        again = f"again: tools/simulate --seed {seed}{hops} --only '{only}'"
        return "\n".join([f"seed {seed}: {self.violation}", "the steps it takes:", *steps, again])

    @property
    def steps(self) -> list[object]:
        return [self.script.steps[number] for number in self.kept]


def trouble(script: Script, daemon: type[Shell] = Shell) -> Violation | None:
    """How a script fails, None if it does not."""
    try:
        play(script, daemon)
    except Violation as violation:
        return violation
    except Exception as error:  # a bug of the daemon's, or of the simulation
        return Violation(type(error).__name__, str(error))
    return None


def shrunk(script: Script, violation: Violation, daemon: type[Shell] = Shell) -> Failure:
    """The same violation with fewer steps: pieces are left out while it still comes."""
    kept = list(range(len(script.steps)))
    size, tries = max(1, len(kept) // 2), 0
    while size and tries < MOST_TRIES:
        place, before = 0, len(kept)
        while place < len(kept) and tries < MOST_TRIES:
            fewer = kept[:place] + kept[place + size :]
            found = trouble(script.only(fewer), daemon)
            tries += 1
            if found is not None and found.rule == violation.rule:
                kept, violation = fewer, found
            else:
                place += size
        if size > 1 or len(kept) == before:
            size //= 2
    return Failure(script, violation, kept)
