"""Names that were never there, and what may have been meant."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final
from weakref import WeakKeyDictionary

from ..daemon.cli.nearest import did_you_mean, is_pattern, nearest
from ..daemon.core.fleet import Fleet
from ..journal.errors import JournalError
from ..journal.reading import Reader
from ..monitors.names import shown
from .beginnings import or_in_archive
from .rebuild import NotFound, base

_first: Final = WeakKeyDictionary[Reader, Fleet]()


def known(reader: Reader) -> list[str]:
    """Every vassal of which an event speaks, or that was there before this file, sorted."""
    return sorted({*reader.vassals(), *first_fleet(reader).vassals})


def first_fleet(reader: Reader) -> Fleet:
    """The fleet with which this file begins. A damaged snapshot tells none."""
    if reader not in _first:
        try:
            _first[reader] = base(reader, reader.anchor.seq)[0]
        except JournalError:
            _first[reader] = Fleet()
    return _first[reader]


def check_known(reader: Reader, name: str) -> None:
    """Raise NotFound, with names that are near, if the journal never knew the vassal."""
    if not _is_known(reader, name):
        raise NotFound(unknown(reader, name))


def _is_known(reader: Reader, name: str) -> bool:
    return reader.first_of(name) is not None or name in first_fleet(reader).vassals


def unknown(reader: Reader, name: str) -> str:
    """That a vassal was never known, why if something tells, and what may have been meant."""
    text = f"no vassal {shown(name)} was ever known here"
    refused = reader.last_rejection(shown(name), reader.head.seq)
    if refused is not None:
        reason = getattr(reader.decode(refused).body, "reason", "")
        return or_in_archive(reader, f"{text}; event {refused[0]} refused it: {shown(reason)}")
    meant = did_you_mean(nearest(name, known(reader)))
    return or_in_archive(reader, f"{text}; {meant}" if meant else text)


def chosen(reader: Reader, told: Iterable[str]) -> list[str]:
    """The vassals that are told by name or by a pattern (``app-*``), sorted. Raises NotFound.

    A name that was ever known is no pattern, whatever characters it has.
    """
    found = set[str]()
    for one in told:
        if _is_known(reader, one):
            found.add(one)
        elif is_pattern(one):
            fits = [name for name in known(reader) if fnmatchcase(name, one)]
            if not fits:
                text = f"no vassal that was ever known here fits {shown(one)}"
                raise NotFound(or_in_archive(reader, text))
            found.update(fits)
        else:
            raise NotFound(unknown(reader, one))
    return sorted(found)
