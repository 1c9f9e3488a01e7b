"""Rows that are told one by one: whether each is what was written, by the hash before it."""

from collections.abc import Iterable

from ..journal import chain
from ..journal.errors import VERIFY_SAYS_MORE
from ..journal.reading import Reader


def altered(reader: Reader, seqs: Iterable[int]) -> list[int]:
    """Those of the events whose row is not what was written, as far as the row before tells."""
    return [seq for seq in sorted(set(seqs)) if not _is_whole(reader, seq)]


def _is_whole(reader: Reader, seq: int) -> bool:
    row, previous = reader.row(seq), reader.hash_of(seq - 1)
    if row is None or previous.__class__ is not bytes:
        return True  # it is not there, or nothing tells
    assert previous is not None
    try:
        return chain.link(previous, row[:8]) == row[8]
    except (UnicodeEncodeError, TypeError):
        return False


def complaint(reader: Reader, seqs: list[int]) -> str:
    """A line about rows that are told, and are marked with ``!``."""
    others = f" and {len(seqs) - 1} others" if len(seqs) > 1 else ""
    return f"{reader.path}: event {seqs[0]}{others} is not what was written{VERIFY_SAYS_MORE}"
