"""Filters as people write them in MongoDB's shells.

A shell's filter is an expression of JavaScript: keys without quotes, strings in single quotes,
``/regular/i`` expressions, ``ISODate("…")`` and its like. No library that is kept reads this in
Python, so here is the part of it that filters are made of. Nothing is evaluated: what is no
literal and no known constructor is an error that says where. MongoDB Extended JSON (relaxed
and canonical) is read too, since it is a special case of the same syntax.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import InvalidOperation
from typing import Any, Final
from uuid import UUID

import bson
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.errors import BSONError
from bson.json_util import RELAXED_JSON_OPTIONS, object_hook

_DEEPEST: Final = 90  # levels; servers refuse more than 100 in a document

_SPACE: Final = re.compile(r"(?:\s|\ufeff|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_WORD: Final = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_NUMBER: Final = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F]+|Infinity|NaN|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w$])"
)
_STRING: Final = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'", re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|.))", re.DOTALL
)
_REGEX: Final = re.compile(r"/((?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)/([a-z]*)")
_FLAGS: Final = "imsxu"
_ESCAPED: Final = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0",
    "\n": "", "\r\n": "",
}  # fmt: skip
_CONSTANTS: Final[dict[str, Any]] = {
    "true": True,
    "false": False,
    "null": None,
    "undefined": None,
    "MinKey": MinKey(),
    "MaxKey": MaxKey(),
    "Infinity": float("inf"),
    "NaN": float("nan"),
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
    """Not a filter; the text says what is wrong and at which character, counted from 1."""


def parse(text: str) -> dict[str, Any]:
    """The filter, as values that BSON has. Raises FilterError."""
    reader = _Reader(text)
    found = reader.value(0)
    reader.skip()
    if reader.at < len(text):
        raise reader.error("nothing more was expected")
    if not isinstance(found, dict):
        raise FilterError("a filter is an object like {enabled: 1}")
    try:
        bson.encode(found)
    except (BSONError, OverflowError) as error:
        raise FilterError(f"it cannot be sent to a server ({error})") from None
    return found


class _Reader:
    """Reads one expression; ``at`` is how far it has come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def error(self, what: str, at: int | None = None) -> FilterError:
        """A FilterError that says where."""
        at = self.at if at is None else at
        rest = self._text[at : at + 12]
        place = f"at character {at + 1}, before {rest!r}" if rest else "at the end"
        return FilterError(f"{what} {place}")

    def skip(self) -> None:
        """Go on to the next thing that counts."""
        found = _SPACE.match(self._text, self.at)
        assert found is not None
        self.at = found.end()

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def _next_is(self, sign: str) -> bool:
        self.skip()
        if not self._text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def value(self, depth: int) -> Any:
        """One value, whatever it is."""
        if depth > _DEEPEST:
            raise self.error(f"it is nested deeper than {_DEEPEST} levels")
        self.skip()
        start = self._text[self.at : self.at + 1]
        if start == "{":
            return self._object(depth)
        if start == "[":
            return self._items("[", "]", depth)
        if start in ("'", '"') and start:
            return self._string()
        if start == "/":
            return self._regex()
        if found := self._take(_NUMBER):
            return _number(found[0])
        if found := self._take(_WORD):
            return self._named(found, depth)
        raise self.error("a value was expected")

    def _object(self, depth: int) -> Any:
        start = self.at
        self.at += 1
        found: dict[str, Any] = {}
        while not self._next_is("}"):
            self.skip()
            before = self.at
            key = self._key()
            if not self._next_is(":"):
                raise self.error(f"a colon was expected after {key!r}")
            if key in found:
                raise self.error(f"the key {key!r} is there twice", before)
            found[key] = self.value(depth + 1)
            if not self._next_is(","):
                if not self._next_is("}"):
                    raise self.error("a comma or } was expected")
                break
        return self._made(start, "an Extended JSON value", lambda: _extended(found))

    def _key(self) -> Any:
        self.skip()
        if self._text[self.at : self.at + 1] in ("'", '"'):
            return self._string()
        if found := self._take(_WORD) or self._take(_NUMBER):
            return found[0]
        raise self.error("a key was expected")

    def _items(self, opening: str, closing: str, depth: int) -> list[Any]:
        self.at += len(opening)
        items: list[Any] = []
        while not self._next_is(closing):
            items.append(self.value(depth + 1))
            if not self._next_is(","):
                if not self._next_is(closing):
                    raise self.error(f"a comma or {closing} was expected")
                break
        return items

    def _string(self) -> Any:
        found = self._take(_STRING)
        if found is None:
            raise self.error("a string has no end")
        quoted = found[1] if found[1] is not None else found[2]
        return self._made(found.start(), "a text", lambda: _text(quoted))

    def _regex(self) -> Any:
        start = self.at
        found = self._take(_REGEX)
        if found is None:
            raise self.error("a regular expression has no end")
        return self._made(start, "a regular expression", lambda: _regex_of(found[1], found[2]))

    def _named(self, word: re.Match[str], depth: int) -> Any:
        if word[0] == "new":
            self.skip()
            again = self._take(_WORD)
            if again is None:
                raise self.error("the name of a type was expected after new")
            word = again
        name, start = word[0], word.start()
        self.skip()
        if not self._text.startswith("(", self.at):
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            raise self.error("a value was expected (texts need quotes)", start)
        make = _CONSTRUCTORS.get(name)
        if make is None:
            raise self.error(f"{name}() is not known here,", start)
        arguments = self._items("(", ")", depth)
        return self._made(start, f"a value for {name}()", lambda: make(*arguments))

    def _made(self, start: int, what: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except (
            *(ValueError, TypeError, KeyError, AttributeError, OverflowError),
            *(BSONError, InvalidOperation),
        ):
            raise self.error(f"this is not {what},", start) from None


def _text(quoted: str) -> str:
    """What stands between quotes. Two escapes of surrogates are one character, as in JavaScript."""
    plain = _ESCAPE.sub(_unescape, quoted)
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _unescape(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    return chr(int(code, 16)) if code else _ESCAPED.get(found[4], found[4])


def _number(text: str) -> int | float:
    try:
        number = int(text, 0 if "x" in text.lower() else 10)
    except ValueError:
        return float(text.replace("Infinity", "inf"))
    # JavaScript's own numbers are no longer exact by then.
    return number if abs(number) < 1 << 63 else float(number)


def _extended(found: dict[str, Any]) -> Any:
    if len(found) == 1 and not _EXTENDED.isdisjoint(found):
        value = object_hook(found, RELAXED_JSON_OPTIONS)
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
    return found


def _regex_of(pattern: str, flags: str = "") -> Regex[str]:
    if not all(flag in _FLAGS for flag in flags):
        raise ValueError(flags)
    return Regex(pattern, flags)


def _date(when: str | float) -> datetime:
    """A date as the shells have it. Without an argument it would be the time of the start."""
    if isinstance(when, str):
        found = datetime.fromisoformat(when)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return datetime.fromtimestamp(when / 1000, UTC)


def _whole(number: int | float | str) -> int:
    if isinstance(number, float) and not number.is_integer():
        raise ValueError(number)
    return int(number)


def _fitting(bits: int) -> Callable[[int | float | str], int]:
    def make(number: int | float | str) -> int:
        whole = _whole(number)
        if not -(1 << (bits - 1)) <= whole < 1 << (bits - 1):
            raise ValueError(number)
        return Int64(whole) if bits == 64 else whole

    return make


def _time(seconds: int | dict[str, int], increment: int = 1) -> Timestamp:
    if isinstance(seconds, dict):
        return Timestamp(seconds["t"], seconds["i"])
    return Timestamp(seconds, increment)


def _uuid(text: str) -> Binary:
    return Binary.from_uuid(UUID(text))


_CONSTRUCTORS: Final[dict[str, Callable[..., Any]]] = {
    "ISODate": _date,
    "Date": _date,
    "ObjectId": lambda text: ObjectId(str(text)),
    "NumberInt": _fitting(32),
    "Int32": _fitting(32),
    "NumberLong": _fitting(64),
    "Long": _fitting(64),
    "NumberDecimal": lambda number: Decimal128(str(number)),
    "Decimal128": lambda number: Decimal128(str(number)),
    "Double": float,
    "Number": float,
    "Timestamp": _time,
    "UUID": _uuid,
    "RegExp": _regex_of,
    "MinKey": MinKey,
    "MaxKey": MaxKey,
}
