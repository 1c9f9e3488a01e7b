"""Looks at processes that one task makes, each at its time."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import trio
import trio.testing
from emperord.daemon.host.later_looks import LaterLooks, Look
from emperord.daemon.host.news import Outbox
from emperord.daemon.host.process import Process
from emperord.daemon.host.vassal_tasks import VassalTasks

Made = list[tuple[str, float]]


def _process(name: str) -> Process:
    return cast(Process, SimpleNamespace(name=name))


def _made(plan: Callable[[LaterLooks, Look], None]) -> Made:
    """The looks that are made, with the seconds until then. The clock is virtual."""
    made: Made = []

    async def look_at_all() -> None:
        tasks = VassalTasks(Outbox())
        looks = LaterLooks(tasks)
        began = trio.current_time()

        def look(process: Process) -> None:
            made.append((process.name, trio.current_time() - began))
            if process.name == "soon":
                looks.plan(1, _process("between"), "look", look)
            if process.name == "fails":
                raise ValueError("a bug")

        async with trio.open_nursery() as nursery:
            tasks.begin(nursery)
            plan(looks, look)

    trio.run(look_at_all, clock=trio.testing.MockClock(autojump_threshold=0))
    return made


def test_each_look_comes_at_its_time() -> None:
    """One that is planned later is due before others, and one fails."""

    def plan(looks: LaterLooks, look: Look) -> None:
        for seconds, name in ((30, "late"), (5, "soon"), (5, "fails"), (7, "next")):
            looks.plan(seconds, _process(name), "look", look)

    assert _made(plan) == [("soon", 5), ("fails", 5), ("between", 6), ("next", 7), ("late", 30)]


def test_one_wake_serves_the_looks_of_many() -> None:
    """500 vassals are reloaded within a tenth of a second."""

    def plan(looks: LaterLooks, look: Look) -> None:
        looks.plan(26.5, _process("much later"), "look", look)
        for index in range(500):
            looks.plan(26 + index / 5000, _process(str(index)), "look", look)

    assert _made(plan) == [*((str(index), 26) for index in range(500)), ("much later", 26.5)]
