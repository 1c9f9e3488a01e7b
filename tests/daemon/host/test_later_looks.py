"""Looks at processes that one task makes, each at its time."""

from types import SimpleNamespace
from typing import cast

import trio
import trio.testing
from emperord.daemon.host.later_looks import LaterLooks
from emperord.daemon.host.news import Outbox
from emperord.daemon.host.process import Process
from emperord.daemon.host.vassal_tasks import VassalTasks


def _process(name: str) -> Process:
    return cast(Process, SimpleNamespace(name=name))


def test_each_look_comes_at_its_time() -> None:
    """The clock is virtual. One that is planned later is due before others, and one fails."""
    made: list[tuple[str, float]] = []

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
            for seconds, name in ((30, "late"), (5, "soon"), (5, "fails"), (7, "next")):
                looks.plan(seconds, _process(name), "look", look)

    trio.run(look_at_all, clock=trio.testing.MockClock(autojump_threshold=0))
    assert made == [("soon", 5), ("fails", 5), ("between", 6), ("next", 7), ("late", 30)]


def test_one_wake_serves_the_looks_of_many() -> None:
    """The clock is virtual: 500 vassals are reloaded within a tenth of a second."""
    made: list[tuple[str, float]] = []

    async def look_at_all() -> None:
        tasks = VassalTasks(Outbox())
        looks = LaterLooks(tasks)
        began = trio.current_time()

        def look(process: Process) -> None:
            made.append((process.name, trio.current_time() - began))

        async with trio.open_nursery() as nursery:
            tasks.begin(nursery)
            looks.plan(26.5, _process("much later"), "look", look)
            for index in range(500):
                looks.plan(26 + index / 5000, _process(str(index)), "look", look)

    trio.run(look_at_all, clock=trio.testing.MockClock(autojump_threshold=0))
    assert made == [*((str(index), 26) for index in range(500)), ("much later", 26.5)]
