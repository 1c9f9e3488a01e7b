"""Filters of MongoDB: Extended JSON, with keys that need no quotes and texts in either quotes.

``{enabled:1}`` is what uWSGI's documentation has. Values of other types than JSON's are written
in Extended JSON, as ``{"$date": "2024-02-29T00:00:00Z"}``. The text is rewritten as JSON token by
token, so that errors can say where they are.
"""

import json
import re
from bisect import bisect_right
from datetime import UTC, datetime
from decimal import InvalidOperation
from typing import Any, Final

import bson
from bson.errors import BSONError
from bson.json_util import RELAXED_JSON_OPTIONS, object_hook

_DEEPEST: Final = 90  # levels; servers refuse more than 100 in a document
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)|(?P<sign>[{}\[\]:,])|(?P<string>"(?:[^"\\]|\\.)*")"""
    r"""|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<word>[^\W\d][\w$]*|\$[\w$]*)|(?P<other>[^\s{}\[\]:,"']+)""",
    re.DOTALL,
)
_PLAIN: Final = re.compile(r"true|false|null|-?[0-9][0-9.eE+-]*")
_QUOTING: Final = re.compile(r"\\.|\"", re.DOTALL)
_QUOTED: Final = {"\\'": "'", '"': '\\"'}
# Errors of the json module that all versions of Python word alike.
_TOLD: Final = {
    "Expecting value": "a value was expected",
    "Expecting ',' delimiter": "a comma or a closing bracket was expected",
    "Expecting ':' delimiter": "a colon was expected",
    "Expecting property name enclosed in double quotes": "a key was expected",
    "Extra data": "nothing more was expected",
}
# An object with one of these keys, and no other, is a value in Extended JSON. ``$regex`` is not
# among them: in a filter it is an operator, which may stand beside others.
_EXTENDED: Final = frozenset(
    (
        "$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$uuid",
        "$binary", "$timestamp", "$regularExpression", "$minKey", "$maxKey", "$undefined",
    )
)  # fmt: skip


class FilterError(ValueError):
    """Not a filter; the text says what is wrong, and where, counted in characters from 1."""


def parse(text: str) -> dict[str, Any]:
    """The filter, as values that BSON has. Raises FilterError."""
    pieces, starts = _as_json(text)
    try:
        found = json.loads("".join(pieces), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        at = bisect_right(starts, error.pos, key=lambda start: start[0]) - 1
        place = starts[at][1] if 0 <= error.pos < sum(map(len, pieces)) else len(text)
        raise _error(_TOLD.get(error.msg, f"it is no JSON ({error.msg})"), text, place) from None
    except FilterError:
        raise
    except ValueError as error:  # a number with thousands of digits
        raise FilterError(f"it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise FilterError("a filter is an object like {enabled: 1}")
    try:
        bson.encode(found)
    except (BSONError, OverflowError, UnicodeError) as error:
        raise FilterError(f"it cannot be sent to a server ({error})") from None
    return found


def _error(what: str, text: str, at: int) -> FilterError:
    rest = text[at : at + 12]
    return FilterError(
        f"{what} at character {at + 1}, before {rest!r}" if rest else f"{what} at the end"
    )


def _as_json(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """The text in pieces of JSON; and where each begins, in the JSON and in the text."""
    pieces: list[str] = []
    starts: list[tuple[int, int]] = []
    at = length = depth = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _error("a string has no end", text, at)
        piece = token[0]
        if token["single"] is not None:
            piece = (
                f'"{_QUOTING.sub(lambda found: _QUOTED.get(found[0], found[0]), token["single"])}"'
            )
        elif token["word"] is not None and _is_key(text, token.end()):
            piece = f'"{piece}"'
        elif (token["word"] or token["other"]) and not _PLAIN.fullmatch(piece):
            hint = "texts need quotes, other types are written in Extended JSON"
            raise _error(f"a value was expected ({hint})", text, at)
        depth += (piece in "{[") - (piece in "}]") if token["sign"] else 0
        if depth > _DEEPEST:
            raise _error(f"it is nested deeper than {_DEEPEST} levels", text, at)
        pieces.append(piece)
        starts.append((length, at))
        length += len(piece)
        at = token.end()
    return pieces, starts


def _is_key(text: str, end: int) -> bool:
    return text[end:].lstrip().startswith(":")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise FilterError(f"the key {twice!r} is there twice")
    if len(found) != 1 or _EXTENDED.isdisjoint(found):
        return found
    try:
        value = object_hook(found, RELAXED_JSON_OPTIONS)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        BSONError,
        InvalidOperation,
    ):
        (key,) = found
        raise FilterError(f"the value of {key} is not what Extended JSON has there") from None
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
