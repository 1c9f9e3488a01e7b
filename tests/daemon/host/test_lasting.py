"""A task that looks after all vassals goes on after an error."""

import errno
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise

import pytest
import trio
import trio.testing
from emperord.daemon.host.vassal_tasks import lasting
from emperord.daemon.keeper.refusals import Refused


def run(look: Callable[..., Awaitable[None]], *arguments: object) -> None:
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(partial(lasting, "looking", look, *arguments), clock=clock)


def test_it_begins_again_ever_later_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    began: list[float] = []

    async def look(at: str) -> None:
        began.append(trio.current_time())
        if len(began) < 10:
            raise ValueError(f"nonsense of {at}")

    run(look, "a.ini")
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    first = caplog.messages[0].splitlines()[0]
    assert first == "looking met an error: ValueError: nonsense of a.ini"
    assert "beginning again in 1 s" in caplog.messages[0]


def test_one_that_ran_well_for_long_begins_again_soon() -> None:
    began: list[float] = []

    async def look() -> None:
        began.append(trio.current_time())
        if len(began) == 4:
            await trio.sleep(100)
        if len(began) < 6:
            raise ValueError

    run(look)
    assert began[4] - began[3] == 101
    assert began[5] - began[4] == 2


async def test_its_end_is_not_put_off() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await lasting("looking", trio.sleep_forever)
    assert scope.cancelled_caught


async def test_a_refusal_of_the_machine_ends_it() -> None:
    """The daemon cannot go on without what was refused."""

    async def look() -> None:
        raise Refused(errno.ENOSPC, "no watch is left")

    with pytest.raises(Refused):
        await lasting("looking", look)
