"""One connection to an AMQP broker, as something a task can wait for.

pika reports by callbacks, made in the asyncio loop. Here each of them puts down what it has and
sets an event; each waiting task looks again. So nothing polls, and a task that waits for an answer
learns as well that there will be none. Every method of a link is called in that loop.

Messages are handed over in batches: all that have come while the last batch was being recorded.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pika  # type: ignore[import-untyped]
from pika import exceptions
from pika.adapters.asyncio_connection import (  # type: ignore[import-untyped]
    AsyncioConnection,
    _AsyncioIOServicesAdapter,
)

from .. import names
from ..os_errors import error_text
from ..polling import SourceFailed
from ..rows import LONGEST_CONFIG
from .frames import Frames, ReadCounts, Refusal

EXCHANGE: Final = "uwsgi.emperor"
# Messages that the broker gives before it wants an answer. So many may be told at once, and must
# not hold up other sources: with 500, these noticed a flood.
PREFETCH: Final = 200
_GATHER: Final = 0.02  # seconds; a burst is recorded in few pieces, a single message at once
_FAREWELL: Final = 1.0  # seconds for the broker to agree that a connection ends
_NOT_FOUND: Final = 404

# pika writes a page about every failure; what matters of it is told as the reason of a Failed.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class Delivery(msgspec.Struct, frozen=True):
    """A message. ``body`` is None where it is longer than any that means something."""

    tag: int
    key: str | bytes
    body: bytes | None
    size: int  # bytes of the body
    user: str = ""  # that published it, which the broker has checked


class ChannelClosed(SourceFailed):
    """The broker closed the channel, as it does to say no."""

    def __init__(self, error: Exception) -> None:
        super().__init__(failure_text(error))
        self.code = getattr(error, "reply_code", None)


class _Services(_AsyncioIOServicesAdapter):  # type: ignore[misc]
    """asyncio for pika, which fails (1.4.4) when an address comes after it cancelled looking it up.

    A look-up that has just ended is not cancelled any more, and its result is reported. All that
    a broker sends is measured.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, counts: ReadCounts) -> None:
        super().__init__(loop)
        self._counts = counts

    def create_streaming_connection(
        self,
        protocol_factory: Callable[[], Any],
        sock: socket.socket,
        on_done: Callable[[Any], None],
        *security: Any,
        **named: Any,
    ) -> Any:
        def done(result: Any) -> None:
            transport, frames = result if isinstance(result, tuple) else (None, None)
            on_done(result if frames is None else (transport, frames.inner))

        def measured() -> Frames:
            return Frames(protocol_factory(), self._counts)

        return super().create_streaming_connection(measured, sock, done, *security, **named)

    def getaddrinfo(self, *where: Any, on_done: Callable[[Any], None], **hints: Any) -> "_LookUp":
        look_up = _LookUp(on_done)
        look_up.task = super().getaddrinfo(*where, on_done=look_up.report, **hints)
        return look_up


class _LookUp:
    """One look-up of a host's addresses. A cancelled one reports nothing."""

    task: Any

    def __init__(self, on_done: Callable[[Any], None]) -> None:
        self._on_done: Callable[[Any], None] | None = on_done

    def report(self, result: Any) -> None:
        if self._on_done is not None:
            self._on_done(result)

    def cancel(self) -> bool:
        self._on_done = None
        return bool(self.task.cancel())


