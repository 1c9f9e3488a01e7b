"""The frames that an AMQP broker sends, measured before pika sees them.

pika waits for as many bytes as a frame claims to have, copies all of them for each frame, and
keeps all of a message. Here each frame is measured first (AMQP 0-9-1, 4.2.3 and 2.3.5):

- a frame has at most as many bytes as was agreed on, and one that is no content far less;
- of a message, pika is given no more than shows that it is too long. Of its properties it gets the
  user id alone, which the broker has checked (RabbitMQ, "Validated User-ID");
- bytes that are neither a message nor an answer may not go on and on.
"""

import struct
from collections import deque
from typing import Any, Final

from pika.adapters.utils.nbio_interface import (  # type: ignore[import-untyped]
    AbstractStreamProtocol,
)

from ..rows import LONGEST_CONFIG

MOST_FRAME: Final = 131_072  # bytes; what pika and RabbitMQ agree on
MOST_METHOD: Final = 16 << 10  # bytes
MOST_MESSAGE: Final = 512 << 20  # bytes; RabbitMQ takes no longer ones
MOST_IDLE: Final = 1 << 20  # bytes that are neither a message nor an answer

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_PREFIX: Final = struct.Struct("!BHI")  # kind, channel, size of the payload
_CONTENT: Final = struct.Struct("!HHQH")  # class, weight, size of the body, which properties
_END: Final = b"\xce"
_USER_ID: Final = 1 << 4  # its flag, of the properties in a message's header
_MORE: Final = 1  # other flags follow
_TABLE: Final = -1
# The properties before it: the flag of each, and its bytes; None is a short text.
_BEFORE: Final = (
    (1 << 15, None),  # content type
    (1 << 14, None),  # content encoding
    (1 << 13, _TABLE),  # headers
    (1 << 12, 1),  # delivery mode
    (1 << 11, 1),  # priority
    (1 << 10, None),  # correlation id
    (1 << 9, None),  # reply to
    (1 << 8, None),  # expiration
    (1 << 7, None),  # message id
    (1 << 6, 8),  # timestamp
    (1 << 5, None),  # type
)


class Refusal(Exception):
    """The broker sent more than a client has to take; the text says what."""


class ReadCounts:
    """The measures of one connection."""

    def __init__(self) -> None:
        self.refusal = ""  # why the connection was broken off
        self.idle = 0  # bytes since the last answer or message
        self.sizes: deque[int] = deque()  # of messages, as they were sent


class Frames(AbstractStreamProtocol):  # type: ignore[misc]
    """Stands between pika's transport and its protocol, ``inner``."""

    def __init__(self, inner: Any, counts: ReadCounts) -> None:
        self.inner = inner
        self._counts = counts
        self._buffer = bytearray()
        self._left = 0  # bytes of the message that are to come
        self._wanted = 0  # those of them that pika is given

    def connection_made(self, transport: Any) -> None:
        """As pika's."""
        self.inner.connection_made(transport)

    def connection_lost(self, error: BaseException | None) -> None:
        """As pika's."""
        self.inner.connection_lost(error)

    def eof_received(self) -> Any:
        """As pika's."""
        return self.inner.eof_received()

    def data_received(self, data: bytes) -> None:
        """Hand over what may pass. Raises Refusal, for which pika breaks off."""
        try:
            self._receive(data)
        except Refusal as refusal:
            self._counts.refusal = str(refusal)
            raise

    def _receive(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at, passed, alive = 0, [], False
        while len(buffer) - at >= _PREFIX.size:
            kind, channel, size = _PREFIX.unpack_from(buffer, at)
            if kind == ord("A"):  # it says which protocol it speaks, and hangs up
                self.inner.data_received(bytes(buffer[at:]))
                buffer.clear()
                return
            self._check(kind, size)
            end = at + _PREFIX.size + size + 1
            if len(buffer) < end:
                break
            if kind == _HEARTBEAT:
                self._idle(end - at)
                alive = True
            elif kind == _METHOD:
                self._idle(end - at)
                passed.append(bytes(buffer[at:end]))
            else:
                payload = bytes(buffer[at + _PREFIX.size : end - 1])
                passed.append(self._content(kind, channel, payload))
            at = end
        del buffer[:at]
        if alive:
            passed.append(_frame(_HEARTBEAT, 0, b""))  # one says as much as thousands
        for each in filter(None, passed):
            self.inner.data_received(each)

    def _check(self, kind: int, size: int) -> None:
        if kind not in (_METHOD, _HEADER, _BODY, _HEARTBEAT):
            raise Refusal("the server there does not speak AMQP 0-9-1")
        most = MOST_FRAME if kind in (_HEADER, _BODY) else MOST_METHOD
        if size > most:
            raise Refusal(f"it sends a frame of {size} bytes, {most} are allowed")

    def _idle(self, count: int) -> None:
        self._counts.idle += count
        if self._counts.idle > MOST_IDLE:
            raise Refusal(
                f"it sends more than {MOST_IDLE >> 20} MiB that are neither a message nor an answer"
            )

    def _content(self, kind: int, channel: int, payload: bytes) -> bytes:
        """The part of a content frame that pika is given."""
        if kind == _HEADER:
            return self._header(channel, payload)
        count = len(payload)
        if not count or count > self._left:
            raise Refusal("it sends more of a message than it has announced")
        self._left -= count
        given, self._wanted = payload[: self._wanted], max(0, self._wanted - count)
        return _frame(_BODY, channel, given) if given else b""

    def _header(self, channel: int, payload: bytes) -> bytes:
        if len(payload) < _CONTENT.size or self._left:
            raise Refusal("it sends a message within a message")
        which, weight, size, flags = _CONTENT.unpack_from(payload)
        if size > MOST_MESSAGE:
            raise Refusal(f"it announces a message of {size} bytes, {MOST_MESSAGE} are allowed")
        self._counts.sizes.append(size)
        self._counts.idle = 0
        self._left, self._wanted = size, min(size, LONGEST_CONFIG + 1)
        user = user_id(flags, payload[_CONTENT.size :])
        kept = _USER_ID if user else 0
        return _frame(_HEADER, channel, _CONTENT.pack(which, weight, self._wanted, kept) + user)


def user_id(flags: int, properties: bytes) -> bytes:
    """The user id among a message's properties, as it is encoded; empty if there is none."""
    if not flags & _USER_ID or flags & _MORE:
        return b""
    at = 0
    for flag, size in _BEFORE:
        if not flags & flag:
            continue
        if size is None:
            at += 1 + properties[at] if at < len(properties) else len(properties)
        elif size == _TABLE:
            at += 4 + int.from_bytes(properties[at : at + 4])
        else:
            at += size
    end = at + 1 + properties[at] if at < len(properties) else at
    return properties[at:end] if end <= len(properties) else b""


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return _PREFIX.pack(kind, channel, len(payload)) + payload + _END
