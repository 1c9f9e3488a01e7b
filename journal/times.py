"""Times as people write and read them; inside, all are UTC nanoseconds."""

import functools
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_SECOND: Final = 1_000_000_000
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ABSOLUTE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?([Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_RELATIVE: Final = re.compile(r"-(?:\d+[smhdw])+", re.ASCII)


def now() -> int:
    """The wall clock."""
    return time.time_ns()


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    # Not strftime: it writes years before 1000 without their zeros.
    moment = _EPOCH + timedelta(seconds=seconds)
    return moment.replace(tzinfo=None).isoformat()


def rfc3339(at: int) -> str:
    """As in JSON and everywhere else: ``2026-11-24T06:31:03.532123456Z``."""
    try:
        seconds, rest = divmod(at, _SECOND)
        return f"{_second(seconds)}.{rest:09d}Z"
    except (OverflowError, TypeError):  # past the year 9999, or no number: only in a damaged row
        return f"@{at!r}ns"


def for_people(at: int) -> str:
    """To the millisecond, UTC: ``2026-11-24 06:31:03.532``."""
    return rfc3339(at)[:23].replace("T", " ")


def took(nanoseconds: int) -> str:
    """A duration in the units that matter: ``0.53s``, ``12s``, ``3m05s``, ``2h14m``, ``6d3h``."""
    seconds = nanoseconds / _SECOND
    if seconds < 10:
        return f"{seconds:.2f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600}h"


def parse(text: str, since: int | None = None) -> int:
    """UTC nanoseconds of a time as people write it.

    RFC 3339 (a space for the T, no seconds, no time at all are fine; without an offset it is
    UTC), ``now``, or relative to ``since`` (the present, if None): ``-30s``, ``-1h30m``, ``-3d``.
    Raises ValueError with a text for people.
    """
    text = text.strip()
    if text == "now" or _RELATIVE.fullmatch(text):
        seconds = sum(
            int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text)
        )
        return (now() if since is None else since) - seconds * _SECOND
    found = _ABSOLUTE.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is not a time; write 2026-11-24T06:31:03Z, 2026-11-24, or -10m, -2h, -3d"
        )
    year, month, day, hour, minute, second, fraction, offset = found.groups(default="")
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            tzinfo=_zone(offset),
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    between = moment - _EPOCH
    whole = between.days * 86_400 + between.seconds
    return whole * _SECOND + int(fraction.ljust(9, "0") or 0)


def _zone(offset: str) -> timezone:
    if offset in ("", "Z", "z"):
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
