"""From entries of a directory to rows: which value is which field, and when it was changed."""

import re
import sys
import uuid
from calendar import timegm
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Final

import ldap.dn  # type: ignore[import-untyped]
import msgspec

from .. import names
from ..options import MonitorOptions
from ..rows import Flaw, Row, name_of
from ..table import Reading
from .sync import Entry

CSN: Final = "entrycsn"
MODIFIED: Final = "modifytimestamp"
KEY: Final = "entryuuid"
AUTHOR: Final = "modifiersName"  # an operational attribute (RFC 4512, 3.4)
MARKS: Final = ("entryUUID", "entryCSN", "modifyTimestamp")  # as they are asked for

_SECOND: Final = 1_000_000_000
_TIME: Final = r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)"
# OpenLDAP's: time # count # server # modification within it
_CSN: Final = re.compile(_TIME + r"(?:\.(\d{1,9}))?Z#([0-9a-f]+)#([0-9a-f]+)#([0-9a-f]+)", re.I)
# RFC 4517's GeneralizedTime, with minutes and seconds as every server writes them.
_GENERALIZED: Final = re.compile(_TIME + r"(?:[.,](\d{1,9})\d*)?(?:Z|([+-])(\d\d)(\d\d)?)")

Mark = tuple[bytes, bytes, bytes]  # DN, entryCSN, modifyTimestamp


def entry_of(dn: str, attributes: Mapping[str, list[bytes]]) -> Entry:
    """An entry as libldap gives it."""
    # All entries have the same attributes, whose names are kept once.
    return Entry(dn, {sys.intern(name.lower()): values for name, values in attributes.items()})


def key_of(entry: Entry) -> bytes:
    """The identity of an entry: its entryUUID, where the server has it; else its DN."""
    try:
        return uuid.UUID(_text(entry.attributes[KEY][0])).bytes
    except (KeyError, IndexError, ValueError):
        return entry.dn.encode()


def mark_of(entry: Entry) -> Mark:
    """A mark that differs when the entry was changed."""
    csn, modified = (next(iter(entry.attributes.get(name, ())), b"") for name in (CSN, MODIFIED))
    return entry.dn.encode(), csn, modified


class Refusal(msgspec.Struct, frozen=True):
    """Why an entry cannot be a row."""

    label: str
    reason: str


def add(reading: Reading, entry: Entry, fields: Sequence[str], options: MonitorOptions) -> None:
    """Take an entry in as a row; ``fields`` are the attributes of name, config, uid and so on."""
    if entry.memo is None:
        entry.memo = _row(entry, fields, options)
    made: Row | Refusal = entry.memo
    if isinstance(made, Row):
        reading.add(made)
    else:
        reading.refuse(made.label, made.reason)


def _row(entry: Entry, fields: Sequence[str], options: MonitorOptions) -> Row | Refusal:
    name: bytes | None = None
    try:
        name = _name(entry, fields[0])
        config, uid, gid, socket = (_value(entry, field) for field in fields[1:])
        author = next(iter(entry.attributes.get(AUTHOR.lower(), ())), None)
        ts = Decimal(ts_of(entry)) / _SECOND
        return Row(name, config, ts, uid, gid, socket, {AUTHOR: author})
    except Flaw as flaw:
        return Refusal(_label(name, entry, options), str(flaw))


def _label(name: bytes | None, entry: Entry, options: MonitorOptions) -> str:
    try:
        # As a label it stays as it is: a known vassal whose entry is bad now is not gone.
        return name_of(name, options)
    except Flaw:
        return names.shown(entry.dn)[:300]


def _name(entry: Entry, field: str) -> bytes:
    """The vassal's name. Of several values it is the one that the entry itself is named by."""
    values = entry.attributes.get(field.lower(), [])
    if not values:
        raise Flaw(f"it has no {field}")
    if len(values) == 1:
        return values[0]
    found = [value for kind, value in _rdn(entry) if kind == field.lower()]
    if len(found) != 1:
        raise Flaw(f"it has {len(values)} values of {field}, and its DN does not say which counts")
    return found[0].encode()


def _rdn(entry: Entry) -> list[tuple[str, str]]:
    try:
        return [(kind.lower(), value) for kind, value, _ in ldap.dn.str2dn(entry.dn)[0]]
    except (ldap.DECODING_ERROR, IndexError):
        return []


def _value(entry: Entry, field: str) -> bytes | None:
    values = entry.attributes.get(field.lower(), [])
    if len(values) > 1:
        raise Flaw(f"it has {len(values)} values of {field}, there can be one")
    return values[0] if values else None


def ts_of(entry: Entry) -> int:
    """Nanoseconds since the epoch; another when the entry was changed. Raises Flaw.

    entryCSN says it exactly: below its microseconds come what it has of counters, and the number
    of the server. modifyTimestamp counts seconds only, and an entry may change twice in one; so
    below them comes a digest of the values.
    """
    for csn in entry.attributes.get(CSN, ())[:1]:
        if found := _CSN.fullmatch(_text(csn)):
            count, server, within = (int(found[group], 16) for group in (8, 9, 10))
            micro = int((found[7] or "")[:6].ljust(6, "0"))
            return (
                _seconds(found) * _SECOND
                + micro * 1000
                + (count + 7 * server + 101 * within) % 1000
            )
    for modified in entry.attributes.get(MODIFIED, ())[:1]:
        if found := _GENERALIZED.fullmatch(_text(modified)):
            offset = int(found[9] or 0) * 3600 + int(found[10] or 0) * 60
            seconds = _seconds(found) - (-offset if found[8] == "-" else offset)
            return seconds * _SECOND + _digest(entry)
        raise Flaw(f"the modifyTimestamp is no time but {names.shown(_text(modified)[:40])!r}")
    raise Flaw("it has no entryCSN and no modifyTimestamp that we may read")


def _seconds(found: re.Match[str]) -> int:
    year, month, day, hour, minute, second = (int(found[group]) for group in range(1, 7))
    try:
        datetime(year, month, day)  # is there such a day?
    except ValueError:
        raise Flaw(f"there is no such time: {found[0]}") from None
    return timegm((year, month, day, hour, minute, second))


def _digest(entry: Entry) -> int:
    """Of all values, below one thousand million."""
    whole = sha256()
    for name, values in sorted(entry.attributes.items()):
        for value in (name.encode(), *sorted(values)):
            whole.update(b"%d:%b" % (len(value), value))
    return int.from_bytes(whole.digest()[:8], "big") % _SECOND


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
