"""An asyncio loop for client libraries that need one; the daemon itself runs under trio.

This module alone knows how the two meet. There are two ways, and both keep the same promises:

- trio-asyncio runs the loop within trio's, on Pythons that can import it (3.11 to 3.13).
- Elsewhere the loop runs in a thread of its own. A task of trio starts, ends and joins the thread.

The environment variable ``EMPEROR_ASYNCIO=thread`` selects the second way on any Python.

Promises: a cancelled call cancels its asyncio task and waits for the task's ``finally`` blocks.
Exceptions keep their types. When the block of ``asyncio_loop`` ends, every task that is left is
cancelled and awaited. An error in a callback gets out of the block.
"""

import asyncio
import contextlib
import os
import socket
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar, TypeVarTuple

import trio


def _in_thread_by_choice() -> bool:
    return os.environ.get("EMPEROR_ASYNCIO") == "thread"


def _import_trio_asyncio() -> Any:
    """The library, or None where this Python cannot import it (python-trio/trio-asyncio#160)."""
    if _in_thread_by_choice():  # then asyncio stays as it is
        return None
    try:
        with warnings.catch_warnings():
            # It names asyncio classes that Python 3.12 deprecates and 3.14 removed.
            warnings.simplefilter("ignore", DeprecationWarning)
            import trio_asyncio  # type: ignore[import-untyped]
    except (ImportError, AttributeError):
        return None
    return trio_asyncio


trio_asyncio: Any = _import_trio_asyncio()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class AsyncioLoop(Protocol):
    """The operations of the loop that code under trio uses."""

    async def run(self, function: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
        """Await ``function(*arguments)`` in asyncio.

        When cancelled, cancel it and wait until it has ended. A result or an error that comes
        nevertheless is passed on.
        """
        ...

    def post(self, function: Callable[[*Ts], object], *arguments: *Ts) -> None:
        """Call a function in asyncio, soon, in the order of posts and runs."""
        ...


@contextlib.asynccontextmanager
async def asyncio_loop() -> AsyncIterator[AsyncioLoop]:
    """A loop, as long as the block runs. An error that comes alone gets out as it is."""
    in_thread = trio_asyncio is None or _in_thread_by_choice()
    try:
        async with _in_thread() if in_thread else _in_trio() as loop:
            yield loop
    except BaseExceptionGroup as group:
        raise _only(group) from None


def _only(group: BaseException) -> BaseException:
    """The error itself, where a group holds nothing else."""
    while isinstance(group, BaseExceptionGroup) and len(group.exceptions) == 1:
        group = group.exceptions[0]
    return group


def _closing(
    loop: Any, connect: Callable[[socket.socket, Any], Awaitable[None]]
) -> Callable[[socket.socket, Any], Awaitable[None]]:
    """pymongo forgets the socket whose connecting is cancelled; it would be closed by chance."""

    async def sock_connect(sock: socket.socket, address: Any) -> None:
        try:
            await connect(sock, address)
        except asyncio.CancelledError:
            loop.call_soon(sock.close)  # the loop lets go of its descriptor first
            raise

    return sock_connect


async def in_thread(job: Callable[[], T]) -> T:
    """Run it in a worker thread, from a task of asyncio's.

    asyncio's handles and futures are parts of cycles. They would hold the job, and megabytes of
    rows with it, until garbage is collected. So they have a list, from which it is taken.
    """
    jobs = [job]
    return await asyncio.get_running_loop().run_in_executor(None, lambda: jobs.pop()())


async def _blocking(function: Callable[..., T], *arguments: Any) -> T:
    """Run it in a worker thread, and leave the thread behind when cancelled.

    Clients look up host names, shake hands for TLS and read files there, which may take minutes.
    """
    return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)


# By trio-asyncio


