"""The frames of one ZeroMQ connection, counted on their way to libzmq.

libzmq keeps all frames of a message until the last one has come, and has no limit for their
number. So the bytes of a client are measured before libzmq has them (ZMTP 3.1, RFC 37; 2.0, RFC
15; 1.0, RFC 13). Only lengths are looked at. CURVE encrypts the rest, also the flag that says
whether a frame is the last of its message.
"""

import struct
from typing import Final

LARGEST_FRAME: Final = 256 << 10  # bytes
MOST_FRAMES: Final = 256  # of one client, that it has sent and the daemon has not received
_SIGNATURE: Final = 10  # bytes; FF to 7F
_LONG: Final = 2  # a flag of ZMTP 2.0 and later: the length has 8 bytes
SEALED: Final = 33  # bytes of CURVE's around a frame: 8 MESSAGE, 8 nonce, 16 tag, 1 flags
_AT_ONCE: Final = 64  # frames that are measured before others have their turn
_PONG_TO_PING: Final = 2  # bytes that a PING is longer than its answer


class BadFrames(Exception):
    """The client sends what libzmq must not be given; the text says what."""


class Frames:
    """One direction of a connection.

    ``count`` and ``size`` (bytes, without ZeroMQ's own) are those of the frames that have
    passed and are not accounted for.
    """

    def __init__(self, *, curve: bool) -> None:
        self.count = 0
        self.size = 0
        self._sealed = SEALED if curve else 0
        # Frames that come before messages: CURVE's HELLO and INITIATE, READY, or an identity.
        self._prelude = 2 if curve else 1
        self._old = False  # the framing of ZMTP 1.0
        self._greeted = False
        self._head = bytearray()  # the first bytes of a greeting, or of a frame's header
        self._left = 0  # bytes of a frame, or of a greeting, that may pass as they are

    def over(self, most: int) -> bool:
        """Whether it is more than ``most`` bytes or than the frames that may be there."""
        return self.size > most or self.count > MOST_FRAMES

    def account(self, count: int, size: int) -> None:
        """So many of the frames, of so many bytes, are not held any more."""
        self.count = max(0, self.count - count)
        self.size = max(0, self.size - size)

    def answered(self, answers: "Frames") -> None:
        """Account for the PINGs that libzmq has answered.

        They are frames as others. A PULL socket sends no messages, so each frame is a PONG.
        """
        self.account(answers.count, answers.size + answers.count * _PONG_TO_PING)
        answers.count = answers.size = 0

    def measure(self, data: memoryview, most: int) -> int:
        """How many of these bytes may pass now. Raises BadFrames."""
        at, headers = 0, 0
        while at < len(data) and headers < _AT_ONCE and not self.over(most):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            self._head.append(data[at])
            at += 1
            if self._greeted:
                self._header()
                headers += not self._head
            else:
                self._greeting()
        return at

    def _greeting(self) -> None:
        """See which version the client speaks, as libzmq does."""
        head = self._head
        unversioned = head[0] != 0xFF or (len(head) == _SIGNATURE and not head[9] & 1)
        if unversioned:
            self._old = self._greeted = True
            self._head = bytearray()
            for each in head:  # these are frames already
                self._again(each)
        elif len(head) > _SIGNATURE:
            revision = head[_SIGNATURE]
            self._old, self._greeted = revision == 0, True
            self._left = (12 if revision < 2 else 64) - len(head)
            self._head.clear()

    def _again(self, byte: int) -> None:
        if self._left:
            self._left -= 1
        else:
            self._head.append(byte)
            self._header()

    def _header(self) -> None:
        head = self._head
        if self._old:
            self._header_of_old()
        elif len(head) == 2 and not head[0] & _LONG:
            self._frame(head[1])
        elif len(head) == 9:
            self._frame(*struct.unpack("!xQ", head))

    def _header_of_old(self) -> None:
        """The length of ZMTP 1.0 counts the flags, too."""
        head = self._head
        if head[0] != 0xFF and len(head) == 2:
            length = head[0]
        elif len(head) == 10:
            (length,) = struct.unpack_from("!Q", head, 1)
        else:
            return
        if not length:
            raise BadFrames("it sends a frame without flags")
        self._frame(length - 1)

    def _frame(self, length: int) -> None:
        self._head.clear()
        self._left = length
        length = max(0, length - self._sealed)
        if length > LARGEST_FRAME:
            raise BadFrames(f"it sends a frame of {length} bytes, {LARGEST_FRAME} are allowed")
        if self._prelude:
            self._prelude -= 1
        else:
            self.count += 1
            self.size += length
