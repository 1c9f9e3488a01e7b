"""Announced files whose file system does not answer at first."""

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
    said: list[Observation] = []
    gone = trio.Event()

    async def say(found: Callable[[], Iterable[Observation]]) -> None:
        said.extend(found())
        if said:
            gone.set()

    watched = Noted({str(file): ""}, MonitorOptions(freq=NEVER), "amqp", say)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch)
        await watched.gave_up.wait()
        goes_on.set()
        for _ in range(2):
            assert await trio.to_thread.run_sync(partial(looks.acquire, timeout=20))
        file.unlink()
        await gone.wait()
        nursery.cancel_scope.cancel()
    assert said == [Vanished(str(file), "the file is gone")]
