"""The ways in which a run can fail, by name."""


class Violation(AssertionError):
    """An invariant does not hold. ``rule`` names it: a script is cut down for the same rule."""

    def __init__(self, rule: str, said: str) -> None:
        super().__init__(f"{rule}: {said}")
        self.rule = rule


class Crash(BaseException):
    """The daemon is killed here. No code of it may catch this."""


def must(holds: bool, rule: str, said: str) -> None:
    """Raise Violation unless it holds."""
    if not holds:
        raise Violation(rule, said)
