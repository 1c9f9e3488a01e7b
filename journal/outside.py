"""Rows that are outside of the record: behind the chain's head, or not behind its anchor.

A daemon writes none there. The events behind the head are found by a walk along the chain
(``damage.py``).
"""

from collections.abc import Iterator
from typing import Final

from . import deploys
from .reading import Reader

_BEHIND: Final = "behind the chain's head, so not of the record"
_LAST: Final = "(SELECT max(seq) FROM event)"


def rows(reader: Reader) -> Iterator[tuple[str, int]]:
    """Each such row: what is wrong with it, and its number. Raises JournalError."""
    with reader.reading():
        if not deploys.is_made(reader.db):
            return
    # A daemon may have gone on meanwhile, and adds the row with the event.
    last = _LAST if reader.files.live else str(reader.head.seq)
    for (seq,) in reader.fetch(f"SELECT seq FROM deploy WHERE seq > {last} ORDER BY seq"):
        yield f"deploy {seq}: {_BEHIND}", seq
