"""Older parts of a log that logrotate has compressed: ``NAME.log.2.gz``.

A compressed file can only be read from its beginning, and its last lines are wanted. So its text
goes to a file without a name, which is read like any other part.
"""

import os
import tempfile
import zlib
from collections.abc import Iterator
from typing import Final

_BLOCK: Final = 1 << 16
_MOST: Final = 256 << 20  # bytes of text that one part may have: a small file may have any number


def unpacked(descriptor: int, path: str) -> int:
    """A descriptor of a file that has the text of a gzip file.

    Raises OSError where it is damaged or its text is too long.
    """
    with tempfile.TemporaryFile() as file:
        size = 0
        for block in _texts(descriptor, path):
            size += len(block)
            if size > _MOST:
                raise OSError(0, f"its text has more than {_MOST >> 20} MiB; use zcat", path)
            file.write(block)
        file.flush()
        return os.dup(file.fileno())


def _texts(descriptor: int, path: str) -> Iterator[bytes]:
    """The text in blocks. A file may have several members, one behind the other."""
    at, unpacker = 0, None
    while packed := os.pread(descriptor, _BLOCK, at):
        at += len(packed)
        while packed:
            unpacker = unpacker or zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                yield unpacker.decompress(packed, _BLOCK)
            except zlib.error:
                raise OSError(0, "is no gzip file, or is damaged", path) from None
            packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            unpacker = None if unpacker.eof else unpacker
    if unpacker is not None:
        raise OSError(0, "is cut off in the middle of its text", path)
