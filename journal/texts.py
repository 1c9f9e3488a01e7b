"""The config texts of a journal that a daemon writes."""

import sqlite3
from collections.abc import Iterable
from typing import Final, Literal

from . import chain
from .reading import as_bytes, readable
from .write_connection import WriteConnection

_CONTENT: Final = "SELECT content FROM config WHERE digest = ?"


class Texts:
    """The config texts, each under its digest."""

    def __init__(self, connection: WriteConnection) -> None:
        self._connection = connection

    def content(self, digest: str) -> bytes | None:
        """The text with this digest; None if it is not there, or is another.

        May be called while an append runs.
        """
        try:
            row = self._connection.read_one(_CONTENT, digest)
        except sqlite3.Error:
            return None
        content = b"" if row is None else as_bytes(row[0])
        return content if chain.digest(content) == digest else None

    def altered(self, digests: Iterable[str]) -> dict[str, Literal["changed", "gone"]]:
        """The texts that are not there as they were recorded, by digest. Raises Damaged."""
        found: dict[str, Literal["changed", "gone"]] = {}
        with readable(self._connection.path):
            for digest in digests:
                row = self._connection.db.execute(_CONTENT, (digest,)).fetchone()
                if row is None:
                    found[digest] = "gone"
                elif chain.digest(as_bytes(row[0])) != digest:
                    found[digest] = "changed"
        return found
