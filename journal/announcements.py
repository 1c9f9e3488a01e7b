"""Configs that sources gave a vassal, as the journal has them, for one that is to go back to one.

The daemon that writes the journal asks. May be asked in any thread, while an append runs.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .decoding import decode_body
from .errors import JournalError
from .events import Announced
from .reading import unpacked
from .write_connection import WriteConnection

_CONFIG: Final = "CASE WHEN json_valid(body) THEN json_extract(body, '$.spec.config') END"
_OF_VASSAL: Final = "event.seq > ?1 AND vassal = ?2 AND kind IN ('vassal_added', 'vassal_changed')"
_COLUMNS: Final = "event.seq, kind, monitor, vassal, body"
_BY_NUMBER: Final = f"SELECT {_COLUMNS} FROM event WHERE seq > ?1 AND seq = ?2"
_ENDS: Final = "SELECT min(seq), max(seq) FROM event WHERE seq > ?1"
_BY_DIGEST: Final = f"""
SELECT {_COLUMNS}, max(seq) FROM event
WHERE {_OF_VASSAL} AND substr({_CONFIG}, 1, length(?3)) = ?3 GROUP BY {_CONFIG} LIMIT 2
"""
_HAS: Final = f"SELECT 1 FROM event WHERE {_OF_VASSAL} AND {_CONFIG} = ?3 LIMIT 1"
_FIRST: Final = """
SELECT seq, hash, fleet, check_sum FROM snapshot WHERE seq = ?1
    AND hash = (SELECT hash FROM chain WHERE name = 'anchor' AND seq = ?1)
"""
_GOOD: Final = f"""
SELECT {_COLUMNS} FROM event JOIN deploy ON deploy.seq = event.seq
WHERE {_OF_VASSAL} AND outcome IN ('accepting', 'running') AND {_CONFIG} NOT IN (?3, ?4)
    AND event.seq < (SELECT max(seq) FROM event WHERE {_OF_VASSAL} AND {_CONFIG} = ?4)
ORDER BY event.seq DESC LIMIT 1
"""


class NotFound(Exception):
    """The journal has no such config. The text says so, of a vassal that the caller names."""


class Announcement(NamedTuple):
    """A config that a source gave a vassal, by event ``seq``."""

    seq: int
    monitor: str | None
    body: Announced


class Announcements:
    """Looks for former configs of vassals, behind the event at which the journal begins.

    ``begin`` gives its number.
    """

    def __init__(self, connection: WriteConnection, begin: Callable[[], int]) -> None:
        self._connection = connection
        self._begin = begin

    def by_number(self, vassal: str, seq: int) -> Announcement:
        """The config that came by this event. Raises NotFound."""
        found = self._rows(_BY_NUMBER, seq)
        if not found:
            first, last = self._rows(_ENDS)[0]
            raise NotFound(f"the journal has no event {seq}; it has {first} to {last}")
        kind, about = found[0][1], found[0][3]
        if kind not in ("vassal_added", "vassal_changed") or about != vassal:
            of = f"of {about}" if about is not None and about != vassal else f"({kind})"
            raise NotFound(f"event {seq} {of} gave it no config")
        return _decoded(found[0])

    def by_digest(self, vassal: str, digest: str) -> list[Announcement]:
        """The last ones with the configs whose digests begin so, of two at most.

        Raises NotFound where the journal cannot be read.
        """
        return [_decoded(row) for row in self._rows(_BY_DIGEST, vassal, digest)]

    def last_good(self, vassal: str, wanted: str | None, target: str | None) -> Announcement | None:
        """The last good one before the target, which is neither that nor wanted.

        Raises NotFound where the journal cannot be read.
        """
        found = self._rows(_GOOD, vassal, wanted or "", target or "")
        return _decoded(found[0]) if found else None

    def has(self, vassal: str, config: str | None) -> bool:
        """Whether an event gave the vassal this config. Raises NotFound as the others."""
        return bool(self._rows(_HAS, vassal, config))

    @property
    def begin(self) -> int:
        """The last event that went to an archive; 0 where none did."""
        return self._begin()

    def first_fleet(self) -> bytes | None:
        """The JSON of the fleet with which an archived journal begins.

        None where nothing was archived, or that is not what was written. Raises NotFound.
        """
        for row in self._rows(_FIRST) if self._begin() else ():
            return unpacked(*row).fleet
        return None

    def _rows(self, sql: str, *keys: object) -> list[Any]:
        try:
            return self._connection.read_rows(sql, self._begin(), *keys)
        except sqlite3.Error as error:
            raise NotFound(f"the journal cannot be read: {error}") from None


def _decoded(row: Any) -> Announcement:
    seq, kind, monitor, _, body = row[:5]
    try:
        decoded = decode_body(kind, body)
    except JournalError as error:
        raise NotFound(f"event {seq} cannot be read: {error}") from None
    assert isinstance(decoded, Announced)
    return Announcement(seq, monitor, decoded)
