"""Spawns that share a run of a thread: what a cancellation leaves of them."""

import gc
import threading
import weakref
from typing import cast

import pytest
import trio
import trio.testing
from emperord.daemon.core.fleet import Vassal
from emperord.daemon.host.news import Outbox
from emperord.daemon.host.process import Process
from emperord.daemon.host.spawn import Starter
from emperord.daemon.host.spawner import Spawner
from emperord.daemon.host.users import User
from emperord.daemon.host.vassal_tasks import VassalTasks
from emperord.journal.events import Spec


class _Made(Exception):
    """A start was made. It carries the vassal's name in place of a process."""


class _Starter:
    """A starter whose starts wait until they are let go."""

    def __init__(self) -> None:
        self.began, self.goes_on = trio.Event(), threading.Event()
        self.made: list[str] = []

    def begin_run(self) -> None:
        pass

    def start(self, vassal: Vassal, at: int, user: User | None) -> Process:
        trio.from_thread.run_sync(self.began.set)
        assert self.goes_on.wait(60)
        self.made.append(vassal.name)
        raise _Made(vassal.name)


def _vassal(name: str) -> Vassal:
    return Vassal(name, "dir:///v", Spec(ts=1), "starting", 1, 1)


async def test_a_cancelled_start_is_made_only_if_it_had_begun() -> None:
    starter = _Starter()
    tasks = VassalTasks(Outbox())
    spawner = Spawner(cast(Starter, starter), tasks)
    ended: list[str] = []

    async def start(name: str) -> None:
        try:
            await spawner.start(_vassal(name), 1, None)
        except _Made:
            ended.append(f"{name} is made")
        except trio.Cancelled:
            ended.append(f"{name} is given up")
            raise

    async with trio.open_nursery() as outer, trio.open_nursery() as nursery:
        tasks.begin(outer)
        nursery.start_soon(start, "first")
        await starter.began.wait()
        nursery.start_soon(start, "second")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
        assert ended == ["second is given up"]
        starter.goes_on.set()
    assert ended == ["second is given up", "first is made"]
    assert starter.made == ["first"]


async def test_no_start_waits_for_a_worker_that_is_given_up() -> None:
    starter = _Starter()
    tasks = VassalTasks(Outbox())
    spawner = Spawner(cast(Starter, starter), tasks)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            tasks.begin(nursery)

            async def start(name: str) -> None:
                with pytest.raises(_Made):
                    await spawner.start(_vassal(name), 1, None)

            nursery.start_soon(start, "first")
            await starter.began.wait()
            nursery.start_soon(start, "second")
            nursery.cancel_scope.cancel()
            starter.goes_on.set()
    assert starter.made[:1] == ["first"]


async def test_a_failed_start_leaves_nothing_for_the_collector() -> None:
    starter = _Starter()
    starter.goes_on.set()
    tasks = VassalTasks(Outbox())
    spawner = Spawner(cast(Starter, starter), tasks)
    errors: list[weakref.ref[_Made]] = []
    gc.disable()
    try:
        async with trio.open_nursery() as nursery:
            tasks.begin(nursery)
            try:
                await spawner.start(_vassal("one"), 1, None)
            except _Made as error:
                errors.append(weakref.ref(error))
        assert [each() for each in errors] == [None]
    finally:
        gc.enable()
