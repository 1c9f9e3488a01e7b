"""``events``: the raw record, also of a journal that is newer or damaged."""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from ..journal.errors import JournalError
from ..journal.events import Event
from ..journal.reading import Reader, Row, decoded
from ..journal.times import rfc3339
from ..monitors.names import shown
from . import clocks
from .ends import essence_of
from .event_text import decode_actions, essence, orders
from .sources import Sources


def event_record(row: Row) -> tuple[dict[str, Any], bool]:
    """An event in the shape of the surface; False with it where the row is not what it should be.

    A body that is no JSON is given as a string, so that one bad row does not hide the others.
    """
    seq, at, kind, monitor, vassal, cause, body, actions, hash_ = row
    shown_body, good_body = _value(body)
    shown_actions, good_actions = _value(actions)
    good_cause = cause is None or cause.__class__ is int
    good = good_body and good_actions and good_cause
    good = good and at.__class__ is int and hash_.__class__ is bytes
    record = {
        "seq": seq,
        "at": rfc3339(at) if at.__class__ is int else _text(at),
        "kind": _text(kind),
        "monitor": _text(monitor),
        "vassal": _text(vassal),
        "cause": cause if good_cause else _text(cause),
        "body": shown_body,
        "actions": shown_actions,
        "hash": hash_.hex() if hash_.__class__ is bytes else _text(hash_),
    }
    return record, good


def _value(text: Any) -> tuple[Any, bool]:
    try:
        return msgspec.json.decode(text), True
    except (msgspec.DecodeError, UnicodeEncodeError, TypeError):
        return _text(text), False


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def plain_line(row: Row) -> str:
    """An event for people, on one line."""
    return _line(row, partial(decoded, ""), lambda event: essence(event.body), Sources((), {}))[0]


def line(reader: Reader, sources: Sources, row: Row) -> tuple[str, bool]:
    """An event for people, on one line; False with it where its body cannot be read."""
    return _line(row, reader.decode, partial(essence_of, reader), sources)


def _line(
    row: Row, decode: Callable[[Row], Event], say: Callable[[Event], str], sources: Sources
) -> tuple[str, bool]:
    seq, at, _, _, vassal, cause, _, actions, _ = row
    said, good = _said(row, decode, say, sources)
    when = clocks.in_line(at) if at.__class__ is int else shown(str(at))
    told = f"{seq:>8}  {when:23}  {said}"
    if cause is not None:
        told += f"  <- {shown(str(cause))}"
    ordered = orders(decode_actions(actions), vassal)
    return (f"{told}  -> {ordered}" if ordered else told), good


def said(reader: Reader, sources: Sources, row: Row) -> tuple[str, bool]:
    """An event's kind, vassal or source, and body; False with it where that cannot be read."""
    return _said(row, reader.decode, partial(essence_of, reader), sources)


def _said(
    row: Row, decode: Callable[[Row], Event], say: Callable[[Event], str], sources: Sources
) -> tuple[str, bool]:
    kind, monitor, vassal, body = row[2], row[3], row[4], row[6]
    good = True
    attempt = None
    try:
        event = decode(row)
        text, attempt = say(event), getattr(event.body, "attempt", None)
    except JournalError:
        text, good = shown(str(body)), False
    about = vassal if vassal is not None or monitor is None else sources.name(monitor)
    told = f"{shown(str(kind)):20}  {shown(str(about)) if about is not None else '-'}"
    if attempt is not None:
        told += f"  attempt {attempt}"
    if text:
        told += f"{',' if attempt is not None else ' '} {text}"
    return told, good
