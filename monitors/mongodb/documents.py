"""From documents of MongoDB to rows, and the projection that leaves out what is too long."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import bson
from bson import Decimal128, Timestamp
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument

from .. import names
from ..rows import LONGEST_CONFIG, MOST_ATTRS, Row, TooLong
from ..table import Reading

_OWN: Final = 6  # fields that mean something; others are for people
_FIELDS: Final = ("name", "config", "ts", "uid", "gid", "socket", "author", "release", "attrs")
_LONGEST_FIELD: Final = 4096  # bytes of a value that is no config
_WRAPPING: Final = len(bson.encode({"v": ""}))  # bytes around a text in {"v": …}
_SIZES: Final = "sizes"
# Dates beyond the year 9999 and texts that are not UTF-8 are for us to judge.
CODEC: Final = DEFAULT_RAW_BSON_OPTIONS.with_options(
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    unicode_decode_error_handler="surrogateescape",
)


def guarded() -> dict[str, Any]:
    """A projection that leaves out what is too long, and says how long it is."""

    def size(field: str) -> dict[str, Any]:
        return {"$bsonSize": {"v": f"${field}"}}

    projection = {
        field: {"$cond": [{"$gt": [size(field), most(field)]}, None, f"${field}"]}
        for field in ("_id", *_FIELDS)
    }
    return {**projection, _SIZES: {field: size(field) for field in _FIELDS}}


def most(field: str) -> int:
    """How many bytes of BSON the field of a vassal may have."""
    return _WRAPPING + (LONGEST_CONFIG if field == "config" else _LONGEST_FIELD)


PLAIN: Final = dict.fromkeys(_FIELDS, 1)


def rows(reading: Reading, chunk: list[RawBSONDocument]) -> Iterator[Row]:
    """The documents as rows; those that have no name, or are none, are refused."""
    for document in chunk:
        label = "a document that cannot be decoded"
        try:
            label = f"document {names.shown(str(document.get('_id')))[:100]}"
            fields = [_plain(document.get(field)) for field in _FIELDS]
            sizes = document.get(_SIZES)
            if isinstance(sizes, Mapping):
                for at, field in enumerate(_FIELDS):
                    size = sizes.get(field)
                    if isinstance(size, int) and size > most(field):
                        fields[at] = TooLong(size - _WRAPPING)
        except (BSONError, ValueError, OverflowError) as error:
            reading.refuse(label, f"it is not BSON: {error}")
            continue
        row = Row(*fields[:_OWN])
        row.attrs = _others(fields[_OWN:])
        if isinstance(row.name, TooLong):
            reading.refuse(label, f"the name has {row.name.size} bytes")
        elif isinstance(row.name, str) and row.name:
            yield row
        else:
            reading.refuse(label, f"the name is {_kind(row.name)}")


def _others(values: list[Any]) -> dict[str, Any]:
    """The fields that are for people; those of a document within it by their own names."""
    found = dict(zip(_FIELDS[_OWN:], values, strict=True))
    inner = found.pop("attrs")
    if isinstance(inner, Mapping):
        return {**found, **{str(key): _plain(inner[key]) for key in list(inner)[:MOST_ATTRS]}}
    return {**found, "attrs": inner}


def _plain(value: Any) -> Any:
    """A value of BSON as one that rows know. Times become seconds."""
    if isinstance(value, DatetimeMS):
        return Decimal(int(value)) / 1000
    if isinstance(value, Decimal128):
        decimal = value.to_decimal()
        # One that signals cannot even be compared with what was there before.
        return float("nan") if decimal.is_snan() else decimal
    if isinstance(value, Timestamp):
        return Decimal(value.time) + Decimal(value.inc) / 1_000_000_000
    return dict(value) if isinstance(value, RawBSONDocument) else value


def _kind(name: Any) -> str:
    if name is None:
        return "missing"
    return "empty" if name == "" else f"not a text but of type {type(name).__name__}"
