"""Stored bodies of events, of any version, as today's structs.

A body of an older version goes through ``UPCASTERS``, from version to version, and is then read as
today's. So the rest of the program knows one version of each kind.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from .errors import NewerFormat, UnreadableEvent
from .events import KINDS, Body

# Here ``v`` is of something inside, and the fields stay the same.
_ANY_VERSION: Final = frozenset(("checkpoint",))
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

# (kind, version of the stored body) -> function to the next version's body.
UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}

_DECODERS: Final = {kind: msgspec.json.Decoder(body) for kind, body in KINDS.items()}
_VERSIONS: Final = {kind: body.VERSION for kind, body in KINDS.items()}


def decode_body(kind: str, text: str | bytes) -> Body:
    """The body of an event of this kind, brought up to today's version.

    Raises NewerFormat for a kind or version that this program does not know, and
    UnreadableEvent for text that is not a body of that kind.
    """
    try:
        body = _DECODERS[kind].decode(text)
    except KeyError:
        raise NewerFormat(f"event kind {kind!r} is not known to this version") from None
    except msgspec.DecodeError as error:
        return _decode_old(kind, text, error)
    if body.v != _VERSIONS[kind] and kind not in _ANY_VERSION:
        return _decode_old(kind, text, None)
    return body


def _decode_old(kind: str, text: str | bytes, error: Exception | None) -> Body:
    try:
        old = msgspec.json.decode(text)
        version = old.get("v", 1)
    except (msgspec.DecodeError, AttributeError):
        raise UnreadableEvent(f"body of {kind} is not a JSON object") from None
    target = KINDS[kind].VERSION
    if version > target:
        raise NewerFormat(f"body of {kind} has version {version}, this version knows {target}")
    if version == target:
        raise UnreadableEvent(f"body of {kind} does not fit: {error}")
    while version < target:
        old = UPCASTERS[kind, version](old)
        version += 1
    old["v"] = target
    try:
        return msgspec.convert(old, KINDS[kind])
    except msgspec.ValidationError as unfit:
        raise UnreadableEvent(f"body of {kind} does not fit: {unfit}") from None
