"""The lines that a deploy brought, and the vassals whose configs have one of them now."""

from collections.abc import Set
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from ..daemon.core.fleet import Fleet
from ..journal.reading import Reader
from .texts import unified

_MOST_LINES: Final = 20


class Found(msgspec.Struct):
    """A line, and other vassals whose wanted config has it."""

    line: str
    vassals: list[str]


def diff(old: bytes | None, new: bytes | None, old_name: str, new_name: str) -> list[str]:
    """Lines of a unified diff; empty where the texts are the same, or one is not known."""
    if old is None or new is None:
        return []
    pieces = unified(old, new, old_name.encode(), new_name.encode())
    return _lines(b"".join(pieces))


def added(old: bytes | None, new: bytes | None) -> list[str]:
    """The lines that only the new text has, without comments and empty ones."""
    before = {line.strip() for line in _lines(old)}
    lines = dict.fromkeys(line.strip() for line in _lines(new))
    return [each for each in lines if each and each not in before and each[0] not in "[;#"]


def _lines(text: bytes | None) -> list[str]:
    if not text:
        return []
    return text.removesuffix(b"\n").decode("utf-8", "backslashreplace").split("\n")


class _Asked(msgspec.Struct):
    """The fleet that was asked about last, and its lines once it is asked about again."""

    seq: int
    names: dict[str, list[str]] | None = None  # by line


_asked: WeakKeyDictionary[Reader, _Asked] = WeakKeyDictionary()


def elsewhere(reader: Reader, fleet: Fleet, lines: list[str], but: str) -> list[Found]:
    """The vassals that have one of these lines now, by line; only lines that some have."""
    wanted = lines[:_MOST_LINES]
    asked = _asked.get(reader)
    if asked is None or asked.seq != fleet.seq:
        _asked[reader] = _Asked(fleet.seq)
        found = _having(reader, fleet, frozenset(wanted))
    else:  # each text is read once, however many vassals are asked about
        if asked.names is None:
            asked.names = _having(reader, fleet, None)
        found = asked.names
    told = ((line, [name for name in found.get(line, ()) if name != but]) for line in wanted)
    return [Found(line, names) for line, names in told if names]


def _having(reader: Reader, fleet: Fleet, wanted: Set[str] | None) -> dict[str, list[str]]:
    """The vassals that have these lines in the config that is wanted; None: all lines."""
    by_digest: dict[str, Set[str]] = {}
    found: dict[str, list[str]] = {}
    for name in sorted(fleet.vassals):
        digest = fleet.vassals[name].spec.config
        if digest is None:
            continue
        if digest not in by_digest:
            text = {line.strip() for line in _lines(reader.config_text(digest))}
            by_digest[digest] = text if wanted is None else text & wanted
        for line in by_digest[digest]:
            found.setdefault(line, []).append(name)
    return found
