"""``-f``: the events of journals as they are written.

The files are looked at five times a second, and the journal is read where they have changed. Each
look is a reader of its own: the daemon may start, stop or put another file in place meanwhile.
The end of the output, a closed pipe or a terminal that is gone, is seen without an event, too.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import click
import msgspec

from ..daemon.cli.waiting import wait
from ..journal.errors import JournalError
from ..journal.reading import Reader, open_journal
from .hosts import HostReader

TO_FOLLOW: Final = 10  # lines from before, unless told
_PAUSE: Final = 0.2  # seconds between two looks
# A file's time may be older than its last change by a tick of the kernel (10 ms at most). So a file
# that changed within this time is looked at again.
_RECENT: Final = 1_000_000_000  # nanoseconds

Signature = tuple[tuple[int, int, int], ...]


class _Place(msgspec.Struct):
    """A journal that is followed: the last event that was told, and its hash, if it is there."""

    host: str | None
    path: str
    last: int
    hash: bytes | None
    seen: Signature | None = None

    def look(self, opened: contextlib.ExitStack) -> Reader | None:
        """A reader, if there is something new. Raises JournalError where it is another journal."""
        now = _signature(self.path)
        if now == self.seen and not _is_recent(now):
            return None
        self.seen = now
        reader = opened.enter_context(open_journal(self.path))
        self._check_same(reader)
        return reader if reader.head.seq > self.last else None

    def _check_same(self, reader: Reader) -> None:
        here = reader.hash_of(self.last) if self.last >= reader.anchor.seq else self.hash
        another = self.hash is not None and here not in (None, self.hash)
        if reader.head.seq < self.last or another:
            raise JournalError(
                f"{reader.path}: another journal is there now, without the event {self.last} that"
                " was told"
            )


def follow(hosts: Sequence[HostReader]) -> Iterator[list[tuple[HostReader, int]]]:
    """The journals whenever there is something new, each with the event behind which that is.

    It closes the readers that it is given: else a daemon that ends could not fold its log in.
    Raises JournalError where a journal is gone, or another one is in its place.
    """
    places = [
        _Place(each.host, each.reader.path, each.reader.head.seq, each.reader.head.hash)
        for each in hosts
    ]
    for each in hosts:
        each.reader.db.close()
    while True:
        with contextlib.ExitStack() as opened:
            found = []
            for place in places:
                if (reader := place.look(opened)) is not None:
                    found.append((HostReader(place.host, reader), place.last))
                    place.last, place.hash = reader.head.seq, reader.head.hash
            if found:
                yield found
        wait(_PAUSE)


def check_endless(form: str, until: object, boot: object) -> None:
    """Raise UsageError for options that go with an end."""
    if form in ("json", "wide"):
        raise click.UsageError(f"-o {form} has an end; with -f say short, jsonl or csv")
    if until is not None or boot is not None:
        raise click.UsageError("-f has no end; --until and --boot have one")


def follow_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``-f``; the function gets it as ``following``."""
    return click.option(
        "-f", "--follow", "following", is_flag=True, help="Go on with what is written."
    )(command)


def without_head(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A table that goes on below one that has its head."""
    yield next(pieces, b"").partition(b"\n")[2]
    yield from pieces


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
