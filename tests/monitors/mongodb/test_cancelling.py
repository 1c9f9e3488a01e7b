"""Work of pymongo ends when it is cancelled, even if pymongo loses a cancellation."""

import asyncio
import contextlib
import gc
import weakref

import pytest
import trio
from emperord.monitors.asyncio_loop import asyncio_loop
from emperord.monitors.mongodb.cancelling import cancellable, within


class Deaf:
    """Work that goes on after so many cancellations."""

    def __init__(self, loses: int) -> None:
        self._loses = loses
        self.begun = False
        self.ended = False

    async def __call__(self) -> str:
        self.begun = True
        try:
            for _ in range(self._loses):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            await asyncio.Event().wait()
        finally:
            self.ended = True
        return "an answer"


@pytest.fixture(params=["trio", "thread"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "thread":
        monkeypatch.setenv("EMPEROR_ASYNCIO", "thread")


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("loses", [0, 1, 3])
async def test_it_ends(loses: int) -> None:
    work = Deaf(loses)
    with trio.fail_after(20):
        async with asyncio_loop() as loop, trio.open_nursery() as nursery:
            nursery.start_soon(loop.run, cancellable, work)
            while not work.begun:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert work.ended


@pytest.mark.usefixtures("how")
async def test_an_answer_that_comes_nevertheless_is_passed_on() -> None:
    """A listing that was made counts as told, so its texts would not be told again."""
    begun, answers = False, list[str]()

    async def reads() -> str:
        nonlocal begun
        begun = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "an answer"

    with trio.fail_after(20):
        async with asyncio_loop() as loop, trio.open_nursery() as nursery:

            async def ask() -> None:
                answers.append(await loop.run(cancellable, reads))

            nursery.start_soon(ask)
            while not begun:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert answers == ["an answer"]


async def _gives() -> str:
    return "an answer"


async def _fails() -> str:
    raise ZeroDivisionError


async def _fails_at_its_end() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise ZeroDivisionError


@pytest.mark.usefixtures("how")
async def test_an_answer_and_an_error_are_passed_on() -> None:
    async with asyncio_loop() as loop:
        assert await loop.run(cancellable, _gives) == "an answer"
        with pytest.raises(ZeroDivisionError):
            await loop.run(cancellable, _fails)
        with pytest.raises(ZeroDivisionError):
            await loop.run(within, _fails(), 10.0)
        assert await loop.run(within, _gives(), 10.0)


@pytest.mark.usefixtures("how")
async def test_its_time_is_limited() -> None:
    work = Deaf(2)
    with trio.fail_after(20):
        async with asyncio_loop() as loop:
            assert not await loop.run(within, work(), 0.01)
            assert not await loop.run(within, _fails_at_its_end(), 0.01)
    assert work.ended


@pytest.mark.usefixtures("how")
async def test_work_ends_with_its_caller() -> None:
    work = Deaf(1)
    with trio.fail_after(20):
        async with asyncio_loop() as loop:
            with trio.move_on_after(0.05):
                await loop.run(within, work(), 1000.0)
            assert work.ended


class Batch:
    """Rows that a reading has."""


async def test_an_error_keeps_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPEROR_ASYNCIO", "thread")  # trio-asyncio itself keeps them
    read: list[weakref.ref[Batch]] = []

    async def breaks_off() -> None:
        batch = Batch()
        read.append(weakref.ref(batch))
        raise ZeroDivisionError

    gc.disable()
    try:
        async with asyncio_loop() as loop:
            with contextlib.suppress(ZeroDivisionError):
                await loop.run(cancellable, breaks_off)
            with trio.fail_after(5):  # the thread lets go of it a moment later
                while read[0]() is not None:
                    await trio.lowlevel.checkpoint()
    finally:
        gc.enable()
