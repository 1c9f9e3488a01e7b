"""The operations of a script, carried out in the simulated world."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio
from emperord.daemon.core.fleet import Pressure

from .acting import Acting
from .script import Step

if TYPE_CHECKING:
    from .world import World


class Operations(Acting):
    """Has the steps of a script happen to one world."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def happen(self, step: Step) -> None:
        if not self._world.calm:
            super().happen(step)

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self._world.later(seconds, do)

    def do_put(self, step: Step) -> None:
        name, behaviour, *preflight = step.what.split()
        self._world.sources[step.whom].put(name, behaviour, *preflight)

    def do_mistake(self, step: Step) -> None:
        self._world.sources[step.whom].mistake(step.what, "healthy")

    def do_touch(self, step: Step) -> None:
        self._world.sources[step.whom].touch(step.what)

    def do_drop(self, step: Step) -> None:
        self._world.sources[step.whom].drop(step.what)

    def do_fail(self, step: Step) -> None:
        self._world.sources[step.whom].fails_until = trio.current_time() + step.much

    def do_hold(self, step: Step) -> None:
        self._world.sources[step.whom].held_until = trio.current_time() + step.much

    def do_raise(self, step: Step) -> None:
        self._world.sources[step.whom].raises = True

    def do_lie(self, step: Step) -> None:
        self._world.sources[step.whom].says_false(step.what)

    def do_repeat(self, step: Step) -> None:
        self._world.sources[step.whom].repeat()

    def do_kill(self, step: Step) -> None:
        self._die(step.whom, None, 11)

    def do_exit(self, step: Step) -> None:
        self._die(step.whom, 1, None)

    def do_exile(self, step: Step) -> None:
        self._die(step.whom, 26, None)

    def _die(self, name: str, code: int | None, number: int | None) -> None:
        found = self._world.machine.all_of(name)
        if found:
            process = found[0] if len(found) == 1 else self._world.rng.choice(found)
            self._world.machine.dies(process, code, number)

    def do_resign(self, step: Step) -> None:
        process = self._world.machine.of(step.whom)
        if process is not None and process.accepting:
            self._world.machine.says(process, 22)

    def do_mute(self, step: Step) -> None:
        process = self._world.machine.of(step.whom)
        if process is not None and process.accepting and process.behaviour == "beats":
            self._world.machine.mutes(process)

    def do_connect(self, step: Step) -> None:
        if step.whom in self._world.machine.listening:
            self._world.machine.clients.add(step.whom)
            process = self._world.machine.of(step.whom)
            if process is not None and process.accepting:
                self._world.machine.clients.discard(step.whom)
            if self._world.life is not None:
                self._world.life.host.knock(step.whom)

    def ask(self, step: Step) -> None:
        if self._world.life is not None:
            request: Any = step.do
            self._world.life.ask(request, step.whom)

    def do_rollout(self, step: Step) -> None:
        if self._world.life is not None:
            request: Any = f"rollout_{step.what}"
            self._world.life.ask(request, None)

    def do_starve(self, step: Step) -> None:
        self.during(step, lambda: self._starve(True), lambda: self._starve(False))

    def _starve(self, on: bool) -> None:
        self._world.machine.starved = on

    def do_busy(self, step: Step) -> None:
        self.during(step, lambda: self._occupy(True), lambda: self._occupy(False))

    def _occupy(self, on: bool) -> None:
        self._world.machine.busy = on

    def do_keeper(self, step: Step) -> None:
        """It dies; after a while a successor may take over, with a keeper of its own."""
        self._world.machine.keeper_died()
        if step.much:
            self.later(step.much, self._successor)

    def _successor(self) -> None:
        if self._world.life is not None and not self._world.machine.keeper:
            self._world.life.give_way()

    def do_stranger(self, step: Step) -> None:
        """A process of others gets the number of a vassal's that has died."""
        process = self._world.machine.of(step.whom)
        self.do_crash(step)
        if process is not None:
            self._world.machine.dies(process, None, 9)
            self._world.machine.take_pid(process.pid)

    def do_reboot(self, step: Step) -> None:
        self.do_crash(step)
        self._world.boots += 1
        self._world.machine.reboot(self._world.boots)

    def do_full(self, step: Step) -> None:
        self.during(step, lambda: self._refuse(True), lambda: self._refuse(False))

    def _refuse(self, on: bool) -> None:
        self._world.disk.refused = on

    def do_slow(self, step: Step) -> None:
        self.during(step, lambda: self._slow_down(True), lambda: self._slow_down(False))

    def _slow_down(self, on: bool) -> None:
        self._world.slow = on

    def do_hiccup(self, step: Step) -> None:
        self._world.disk.hiccups += 1

    def do_crash(self, step: Step) -> None:
        if self._world.life is not None:
            self._world.life.die()

    def do_crash_at(self, step: Step) -> None:
        self._world.armed[step.what] = int(step.much)

    def do_away(self, step: Step) -> None:
        self._world.away = step.much
        self.do_crash(step)

    def signal(self, number: int) -> None:
        if self._world.life is not None and not self._world.calm:
            self._world.life.signal(number)

    def do_wall(self, step: Step) -> None:
        self._world.wall += step.much

    def do_sources(self, step: Step) -> None:
        self._world.configured = tuple(step.what.split())

    def do_pressure(self, step: Step) -> None:
        self._world.pressure = Pressure(*map(int, step.what.split()))

    def do_max_starting(self, step: Step) -> None:
        self._world.max_starting = int(step.much)
