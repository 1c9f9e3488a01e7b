"""Which of the journals that ``--journal`` names are archives of another one.

An archive ends with the event behind which another file begins: the anchor of that one is its head,
by number and hash. Such files are read as one.
"""

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from ..journal.errors import JournalError
from ..journal.joined import open_joined
from ..journal.reading import Link, Reader, identity_link, open_journal
from ..monitors.names import shown
from .hosts import Source


class _Ends(NamedTuple):
    source: Source
    identity: Link | None
    anchor: Link
    head: Link


def open_source(source: Source) -> AbstractContextManager[Reader]:
    """A reader of a journal, with its archives. Raises JournalError."""
    return open_joined(source.path, source.archives)


def with_archives(sources: Sequence[Source]) -> list[Source]:
    """The journals, each with those of the others that are its archives.

    Raises JournalError where one of them should go on from another, and does not.
    """
    ends = list[_Ends]()
    for source in sources:
        with contextlib.suppress(JournalError, OSError), open_journal(source.path) as reader:
            ends.append(_Ends(source, identity_link(reader.db), reader.anchor, reader.head))
    if len(ends) < len(sources):
        return list(sources)  # the command says which cannot be read
    by_head = {each.head: each for each in ends if each.head.seq > each.anchor.seq}
    before = {each.source: by_head.get(each.anchor) for each in ends if each.anchor.seq}
    archives = {each.source for each in before.values() if each is not None}
    found = []
    for each in ends:
        if each.source in archives:
            continue
        older = list[_Ends]()
        one: _Ends | None = each
        while one is not None and (one := before.get(one.source)) is not None:
            older.insert(0, one)
        _check_gap(older[0] if older else each, ends)
        paths = tuple(one.source.path for one in older)
        found.append(Source(each.source.host, each.source.path, paths))
    if len(found) == 1:
        return [Source(None, found[0].path, found[0].archives)]
    return found


def spans(found: Sequence[Source]) -> str:
    """The events of each of several records, so that one sees which file does not fit."""
    told = list[str]()
    for each in found:
        with (
            contextlib.suppress(JournalError, OSError),
            open_journal((*each.archives, each.path)[0]) as oldest,
            open_journal(each.path) as newest,
        ):
            more = " and its archives" if each.archives else ""
            first, last = oldest.anchor.seq + 1, newest.head.seq
            told.append(f"{shown(each.path)}{more}: events {first} to {last}")
    return "; ".join(told)


def _check_gap(oldest: _Ends, ends: Sequence[_Ends]) -> None:
    """Raise JournalError if older events of the same journal are there, but not all of them."""
    for other in ends:
        if other.identity != oldest.identity or not 0 < other.head.seq <= oldest.anchor.seq:
            continue
        here, there = oldest.source.path, other.source.path
        if other.head.seq == oldest.anchor.seq:
            raise JournalError(
                f"{here}: is of the same journal as {there}, but does not go on from it: event"
                f" {other.head.seq} has another hash; 'verify' each alone"
            )
        raise JournalError(
            f"{here}: begins behind event {oldest.anchor.seq}, and {there} ends with event"
            f" {other.head.seq}; give the archive of the events between them, too"
        )
