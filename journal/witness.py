"""The head of a journal as a witness has it: a line of JSON, written elsewhere.

The chain proves that nothing inside a journal was changed alone. A process that may write the file
can make a new chain. It cannot change the lines that a witness has, where those are out of its
reach. So a journal that lacks a witnessed event, or has another one of that number, was rewritten
or rolled back.

A line has the ``identity`` of the journal, and the ``seq``, ``hash`` and ``time`` of its last
event. It has the ``version`` of emperord, ``why`` it was written, and a ``signature`` where there
is a key. The signature is over the canonical JSON of all other fields.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

import msgspec

from . import chain
from .times import rfc3339

Why = Literal["start", "every", "stop", "adopted"]
LONGEST: Final = 65_536  # bytes of a line that is looked at


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. ``hash`` and ``identity`` are hex, ``time`` is RFC 3339."""

    identity: str
    seq: int
    hash: str
    time: str
    version: str
    why: Why | str = "every"
    signature: str | None = None

    @property
    def signed(self) -> bytes:
        """The bytes that are signed."""
        return chain.canonical(msgspec.structs.replace(self, signature=None))

    def encode(self) -> bytes:
        """The line, with its newline."""
        return chain.canonical(self) + b"\n"


def line_of(
    identity: bytes,
    seq: int,
    hash_: bytes,
    at: int,
    version: str,
    why: Why,
    sign: Callable[[bytes], str] | None = None,
) -> Line:
    """The line of a head."""
    line = Line(identity.hex(), seq, hash_.hex(), rfc3339(at), version, why)
    if sign is None:
        return line
    return msgspec.structs.replace(line, signature=sign(line.signed))


_decode = msgspec.json.Decoder(Line).decode


def parse(text: bytes) -> Line | None:
    """The line in this text, which may stand behind a prefix of syslog's; None if it is none."""
    begin = text.find(b"{")
    if begin < 0 or len(text) > LONGEST:
        return None
    try:
        line = _decode(text[begin:])
        return line if line.seq >= 0 and bytes.fromhex(line.hash) else None
    except (msgspec.DecodeError, ValueError):
        return None


def lines_of(texts: Iterable[bytes]) -> Iterator[tuple[int, Line | None]]:
    """Each line that is not empty, with its number from 1 on; None where it cannot be read."""
    for number, text in enumerate(texts, 1):
        if text.strip():
            yield number, parse(text)


Judge = Callable[[int], bytes | None]
"""The hash that a journal has at an event; None where it has none."""


def flaw(line: Line, begin: int, head: int, hash_of: Judge) -> str | None:
    """Why a journal cannot be the one of a line; None if it can, or where that is archived.

    ``begin`` is the event before the first in the file, ``head`` its last event.
    """
    if line.seq > head:
        return f"this file ends with event {head}, and event {line.seq} was witnessed"
    if line.seq < begin:
        return None
    if hash_of(line.seq) != bytes.fromhex(line.hash):
        return f"this file has another event {line.seq}"
    return None