class AmqpConnection:
    """A connection with one channel. ``queue`` is a durable queue's name, or None."""

    def __init__(self, queue: str | None) -> None:
        self._queue = queue
        self._inbox: list[Delivery] = []
        self._open_tags: set[int] = set()  # of messages that are not acknowledged
        self._counts = ReadCounts()
        self._connection: Any = None
        self._opened = False
        self._channel: Any = None
        self._bound = ""  # the queue that messages come from
        self._refusal: Exception | None = None  # why the channel was closed
        self._lost: BaseException | None = None  # why the connection was
        self._closed = asyncio.Event()
        self._news = asyncio.Event()

    async def open(self, parameters: pika.ConnectionParameters) -> None:
        """Connect, and be given messages from now on. Raises SourceFailed.

        ``close`` must follow, however far this came.
        """
        await self._connect(parameters)
        await self._find_exchange()
        self._bound = await self._find_queue()
        await self._bind()
        await self._ask(self._channel.basic_qos, prefetch_count=PREFETCH)
        self._channel.add_on_cancel_callback(self._on_cancelled)
        await self._ask(
            self._channel.basic_consume, queue=self._bound, on_message_callback=self._on_message
        )

    async def reach(self, parameters: pika.ConnectionParameters) -> None:
        """Connect and look at the exchange and the queue, but be given nothing.

        Either may be missing: ``open`` makes it. Raises SourceFailed. ``close`` must follow.
        """
        await self._connect(parameters)
        await self._is_there("exchange_declare", exchange=EXCHANGE)
        if self._queue is not None:
            if not self._channel.is_open:  # that is how the broker says no
                await self._open_channel()
            await self._is_there("queue_declare", queue=self._queue)

    async def _connect(self, parameters: pika.ConnectionParameters) -> None:
        self._connection = AsyncioConnection(
            parameters,
            on_open_callback=self._on_opened,
            on_open_error_callback=self._on_closed,
            on_close_callback=self._on_closed,
            custom_ioloop=_Services(asyncio.get_running_loop(), self._counts),
        )
        await self._until(lambda: self._opened)

    async def deliveries(self, freq: float) -> list[Delivery]:
        """The messages that have come, at least one. Raises SourceFailed.

        Messages that came before the connection was lost are given first. A queue that died with
        the connection would not deliver them again. While none come, the queue is bound again every
        ``freq`` seconds, because a broker does not say that an exchange was deleted or made anew.
        """
        while not self._inbox:
            try:
                async with asyncio.timeout(freq):
                    await self._until(lambda: self._inbox)
            except TimeoutError:
                try:
                    await self._bind()
                except SourceFailed:
                    if not self._inbox:
                        raise
        if 1 < len(self._inbox) < PREFETCH and self._lost is None:
            await asyncio.sleep(_GATHER)
        batch, self._inbox = self._inbox, []
        return batch

    def acknowledge(self, tag: int, *, all_before: bool) -> None:
        """Say that a message is done with, or all up to it. Nothing is said to who is gone."""
        done = {each for each in self._open_tags if each <= tag} if all_before else {tag}
        self._open_tags -= done
        if self._channel.is_open:
            self._channel.basic_ack(tag, multiple=all_before)

    async def close(self) -> None:
        """End it in order if the broker takes part, else at once."""
        connection = self._connection
        if connection is None or self._closed.is_set():
            return
        if self._opened:
            if connection.is_open:
                connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._closed.wait()
                return
        # There is no public way to drop a connection whose broker does not answer. During the
        # handshake, close() ends in a failed assertion of pika's (1.4.4).
        connection._terminate_stream(exceptions.StreamLostError())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._closed.wait()

    # The exchange and the queue

    async def _find_exchange(self) -> None:
        """Use the exchange as it is; make it as publishers declare it if there is none."""
        if not await self._is_there("exchange_declare", exchange=EXCHANGE):
            await self._open_channel()
            # Not durable: the scripts that publish declare it so too, and must agree with us.
            await self._ask(
                self._channel.exchange_declare, exchange=EXCHANGE, exchange_type="fanout"
            )

    async def _bind(self) -> None:
        """Have the exchange give to the queue. Done again it changes nothing."""
        # The exchange may exist as another type. Of a topic, we get all; of a direct one, messages
        # without a key.
        for key in ("#", ""):
            await self._ask(
                self._channel.queue_bind, queue=self._bound, exchange=EXCHANGE, routing_key=key
            )

    async def _find_queue(self) -> str:
        queue = self._queue
        if queue is None:
            made = await self._ask(
                self._channel.queue_declare, queue="", exclusive=True, auto_delete=True
            )
            return str(made.method.queue)
        if not await self._is_there("queue_declare", queue=queue):
            await self._open_channel()
            await self._ask(self._channel.queue_declare, queue=queue, durable=True)
        return queue

    async def _is_there(self, declare: str, **which: str) -> bool:
        """Whether it exists. To say no the broker closes the channel."""
        if self._channel is None:
            await self._open_channel()
        try:
            await self._ask(getattr(self._channel, declare), passive=True, **which)
        except ChannelClosed as closed:
            if closed.code != _NOT_FOUND:
                raise
            return False
        return True

    async def _open_channel(self) -> None:
        self._refusal = None
        opened: list[object] = []
        self._channel = self._connection.channel(
            on_open_callback=lambda channel: self._tell(opened.append, channel)
        )
        self._channel.add_on_close_callback(self._on_refused)
        await self._until(lambda: opened)

    # Callbacks, and waiting for them

    async def _ask(self, method: Callable[..., object], **arguments: Any) -> Any:
        """The broker's answer. Raises SourceFailed."""
        answers: list[object] = []
        try:
            method(callback=lambda answer: self._tell(answers.append, answer), **arguments)
        except exceptions.AMQPError as error:  # it was closed a moment ago
            raise SourceFailed(self._why(self._lost or self._refusal or error)) from None
        await self._until(lambda: answers)
        self._counts.idle = 0
        return answers[0]

    def _why(self, error: BaseException) -> str:
        return self._counts.refusal or failure_text(error)

    async def _until(self, condition: Callable[[], object]) -> None:
        while not condition():
            if self._lost is not None:
                raise SourceFailed(self._why(self._lost))
            if self._refusal is not None:
                raise ChannelClosed(self._refusal)
            await self._news.wait()

    def _tell(self, take: Callable[[Any], None], news: Any) -> None:
        take(news)
        self._stir()

    def _stir(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _on_opened(self, _: object) -> None:
        self._opened = True
        self._stir()

    def _on_closed(self, _: object, error: BaseException) -> None:
        self._lost = error
        self._closed.set()
        self._stir()

    def _on_refused(self, channel: object, error: Exception) -> None:
        if channel is self._channel:
            self._refusal = error
            self._stir()

    def _on_cancelled(self, _: object) -> None:
        self._on_refused(self._channel, exceptions.ConsumerCancelled())

    def _on_message(self, _: object, method: Any, properties: Any, body: bytes) -> None:
        # Hundreds of messages may wait here; of one that cannot mean anything its size is kept.
        kept = body if len(body) <= LONGEST_CONFIG else None
        size = self._counts.sizes.popleft() if self._counts.sizes else len(body)
        self._open_tags.add(method.delivery_tag)
        if len(self._open_tags) > PREFETCH:
            raise Refusal(  # out of pika, which breaks off
                f"it gives more than the {PREFETCH} messages that may wait to be acknowledged"
            )
        user = names.shown(str(properties.user_id or ""))
        delivery = Delivery(method.delivery_tag, method.routing_key, kept, size, user)
        self._tell(self._inbox.append, delivery)


def failure_text(error: BaseException) -> str:
    """The failure as readable text, without anything that we sent."""
    error = _innermost(error)
    match error:
        case Refusal():
            return str(error)
        case exceptions.ProbableAuthenticationError():
            return "it does not accept this user and password"
        case exceptions.ProbableAccessDeniedError():
            return f"it does not let this user use the virtual host{_quoted(error)}"
        case exceptions.ChannelClosedByBroker() | exceptions.ConnectionClosedByBroker():
            return f"it said no: {names.shown(str(error.reply_text))} ({error.reply_code})"
        case exceptions.ConsumerCancelled():
            return "the queue was deleted"
        case exceptions.IncompatibleProtocolError() | exceptions.ProtocolVersionMismatch():
            return "the server there does not speak AMQP 0-9-1"
        case exceptions.AMQPHeartbeatTimeout():
            return "it gives no sign of life"
        case exceptions.StreamLostError():
            return "the connection was lost"
        case ssl.SSLError():
            text = getattr(error, "verify_message", "") or error.reason or "TLS failed"
            return f"no trusted connection: {names.shown(text)}"
        case OSError():
            return f"cannot connect: {names.shown(error_text(error))}"
    return f"the connection failed ({type(error).__name__})"


def _quoted(error: BaseException) -> str:
    """The broker's sentence, from the text that pika wrapped it in."""
    _, _, text = str(error).partition(" - ")
    return f": {names.shown(text[:200].rstrip(chr(39) + chr(34) + ')'))}" if text else ""


def _innermost(error: BaseException) -> BaseException:
    """The error that a failed attempt to connect is about: of the last address, the cause."""
    while True:
        errors = getattr(error, "exceptions", None)
        inner = [*(errors or ())[-1:], getattr(error, "exception", None), *error.args]
        cause = next((each for each in inner if isinstance(each, BaseException)), None)
        if cause is None:
            return error
        error = cause
