"""Announced files whose file system does not answer at first."""

import errno
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from emperord.monitors.amqp import paths
from emperord.monitors.amqp.paths import Paths
from emperord.monitors.contract import Observation, Vanished
from emperord.monitors.listing import status
from emperord.monitors.options import MonitorOptions

from ..watching import NEVER


class Noted(Paths):
    """Paths that note a look which was given up."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gave_up = trio.Event()

    async def _try(self, job: Callable[[], None]) -> bool:
        ended = await super()._try(job)
        if not ended:
            self.gave_up.set()
        return ended


class Said:
    """Observations that the paths tell."""

    def __init__(self) -> None:
        self.all: list[Observation] = []
        self.gone = trio.Event()

    async def say(self, found: Callable[[], Iterable[Observation]]) -> None:
        self.all.extend(found())
        if self.all:
            self.gone.set()


async def test_a_file_whose_look_hung_is_watched_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.ini"
    file.write_text("one")
    looks, goes_on = threading.Semaphore(0), threading.Event()

    def slow(*arguments: Any, **named: Any) -> Any:
        looks.release()
        assert goes_on.wait(20)
        return status(*arguments, **named)

    monkeypatch.setattr(paths, "status", slow)
    monkeypatch.setattr(paths, "PATIENCE", 0.2)
    said = Said()
    watched = Noted({str(file): ""}, MonitorOptions(freq=NEVER), "amqp", said.say)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch)
        await watched.gave_up.wait()
        goes_on.set()
        for _ in range(2):
            assert await trio.to_thread.run_sync(partial(looks.acquire, timeout=20))
        file.unlink()
        await said.gone.wait()
        nursery.cancel_scope.cancel()
    assert said.all == [Vanished(str(file), "the file is gone")]


async def test_a_file_whose_look_hangs_each_time_keeps_no_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at it takes longer than the patience, and fails then."""
    known = [tmp_path / name / "a.ini" for name in ("slow", "before", "after")]
    for file in known:
        file.parent.mkdir()
        file.write_text("one")
    passes = threading.Event()

    def slow(path: str, **named: Any) -> Any:
        if path == str(known[0]):
            passes.wait(0.4)
            raise OSError(errno.EIO, "it does not answer")
        return status(path, **named)

    monkeypatch.setattr(paths, "status", slow)
    monkeypatch.setattr(paths, "PATIENCE", 0.2)
    said = Said()
    announced = {str(file): "" for file in known[:2]}
    watched = Noted(announced, MonitorOptions(freq=NEVER), "amqp", said.say)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch)
        await watched.gave_up.wait()
        watched.add(str(known[2]), "")
        for file in known[1:]:
            file.unlink()
            await said.gone.wait()
            assert said.all == [Vanished(str(file), "the file is gone")]
            said.all, said.gone = [], trio.Event()
        nursery.cancel_scope.cancel()
