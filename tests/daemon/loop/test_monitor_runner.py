"""Monitors run: one that fails is started again, and the first look of each is noted."""

from collections.abc import Mapping
from typing import Final

import pytest
import trio
import trio.testing
from emperord.daemon.control.first_look import FirstLook
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.loop.input_queue import InputQueue
from emperord.daemon.loop.monitor_runner import MonitorRunner
from emperord.daemon.loop.observer import Observer
from emperord.daemon.loop.turn import Input
from emperord.journal.events import Failed, Spec
from emperord.monitors.contract import Failed as Outage
from emperord.monitors.contract import Listing, Observation, Recovered, Seen, Tell, Touched

LIVES: Final = (0, 0, 0, 0, 0, 0, 0, 0, 3600, 0)  # seconds until it fails, each time


class Failing:
    """A monitor that fails after each of its lives, and then runs."""

    url = "dir:///v"
    trusts_content = True

    def __init__(self, raises: bool) -> None:
        self.raises = raises
        self.began: list[float] = []
        self.works = trio.Event()

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        turn = len(self.began)
        self.began.append(trio.current_time())
        if turn == len(LIVES):
            self.works.set()
            await trio.sleep_forever()
        await trio.sleep(LIVES[turn])
        if self.raises:
            raise ValueError(f"nonsense {turn}")


@pytest.mark.parametrize(
    ("raises", "reason"),
    [
        pytest.param(True, "ValueError: nonsense 0", id="an error"),
        pytest.param(False, "the monitor ended", id="its end"),
    ],
)
def test_its_pauses(raises: bool, reason: str) -> None:
    monitor, fleet, told = Failing(raises), Fleet(), list[Draft]()

    async def tell(given: Input) -> None:
        told.extend(draft for draft in given(fleet) if draft is not None)
        await trio.lowlevel.checkpoint()

    async def main() -> None:
        runner = MonitorRunner(
            fleet, Observer(), InputQueue(lambda given: iter(given(fleet))), tell, FirstLook()
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run, [monitor])
            await monitor.works.wait()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    ends = [begun + life for begun, life in zip(monitor.began, LIVES, strict=False)]
    pauses = [begun - end for end, begun in zip(ends, monitor.began[1:], strict=True)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 1, 2]
    assert [draft.kind for draft in told] == ["monitor_failed"] * len(LIVES)
    assert told[0].body == Failed(reason=reason)


class Telling:
    """A monitor that tells this at once, and then nothing."""

    url = "pg://x"
    trusts_content = False

    def __init__(self, *told: Observation) -> None:
        self._told = told
        self.has_told = trio.Event()

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        await tell(*self._told)
        self.has_told.set()
        await trio.sleep_forever()


TOUCHED: Final = Touched("a.ini", Seen(Spec(ts=1)))


@pytest.mark.parametrize(
    ("told", "is_silent", "is_over"),
    [
        pytest.param([TOUCHED], True, False, id="a part"),
        pytest.param([], True, False, id="a part with nothing new"),
        pytest.param([Listing({}, {})], False, True, id="a listing"),
        pytest.param([Recovered()], False, True, id="connected to one that announces"),
        pytest.param([Recovered(), TOUCHED], False, True, id="and announced"),
        pytest.param([Outage("away")], False, False, id="an outage"),
    ],
)
async def test_a_source_is_read_when_it_has_told_all(
    told: list[Observation], is_silent: bool, is_over: bool
) -> None:
    monitor, fleet, first_look = Telling(*told), Fleet(), FirstLook()

    async def tell(given: Input) -> None:
        list(given(fleet))
        await trio.lowlevel.checkpoint()

    queue = InputQueue(lambda given: iter(given(fleet)))
    runner = MonitorRunner(fleet, Observer(), queue, tell, first_look)
    runner.expect([monitor])
    first_look.ready()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run, [monitor])
        await monitor.has_told.wait()
        nursery.cancel_scope.cancel()
    assert bool(first_look.silent) == is_silent
    assert first_look.is_over == is_over
