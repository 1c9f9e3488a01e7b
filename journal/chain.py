"""The hash chain: what makes a change of any byte visible.

Each event's hash is SHA-256 over the hash of the event before it and the event's other columns. The
former hash is 32 bytes, 32 zero bytes for the first event. The columns follow as a canonical JSON
array, in the order of the table: ``[seq, at, kind, monitor, vassal, cause, body, actions]``. Body
and actions are the stored texts themselves, as JSON strings. Any program can check a journal with
those two lines, a JSON encoder and SHA-256.

Canonical JSON here: UTF-8, no white space, keys sorted, non-ASCII characters as they are.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

import msgspec

GENESIS: Final = bytes(32)

# Not "deterministic": that keeps the fields of structs as they are declared. A field that moved in
# the code would change the bytes of a body or an action, and their hash.
_encoder = msgspec.json.Encoder(order="sorted")
canonical = _encoder.encode

# seq, at, kind, monitor, vassal, cause, body, actions
Columns = tuple[int, int, str, str | None, str | None, int | None, str, str]


def link(previous: bytes, columns: Columns) -> bytes:
    """The hash of the event with these columns that follows the one with hash ``previous``."""
    return sha256(previous + canonical(columns)).digest()


def digest(content: bytes) -> str:
    """The name under which a config text is stored: SHA-256, hex."""
    return sha256(content).hexdigest()


def text(value: Any) -> str:
    """Canonical JSON of a body or of actions, as stored."""
    return canonical(value).decode()


def links(previous: bytes, rows: Iterable[Columns]) -> Iterable[bytes]:
    """The hashes of successive rows."""
    for columns in rows:
        previous = link(previous, columns)
        yield previous
