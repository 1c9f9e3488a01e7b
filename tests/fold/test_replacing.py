"""Replacements under any order of events: random lives of vassals that are replaced.

The search of ``test_properties.py`` rarely gets as far as two instances of one vassal. So these
lives are made of what matters to them. The same checker looks on.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest
from emperord.daemon.core import candidate_table
from emperord.daemon.core.attempts import of_attempt
from emperord.daemon.core.candidate import CANDIDATE_PHASES
from emperord.daemon.core.fold import BY_ATTEMPT
from emperord.journal.events import Spec
from emperord.journal.policy import Policy

from .checker import Violated
from .world import Process, World

STEPS: Final = 150
# A change in a rollout was lost to a reload, and a held job that changed stayed finished. In six
# lives a config that had run well was not good, or the second opinion looked at another moment. In
# four a vassal that loaded waited for a second slot, a reload took no turn, or one was forgotten.
MET: Final = (85, 32, 1128, 1198, 5281, 2634, 1077, 1858, 102226, 200468, 202897, 710078)
SETTINGS: Final = (
    {"listen": ":90", "reload": "replace"},
    {"listen": ":90", "reload": "replace"},
    {"command": "gunicorn", "listen": ":90", "reload": "replace"},
    {"listen": ":90", "preflight": "check", "reload": "replace"},
    {"listen": ":90", "reload": "replace", "replace-settle": "0"},
    {"listen": ":91", "reload": "replace"},
    {"listen": ":90"},
    {"command": "job", "restart": "no"},
)
SAID: Final = (
    *["vassal_accepting"] * 5, "vassal_ready", "vassal_loyal", "vassal_resigned",
    "heartbeat_started",
)  # fmt: skip
REQUESTS: Final = (
    *("start", "start", "stop", "restart", "reload", "reload", "retry"),
    *("rollout_continue", "rollout_continue", "rollout_abort"),
)


class Life:
    """One random life, with few vassals and much that happens to them."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.world = World()
        self.names = ("a.ini", "b.ini")
        self.world.policy = Policy(
            max_starting=self.rng.randint(1, 3),
            throttle=100,
            rollout=self.rng.choice(["", "1", "2"]),
            rollout_failures=self.rng.randint(1, 3),
        )
        self.world.start_daemon(lambda: True, lambda: "alive")
        self.world.happen("daemon_ready")

    def step(self) -> None:
        """Something happens."""
        steps: list[tuple[int, Callable[[], None]]] = [
            (6, self._changes),
            (1, self._goes),
            (9, self._born),
            (9, self._says),
            (3, self._dies),
            (5, self._obeys),
            (6, self._deadline),
            (2, self._rollout),
            (3, self._asked),
            (3, self._overtaken),
            (1, self._silent),
            (1, self._sick),
            (3, self._checked),
            (3, self._opened),
            (1, self._daemon),
            (1, self._errs),
        ]
        weights, moves = zip(*steps, strict=True)
        self.rng.choices(moves, weights)[0]()

    def _changes(self) -> None:
        self._change(self.rng.choice(self.names))

    def _change(self, name: str) -> None:
        settings = dict(self.rng.choice(SETTINGS))
        path = self.rng.choice(["/etc/x", "/etc/x", None])
        ts = self.rng.randint(1, 4)
        spec = Spec(ts=ts, config=f"c{ts}", path=path, settings=settings)
        self.world.sources["one"][name] = spec
        self.world.look("one")

    def _goes(self) -> None:
        self.world.sources["one"].pop(self.rng.choice(self.names), None)
        self.world.look("one")

    def _some(self) -> Process | None:
        found = list(self.world.processes.values())
        return self.rng.choice(found) if found else None

    def _born(self) -> None:
        if (process := self._some()) is not None:
            self.world.bear(process)

    def _says(self) -> None:
        if (process := self._some()) is not None:
            self.world.say(process, self.rng.choice(SAID))

    def _dies(self) -> None:
        if (process := self._some()) is None:
            return
        if process.born or self.rng.random() < 0.5:
            self.world.bear(process)
            self.world.end(process, self.rng.choice([0, 1, 1, 26, None]))
            return
        del self.world.processes[process.key]
        fault = self.rng.choice(["exec", "resources"])
        told = {"attempt": process.attempt, "reason": "no", "fault": fault}
        self.world.happen("spawn_failed", process.vassal, None, **told)

    def _obeys(self) -> None:
        for process in list(self.world.processes.values()):
            if process.told and self.rng.random() < 0.7:
                self.world.end(process)

    def _deadline(self) -> None:
        if self.world.deadlines:
            self.world.pass_deadline(*self.rng.choice(self.world.deadlines))

    def _rollout(self) -> None:
        rollouts = self.world.fleet.rollouts
        due = [seq for seq, each in rollouts.items() if each.deadline is not None]
        if due:
            self.world.pass_rollout_deadline(self.rng.choice(due))

    def _asked(self) -> None:
        name = self.rng.choice([None, *self.names])
        self.world.happen("operator_requested", name, request=self.rng.choice(REQUESTS))

    def _overtaken(self) -> None:
        """A change comes while a reload that an operator asked for is under way."""
        name = self.rng.choice(self.names)
        self.world.happen("operator_requested", name, request="reload")
        for process in list(self.world.processes.values()):
            if process.vassal == name and not process.told:
                self.world.bear(process)
        self._change(name)
        for each in self.world.deadlines:
            if each[0] == name and each[1] is not None and self.rng.random() < 0.5:
                self.world.pass_deadline(*each)

    def _silent(self) -> None:
        process = self._some()
        if process is not None:
            its = of_attempt(self.world.fleet.vassals[process.vassal], process.attempt)
            if its is not None and its.heartbeat:
                told = {"attempt": process.attempt, "silent": 30}
                self.world.happen("heartbeat_lost", process.vassal, None, **told)

    def _sick(self) -> None:
        if (process := self._some()) is not None:
            told = {"attempt": process.attempt, "failures": 1}
            self.world.happen("health_lost", process.vassal, None, **told)

    def _checked(self) -> None:
        for name in self.world.checked:
            self.world.end_check(name, passes=self.rng.random() < 0.7)

    def _opened(self) -> None:
        self.world.open_all()

    def _daemon(self) -> None:
        rng = self.rng
        if rng.random() < 0.2:
            self.world.happen("daemon_stopping", reason="asked to")
            for process in list(self.world.processes.values()):
                if process.told:
                    self.world.end(process)
            self.world.happen("daemon_stopped")
        gone = 0.2 if rng.random() < 0.8 else 1.0
        self.world.start_daemon(
            lambda: rng.random() < 0.8, lambda: "gone" if rng.random() < gone else "alive"
        )
        self.world.look_around()
        self.world.happen("daemon_ready")

    def _errs(self) -> None:
        told: dict[str, Any] = {"place": "fold", "reason": "KeyError"}
        process = self._some()
        if process is not None and self.rng.random() < 0.5:
            del self.world.processes[process.key]
            gone = {**told, "gone": process.attempt}
            self.world.happen("vassal_failed", process.vassal, None, **gone)
        else:
            self.world.happen("vassal_failed", self.rng.choice(self.names), None, **told)


def lived(seed: int) -> World:
    """The world after such a life, when all has come to rest."""
    life = Life(seed)
    for _ in range(STEPS):
        life.step()
    life.world.turn_honest()
    life.world.check_rest()
    life.world.check_again()
    return life.world


@pytest.mark.parametrize("seed", [*range(12), *MET])
def test_a_life(seed: int) -> None:
    lived(seed)


def test_the_table_is_total() -> None:
    """Each event that names an attempt has a cell for each phase of a second attempt."""
    assert candidate_table.TABLE.keys() == BY_ATTEMPT | {"deadline_passed"}
    for row in candidate_table.TABLE.values():
        assert tuple(row) == CANDIDATE_PHASES


def test_the_checker_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold that stops the old instance as soon as the new one was started is found."""
    row = candidate_table.TABLE["spawned"]
    monkeypatch.setitem(row, "starting", candidate_table.TABLE["deadline_passed"]["settling"])
    with pytest.raises(Violated, match="unready"):
        list(map(lived, range(12)))
