"""Types of options: durations, sizes, numbers, users. Their errors say what to write.

Each function is a ``type`` of ``click.option``, or makes one.
"""

import grp
import pwd
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import click

from ...journal import quantities
from ...journal.quantities import duration_text, size_text

AUTO: Final = "auto"
YEAR: Final = 365 * 24 * 3600  # seconds; deadlines are nanoseconds in 64 bits
_UNITS: Final = {"s": "seconds", "ms": "milliseconds"}
_MOST_EVENTS: Final = 10**9
_NO_ID: Final = 2**32 - 1
_ID: Final = re.compile(r"[0-9]{1,30}")  # str.isdigit also knows ², which is no number
_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,30}")


def duration(least: float = 0.01) -> Callable[[object], float]:
    """Seconds, ``least`` or more and a year at most; a plain number counts in seconds."""
    return lambda value: float(_duration(str(value), least, YEAR, "s"))


def age(value: object) -> float:
    """Seconds, 1 or more and 100 years at most. A plain number could be meant in days."""
    text = str(value).strip()
    if _DIGITS.fullmatch(text):
        raise click.BadParameter(f"{text} has no unit; write one, as in {text}d")
    return float(_duration(text, 1, 100 * YEAR, "s"))


def milliseconds(least: int = 1) -> Callable[[object], int]:
    """Whole milliseconds, ``least`` or more and a year at most; a plain number counts in them."""

    def convert(value: object) -> int:
        amount = _duration(str(value), least, YEAR * 1000, "ms")
        if amount != int(amount):
            raise click.BadParameter(f"{value} is no whole number of milliseconds")
        return int(amount)

    return convert


def _duration(text: str, least: float, most: float, unit: str) -> Decimal:
    found = quantities.duration(text.strip().removeprefix("-"), unit)
    if found is None:
        raise click.BadParameter(
            f"{text!r} is not a duration; write {quantities.DURATIONS}, or a number of"
            f" {_UNITS[unit]}"
        )
    # As decimals: the float 0.1 is a little more than a tenth, which is 100ms.
    if text.strip().startswith("-") or not Decimal(str(least)) <= found <= most:
        lowest, highest = duration_text(least, unit), duration_text(most, unit)
        raise click.BadParameter(
            f"{text} is out of range; write a duration from {lowest} to {highest}"
        )
    return found


def interval() -> Callable[[object], tuple[float | None, int | None]]:
    """Seconds, 1 or more and a year at most, where a unit is given; else a number of events."""

    def convert(value: object) -> tuple[float | None, int | None]:
        text = str(value).strip()
        if _DIGITS.fullmatch(text):
            return None, whole(1, _MOST_EVENTS)(text)
        return duration(1)(text), None

    return convert


def size(least: int = 0) -> Callable[[object], int]:
    """Bytes, ``least`` or more."""

    def convert(value: object) -> int:
        text = str(value).strip()
        found = quantities.size(text.removeprefix("-"))
        if found is None:
            raise click.BadParameter(
                f"{str(value)!r} is not a size; write {quantities.SIZES}, or a number of bytes"
            )
        if text.startswith("-") or not least <= found < 1 << 63:
            raise click.BadParameter(f"{value} is out of range; write {size_text(least)} or more")
        return found

    return convert


def whole(least: int = 1, most: int | None = None) -> Callable[[object], int]:
    """A whole number, ``least`` or more, and at most ``most`` where there is a limit."""
    limits = f"{least} or more" if most is None else f"{least} to {most}"

    def convert(value: object) -> int:
        text = str(value).strip()
        if not _DIGITS.fullmatch(text):
            raise click.BadParameter(f"{text!r} is not a whole number; write one, {limits}")
        number = int(text)
        if number < least or (most is not None and number > most):
            raise click.BadParameter(f"{text} is out of range; write a whole number, {limits}")
        return number

    return convert


def mode(text: str) -> int:
    """Permissions in octal digits, as chmod(1) takes them."""
    bits = int(text, 8) if re.fullmatch("[0-7]{1,30}", text) else -1
    if not 0 <= bits <= 0o777:
        raise click.BadParameter(f"{text} is no mode; write octal digits, as in 660")
    return bits


def owner(text: str) -> tuple[int, int]:
    """A user and a group, by name or number; the user's own group where none is named.

    The largest id is -1, with which chown(2) and setuid(2) leave the id as it is.
    """
    user, _, group = text.partition(":")
    if not user:
        raise click.BadParameter(f"{text} names no user; write USER or USER:GROUP")
    number = _ID.fullmatch(user)
    try:
        account = pwd.getpwuid(int(user)) if number else pwd.getpwnam(user)
        uid, gid = account.pw_uid, account.pw_gid
    except KeyError:
        if not (number and group):
            raise click.BadParameter(f"there is no user {user}") from None
        uid = gid = int(user)
    if group:
        try:
            gid = int(group) if _ID.fullmatch(group) else grp.getgrnam(group).gr_gid
        except KeyError:
            raise click.BadParameter(f"there is no group {group}") from None
    if uid >= _NO_ID or gid >= _NO_ID:
        raise click.BadParameter(f"{text} has no uid and gid that a process can have")
    return uid, gid


def group(text: str) -> int:
    """A group, by name or number."""
    try:
        gid = int(text) if _ID.fullmatch(text) else grp.getgrnam(text).gr_gid
    except KeyError:
        raise click.BadParameter(f"there is no group {text}") from None
    if gid >= _NO_ID:
        raise click.BadParameter(f"{text} is no gid that a process can have")
    return gid


def vassals_user(text: str) -> tuple[int, int]:
    """A user and group other than root's, as in tyrant mode."""
    uid, gid = owner(text)
    if uid == 0:
        raise click.BadParameter(
            f"{text} is root; if that is meant, give --as-root in place of --user"
        )
    if gid == 0:
        raise click.BadParameter(f"{text} has root's group; write USER:GROUP with another group")
    return uid, gid


def port_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Ports and ranges of ports: ``80,443,500-600``."""
    found = []
    for part in filter(None, re.split(r"[,\s]+", text)):
        first, _, last = part.partition("-")
        ends = quantities.port(first), quantities.port(last or first)
        if ends[0] is None or ends[1] is None or ends[0] > ends[1]:
            raise click.BadParameter(f"{part!r} is no port or range; write them as 80,443,500-600")
        found.append((ends[0], ends[1]))
    if not found:
        raise click.BadParameter("names no port; write them as 80,443,500-600")
    return tuple(found)


def rollout_size(text: str) -> str:
    """How many vassals of a source may change at once: a number, 1 or more, or per cent."""
    found = re.fullmatch(r"0*([1-9][0-9]{0,6})(%?)", text.strip())
    if found is None or (found[2] and int(found[1]) > 100):
        raise click.BadParameter(
            f"{text!r} is no number of vassals; write 1 or more, or per cent, as in 10%"
        )
    return found[1] + found[2]


def whole_or_auto() -> Callable[[object], int | str]:
    """A whole number, 1 or more, or ``auto``."""
    convert = whole()

    def convert_or_auto(value: object) -> int | str:
        if str(value).strip() == AUTO:
            return AUTO
        try:
            return convert(value)
        except click.BadParameter as wrong:
            raise click.BadParameter(f"{wrong.message}, or {AUTO}") from None

    return convert_or_auto
