"""``-f``: the events of a journal as they are written.

The files are looked at five times a second, and the journal is read where they have changed. Each
look is a reader of its own: the daemon may start, stop or put another file in place meanwhile.
The end of the output, a closed pipe or a terminal that is gone, is seen without an event, too.
"""

import errno
import os
import select
import time
from collections.abc import Iterator
from typing import Final

from ..daemon.cli.commandline import OutputLost
from ..journal.errors import JournalError
from ..journal.reading import Reader, open_journal

_PAUSE: Final = 0.2  # seconds between two looks
# A file's time may be older than its last change by a tick of the kernel (10 ms at most), so what
# has changed within this time is looked at again.
_RECENT: Final = 1_000_000_000  # nanoseconds

Signature = tuple[tuple[int, int, int], ...]


def follow(path: str, last: int, hash_: bytes | None) -> Iterator[tuple[Reader, int]]:
    """A reader whenever there is something new, and the event behind which that is.

    ``hash_`` is that of event ``last``, if it is there. Raises JournalError where the journal is
    gone, or another one is in its place.
    """
    seen: Signature | None = None
    while True:
        now = _signature(path)
        if now != seen or _is_recent(now):
            seen = now
            with open_journal(path) as reader:
                _check_same(reader, last, hash_)
                if reader.head.seq > last:
                    yield reader, last
                    last, hash_ = reader.head.seq, reader.head.hash
        _wait(_PAUSE)


def _check_same(reader: Reader, last: int, hash_: bytes | None) -> None:
    here = reader.hash_of(last) if last >= reader.anchor.seq else hash_
    if reader.head.seq < last or (hash_ is not None and here not in (None, hash_)):
        raise JournalError(
            f"{reader.path}: another journal is there now, without the event {last} that was told"
        )


def _signature(path: str) -> Signature:
    """Facts of the journal's file and of its log that a change of either changes."""
    found = []
    for name in (path, path + "-wal"):
        try:
            status = os.stat(name)
        except FileNotFoundError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def _is_recent(signature: Signature) -> bool:
    return max(changed for *_, changed in signature) > time.time_ns() - _RECENT


def _wait(seconds: float, descriptor: int = 1) -> None:
    """Wait, or raise OutputLost as soon as the output has no reader any more."""
    waiting = select.poll()
    waiting.register(descriptor, 0)  # errors and a reader that is gone are told anyway
    try:
        events = waiting.poll(seconds * 1000)
    except OSError:
        events = []
    if any(flags & (select.POLLERR | select.POLLHUP) for _, flags in events):
        raise OutputLost(errno.EPIPE, "the output has no reader any more")
    if events:  # no such descriptor: the output is nowhere
        time.sleep(seconds)
