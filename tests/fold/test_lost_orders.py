"""Reloads whose order a daemon did not send before it was killed: no process misses one.

In these random lives, a daemon is killed when it has recorded an order to reload, and changes after
that. The next one adopts the process, and has to give the order again.
"""

from collections.abc import Callable
from random import Random
from typing import Final

import pytest
from emperord.journal.events import Spec
from emperord.journal.policy import Policy

from .world import World

STEPS: Final = 60
PROGRAMS: Final = ("a.ini", "b.ini")
SETTINGS: Final = (
    {"command": "job"},
    {"command": "job"},
    {"command": "job", "reload": "restart"},
    {"command": "job", "reload": "none"},
    {"command": "job", "listen": ":90", "reload": "replace"},
)


class Life:
    """One random life of two programs, and of a uWSGI that holds the one slot for a while."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.world = World()
        self.world.policy = Policy(max_starting=1, throttle=100)
        self.world.start_daemon(lambda: True, lambda: "alive")
        self.world.happen("daemon_ready")

    def step(self) -> None:
        """Something happens."""
        steps: list[tuple[int, Callable[[], None]]] = [
            (6, self._changes),
            (2, self._changes_another),
            (6, self._deadline),
            (6, self._obeys),
            (2, self._asked),
            (3, self._killed),
        ]
        weights, moves = zip(*steps, strict=True)
        self.rng.choices(moves, weights)[0]()

    def _changes(self) -> None:
        ts = self.rng.randint(1, 9)
        settings = dict(self.rng.choice(SETTINGS))
        spec = Spec(ts=ts, config=f"c{ts}", path="/etc/x", settings=settings)
        self.world.sources["one"][self.rng.choice(PROGRAMS)] = spec
        self.world.look("one")

    def _changes_another(self) -> None:
        ts = self.rng.randint(1, 9)
        settings = {"listen": ":91", "reload": self.rng.choice(["auto", "none", "replace"])}
        spec = Spec(ts=ts, config=f"c{ts}", path="/etc/u", settings=settings)
        self.world.sources["one"]["u.ini"] = spec
        self.world.look("one")

    def _deadline(self) -> None:
        if self.world.deadlines:
            self.world.pass_deadline(*self.rng.choice(self.world.deadlines))

    def _obeys(self) -> None:
        for process in list(self.world.processes.values()):
            if process.told:
                self.world.end(process)
            else:
                self.world.bear(process)
                self.world.say(process, "vassal_accepting")

    def _asked(self) -> None:
        request = self.rng.choice(["reload", "restart"])
        self.world.happen("operator_requested", self.rng.choice(PROGRAMS), request=request)

    def _killed(self) -> None:
        """The daemon is killed when it has recorded some changes, and before it acts on them."""
        self.world.loses_reloads = True
        for _ in range(self.rng.randint(1, 3)):
            self.rng.choice([self._changes, self._changes, self._changes_another])()
        self.world.loses_reloads = False
        self.world.start_daemon(lambda: True, lambda: "alive")
        self.world.happen("daemon_ready")


@pytest.mark.parametrize("seed", range(60))
def test_each_process_has_the_config_that_it_is_taken_to_run(seed: int) -> None:
    life = Life(seed)
    for _ in range(STEPS):
        life.step()
    life.world.turn_honest()
    life.world.check_rest()
    for process in life.world.processes.values():
        ran = life.world.fleet.vassals[process.vassal].running
        assert ran is not None
        assert ran.config == process.config