class _InTrio:
    """A loop of trio-asyncio."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    async def run(self, function: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
        result: T = await trio_asyncio.aio_as_trio(function, loop=self._loop)(*arguments)
        return result

    def post(self, function: Callable[[*Ts], object], *arguments: *Ts) -> None:
        self._loop.call_soon(function, *arguments)


@contextlib.asynccontextmanager
async def _in_trio() -> AsyncIterator[AsyncioLoop]:
    async with trio_asyncio.open_loop() as loop:
        executor = trio_asyncio.TrioExecutor()
        executor.submit = _blocking
        loop.set_default_executor(executor)
        loop.sock_connect = _closing(loop, loop.sock_connect)
        yield _InTrio(loop)


# In a thread


class _InThread:
    """A loop in a thread of its own."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery  # where errors of callbacks are raised
        self._trio = trio.lowlevel.current_trio_token()
        self._loop = _new_loop()  # not made in the thread: it takes posts before the thread runs
        self._loop.run_in_executor = self._run_in_executor
        self._loop.sock_connect = _closing(self._loop, self._loop.sock_connect)
        self._loop.set_exception_handler(self._handle)
        self._stopped = asyncio.Event()

    async def serve(self) -> None:
        """Run the loop until it is stopped, and end what is left in it."""
        # Shielded: only the block's end ends the loop, because the block's own finally blocks
        # need it. trio joins the thread, as it is not abandoned.
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as self._workers:
                own = trio.CapacityLimiter(1)  # it is no guest among the 40 of trio's own
                await trio.to_thread.run_sync(
                    self._in_thread, thread_name="emperor asyncio", limiter=own
                )
                self._workers.cancel_scope.cancel()

    def stop(self) -> None:
        """Have ``serve`` end."""
        self.post(self._stopped.set)

    def _in_thread(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._stopped.wait())
            # From here on Runner cancels the tasks that are left, awaits them, and closes.

    async def run(self, function: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
        async def awaited() -> T:
            return await function(*arguments)

        def begin() -> None:
            task = self._loop.create_task(awaited())
            tasks.append(task)
            task.add_done_callback(lambda _: self._trio.run_sync_soon(done.set))

        def give_up() -> None:
            for task in tasks:  # none, if it ended in the meantime
                task.cancel()

        tasks: list[asyncio.Task[T]] = []
        done = trio.Event()
        self._loop.call_soon_threadsafe(begin)
        try:
            await done.wait()
        except trio.Cancelled:
            self.post(give_up)
            with trio.CancelScope(shield=True):
                await done.wait()
            if tasks[0].cancelled():
                raise
        return tasks.pop().result()  # kept by no frame, which the error's traceback would keep

    def post(self, function: Callable[[*Ts], object], *arguments: *Ts) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is left to call
            self._loop.call_soon_threadsafe(function, *arguments)

    # Called in the loop's thread

    def _handle(self, loop: Any, context: dict[str, Any]) -> None:
        """Log an error that no task waits for, and raise it in trio, as trio-asyncio does."""
        loop.default_exception_handler(context)
        if not loop.is_closed():  # else a finaliser tells it, and no block is left that can fail
            error = context.get("exception") or RuntimeError(context["message"])
            self._trio.run_sync_soon(self._nursery.start_soon, _raise, error)

    def _run_in_executor(
        self, _: object, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        """Run it in a worker thread of trio's.

        asyncio's own executor would join its threads at the end, however long they take.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        scope = trio.CancelScope()

        def forget(_: object) -> None:
            if future.cancelled():
                self._trio.run_sync_soon(scope.cancel)

        async def work() -> None:
            with scope:
                try:
                    result = await _blocking(function, *arguments)
                except trio.Cancelled:
                    raise
                except BaseException as error:
                    self.post(settle, future.set_exception, error)
                else:
                    self.post(settle, future.set_result, result)

        def settle(setter: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                setter(value)

        future.add_done_callback(forget)
        self._trio.run_sync_soon(self._workers.start_soon, work)
        return future


def _new_loop() -> Any:
    # Not by asyncio.new_event_loop(): trio-asyncio, once imported, decides what that makes.
    return asyncio.SelectorEventLoop()


async def _raise(error: BaseException) -> None:
    raise error


@contextlib.asynccontextmanager
async def _in_thread() -> AsyncIterator[AsyncioLoop]:
    async with trio.open_nursery() as nursery:
        loop = _InThread(nursery)
        nursery.start_soon(loop.serve)
        try:
            yield loop
        finally:
            loop.stop()
