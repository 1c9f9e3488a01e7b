"""Frames of ZeroMQ are counted as libzmq reads them, in whatever pieces they come."""

import struct

import pytest
from emperord.monitors.zeromq.frames import MOST_FRAMES, BadFrames, Frames

PLENTY = 1 << 30
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_GREETING = _SIGNATURE + b"\x03\x00" + bytes(52)
_READY = b"\x04\x06\x05READY"


def _long(flags: int, count: int) -> bytes:
    return bytes([flags | 2]) + struct.pack("!Q", count) + bytes(count)


def _old_long(count: int) -> bytes:
    return b"\xff" + struct.pack("!Q", count + 1) + bytes(1 + count)


# bytes -> frames, and bytes in them
STREAMS = {
    "3.1": (_GREETING + _READY + b"\x01\x03abc" + _long(0, 300), 2, 303),
    "3.1, empty": (_GREETING + _READY + bytes(20), 10, 0),
    "3.1, command": (_GREETING + _READY + b"\x04\x07\x04PING\x00\x00", 1, 7),
    "3.1, long header only": (_GREETING + _READY + b"\x02" + struct.pack("!Q", 9), 1, 9),
    "2.0": (_SIGNATURE + b"\x01\x08" + b"\x00\x00" + b"\x01\x03abc" + _long(0, 300), 2, 303),
    "1.0": (b"\x01\x00" + b"\x04\x01abc" + _old_long(300), 2, 303),
    "1.0, long identity": (_old_long(255) + b"\x04\x01abc", 1, 3),
    "1.0, long and short": (_old_long(0) + b"\x04\x01abc", 1, 3),
    "1.0 with a version": (_SIGNATURE + b"\x00\x08" + b"\x01\x00" + b"\x04\x01abc", 1, 3),
    "half a greeting": (_GREETING[:20], 0, 0),
    "nothing": (b"", 0, 0),
}


@pytest.mark.parametrize("step", [1, 7, 1 << 20], ids=["bytes", "pieces", "whole"])
@pytest.mark.parametrize("what", STREAMS)
def test_counted(what: str, step: int) -> None:
    stream, count, size = STREAMS[what]
    frames = Frames(curve=False)
    for at in range(0, len(stream), step):
        piece = memoryview(stream[at : at + step])
        assert frames.measure(piece, PLENTY) == len(piece)
    assert (frames.count, frames.size) == (count, size)


def test_of_curve_only_the_text_counts() -> None:
    frames = Frames(curve=True)
    stream = _GREETING + _long(4, 200) + _long(4, 300) + b"\x00\x26" + bytes(38) + b"\x00\x21"
    assert frames.measure(memoryview(stream), PLENTY) == len(stream)
    assert (frames.count, frames.size) == (2, 5)


def test_nothing_passes_beyond_the_limit() -> None:
    frames = Frames(curve=False)
    stream = memoryview(_GREETING + _READY + _long(1, 600) + _long(1, 600) + _long(0, 9))
    passed = frames.measure(stream, 1000)
    assert passed == len(stream) - 600 - 18  # the second one's header has passed
    assert frames.measure(stream[passed:], 1000) == 0
    frames.account(1, 600)
    assert frames.measure(stream[passed:], 1000) == len(stream) - passed
    assert (frames.count, frames.size) == (2, 609)


def test_small_frames_are_limited_by_number() -> None:
    frames = Frames(curve=False)
    stream = memoryview(_GREETING + _READY + b"\x01\x00" * 10_000)
    passed = 0
    while step := frames.measure(stream[passed:], PLENTY):
        passed += step
    assert frames.count == MOST_FRAMES + 1
    assert passed == len(_GREETING + _READY) + 2 * frames.count


def test_a_ping_that_is_answered_is_accounted_for() -> None:
    frames, answers = Frames(curve=False), Frames(curve=False)
    ping, pong = b"\x04\x09\x04PING\x00\x00xy", b"\x04\x07\x04PONGxy"
    frames.measure(memoryview(_GREETING + _READY + ping), PLENTY)
    answers.measure(memoryview(_GREETING + _READY + pong), PLENTY)
    assert (frames.count, frames.size) == (1, 9)
    frames.answered(answers)
    assert (frames.count, frames.size) == (0, 0)


BAD = {
    "3.1": (
        _GREETING + _READY + b"\x02" + struct.pack("!Q", 1 << 63),
        False,
        "9223372036854775808",
    ),
    "a byte": (_GREETING + _READY + b"\x02" + struct.pack("!Q", 262_145), False, "262145 bytes"),
    "READY": (_GREETING + b"\x06" + struct.pack("!Q", 1 << 30), False, "1073741824 bytes"),
    "CURVE": (_GREETING + b"\x06" + struct.pack("!Q", (1 << 18) + 34), True, "262145 bytes"),
    "1.0": (b"\x01\x00\xff" + struct.pack("!Q", 1 << 30) + b"\x00", False, "1073741823 bytes"),
    "1.0, nothing": (b"\x01\x00" + bytes(2), False, "a frame without flags"),
}


@pytest.mark.parametrize(("stream", "curve", "reason"), BAD.values(), ids=BAD)
def test_refused(stream: bytes, curve: bool, reason: str) -> None:
    with pytest.raises(BadFrames, match=reason):
        Frames(curve=curve).measure(memoryview(stream), PLENTY)
