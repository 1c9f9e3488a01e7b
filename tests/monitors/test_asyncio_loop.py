"""asyncio within the daemon, as clients of databases and queues get it: each way keeps the same."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from emperord.monitors.asyncio_loop import AsyncioLoop, asyncio_loop
from support.descriptors import descriptors

pytestmark = pytest.mark.usefixtures("way")


class Broken(Exception):
    """The error that these tests raise."""


async def fail(error: BaseException) -> None:
    raise error


@contextlib.contextmanager
def blocker() -> Iterator[Callable[[], object]]:
    """A function that blocks its thread until the test is over."""
    release = threading.Event()
    try:
        yield release.wait
    finally:
        release.set()


# A call


async def test_a_call_gives_its_result() -> None:
    async def add(left: int, right: int) -> int:
        await asyncio.sleep(0)
        return left + right

    async with asyncio_loop() as loop:
        assert await loop.run(add, 2, 3) == 5


@pytest.mark.parametrize(
    "error", [Broken("x"), OSError(5, "y"), TimeoutError(), ExceptionGroup("g", [Broken()])]
)
async def test_an_error_of_a_call_is_passed_on(error: Exception) -> None:
    async with asyncio_loop() as loop:
        with pytest.raises(type(error)) as raised:
            await loop.run(fail, error)
        assert raised.value is error
        assert await loop.run(asyncio.sleep, 0, "the loop goes on") == "the loop goes on"


async def test_a_cancellation_within_asyncio_is_no_cancellation_in_trio() -> None:
    async with asyncio_loop() as loop:
        with pytest.raises(asyncio.CancelledError):
            await loop.run(fail, asyncio.CancelledError())


async def test_calls_run_at_the_same_time() -> None:
    async def meet() -> None:
        await barrier.wait()

    barrier = asyncio.Barrier(3)
    async with asyncio_loop() as loop, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(loop.run, meet)


async def test_posts_and_calls_keep_their_order() -> None:
    async def note(what: int) -> None:
        noted.append(what)

    noted: list[int] = []
    async with asyncio_loop() as loop:
        for number in range(0, 100, 2):
            loop.post(noted.append, number)
            await loop.run(note, number + 1)
    assert noted == list(range(100))


async def test_loops_do_not_get_in_each_others_way() -> None:
    async def loop_of() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async with asyncio_loop() as one, asyncio_loop() as two:
        assert await one.run(loop_of) is not await two.run(loop_of)
        assert await one.run(loop_of) is await one.run(loop_of)


# Cancelling a call


class Patient:
    """A coroutine that waits for ever, and whose end takes some turns of the loop."""

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.began = trio.Event()
        self.ended = False
        self._then = then
        self._token = trio.lowlevel.current_trio_token()

    async def wait(self) -> object:
        self._token.run_sync_soon(self.began.set)
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._then is None:
                raise
            return self._then()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            self.ended = True


async def cancelled(loop: AsyncioLoop, patient: Patient) -> object:
    """The result of a call that is cancelled when it has begun."""
    results = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            results.append(await loop.run(patient.wait))

        await patient.began.wait()
        nursery.cancel_scope.cancel()
    return results


async def test_a_cancelled_call_is_ended_before_its_caller_goes_on() -> None:
    async with asyncio_loop() as loop:
        patient = Patient()
        assert await cancelled(loop, patient) == []
        assert patient.ended


async def test_a_time_limit_ends_a_call() -> None:
    async with asyncio_loop() as loop:
        patient = Patient()
        with trio.move_on_after(0.01) as scope:
            await loop.run(patient.wait)
        assert scope.cancelled_caught
        assert patient.ended or not patient.began.is_set()


async def test_a_result_that_comes_nevertheless_is_passed_on() -> None:
    async with asyncio_loop() as loop:
        assert await cancelled(loop, Patient(lambda: "all the same")) == ["all the same"]


async def test_an_error_that_a_cancelled_call_ends_with_is_passed_on() -> None:
    def break_() -> None:
        raise Broken

    async with asyncio_loop() as loop:
        with pytest.raises(ExceptionGroup) as raised:
            await cancelled(loop, Patient(break_))
        assert [type(error) for error in raised.value.exceptions] == [Broken]


async def test_where_all_is_cancelled_a_call_is_too() -> None:
    async with asyncio_loop() as loop:
        patient = Patient()
        with trio.CancelScope() as scope:
            scope.cancel()
            await loop.run(patient.wait)
        assert scope.cancelled_caught


async def test_a_cancellation_may_meet_the_end_of_a_call() -> None:
    async with asyncio_loop() as loop:
        began = trio.current_time()
        for _ in range(20):
            await loop.run(asyncio.sleep, 0)
        takes = (trio.current_time() - began) / 20
        for step in range(300):
            with trio.move_on_after(takes * step / 150):
                await loop.run(asyncio.sleep, 0)


# The block


async def loop_of(loops: list[asyncio.AbstractEventLoop]) -> None:
    loops.append(asyncio.get_running_loop())


async def test_at_its_end_the_loop_is_closed_and_nothing_is_left() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    before = descriptors()
    for _ in range(3):
        async with asyncio_loop() as loop:
            await loop.run(loop_of, loops)
    assert [loop.is_closed() for loop in loops] == [True] * 3
    assert descriptors() <= before


async def test_tasks_that_are_left_are_cancelled_and_awaited() -> None:
    async def leave() -> None:
        tasks.append(asyncio.create_task(patient.wait()))

    tasks: list[asyncio.Task[object]] = []
    async with asyncio_loop() as loop:
        patient = Patient()
        await loop.run(leave)
        await patient.began.wait()
    assert patient.ended
    assert tasks[0].cancelled()


async def test_asynchronous_generators_that_are_left_are_closed() -> None:
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    generators = [numbers()]
    async with asyncio_loop() as loop:
        assert await loop.run(generators[0].__anext__) == 1
    assert closed == [True]


async def test_an_error_of_the_block_gets_out_as_it_is() -> None:
    with pytest.raises(Broken):
        async with asyncio_loop():
            raise Broken


async def test_an_error_of_a_callback_ends_the_block() -> None:
    said = []

    def break_() -> None:
        raise Broken

    async def wait_for_it() -> None:
        async with asyncio_loop() as loop:
            loop.post(break_)
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    said.append(await loop.run(asyncio.sleep, 0, "farewell"))

    with pytest.raises(Broken):
        await wait_for_it()
    assert said == ["farewell"]


async def test_a_cancelled_block_can_take_leave() -> None:
    said = []
    with trio.CancelScope() as scope:
        async with asyncio_loop() as loop:
            scope.cancel()
            try:
                await loop.run(asyncio.Event().wait)
            finally:
                with trio.CancelScope(shield=True):
                    said.append(await loop.run(asyncio.sleep, 0, "farewell"))
    assert scope.cancelled_caught
    assert said == ["farewell"]


async def test_a_block_that_begins_when_all_is_cancelled_ends() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with asyncio_loop() as loop:
            await loop.run(asyncio.Event().wait)
    assert scope.cancelled_caught


# Blocking work


async def in_executor(function: Callable[..., object], *arguments: object) -> object:
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def test_blocking_work_gives_its_result() -> None:
    async with asyncio_loop() as loop:
        assert await loop.run(in_executor, divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await loop.run(in_executor, divmod, 7, 0)


async def test_a_cancelled_call_leaves_blocking_work_behind() -> None:
    with blocker() as block:
        async with asyncio_loop() as loop:
            with trio.move_on_after(0.01) as scope:
                await loop.run(in_executor, block)
            assert scope.cancelled_caught


async def test_the_end_of_the_block_leaves_blocking_work_behind() -> None:
    async def begin() -> None:
        left.append(asyncio.get_running_loop().run_in_executor(None, block))

    left: list[object] = []
    with blocker() as block:
        async with asyncio_loop() as loop:
            await loop.run(begin)


async def test_names_are_looked_up() -> None:
    async def look_up() -> object:
        found = await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        return {each[4] for each in found}

    async with asyncio_loop() as loop:
        assert await loop.run(look_up) == {("127.0.0.1", 80)}


# Sockets


async def test_a_socket_whose_connecting_is_cancelled_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)

        async def give_up() -> None:
            loop = asyncio.get_running_loop()
            connecting = asyncio.ensure_future(loop.sock_connect(client, server.getsockname()))
            await asyncio.sleep(0)  # it has begun
            connecting.cancel()
            await asyncio.wait([connecting])
            assert connecting.cancelled()

        async with asyncio_loop() as loop:
            await loop.run(give_up)
        assert client.fileno() == -1


async def test_one_that_is_connected_is_left_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)

        async def connect() -> None:
            await asyncio.get_running_loop().sock_connect(client, server.getsockname())

        async with asyncio_loop() as loop:
            await loop.run(connect)
        assert client.getpeername() == server.getsockname()


# Which way

_MODULES = {
    "that is missing": "raise ImportError",
    "that this Python is too new for": "import asyncio.events\nasyncio.events.NoSuchPolicy",
}


def imported(folder: Path, module: str, **environment: str) -> str:
    """Whether the loop gets by on a trio_asyncio of these lines, with warnings as errors."""
    (folder / "trio_asyncio.py").write_text(module + "\n")
    code = "from emperord.monitors import asyncio_loop as m; print(m.trio_asyncio is not None)"
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
    )
    return told.stdout + told.stderr


@pytest.mark.parametrize("module", _MODULES.values(), ids=_MODULES.keys())
def test_a_library_is_done_without(tmp_path: Path, module: str) -> None:
    assert imported(tmp_path, module, EMPEROR_ASYNCIO="") == "False\n"


def test_one_that_is_deprecated_is_imported_without_a_word(tmp_path: Path) -> None:
    module = "import warnings; warnings.warn('old', DeprecationWarning)"
    assert imported(tmp_path, module, EMPEROR_ASYNCIO="") == "True\n"


def test_one_that_is_not_wanted_is_not_imported(tmp_path: Path) -> None:
    assert imported(tmp_path, "raise SystemExit", EMPEROR_ASYNCIO="thread") == "False\n"
