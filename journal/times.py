"""Times as people write and read them; inside, all are UTC nanoseconds."""

import functools
import re
import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

import msgspec

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK: Final = r"(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?([Zz]|[+-]\d\d:?\d\d)?"
_ABSOLUTE: Final = re.compile(rf"(\d{{4}})-(\d\d)-(\d\d)(?:[Tt ]{_CLOCK})?", re.ASCII)
_OF_A_DAY: Final = re.compile(rf"(?:(today|yesterday)(?: {_CLOCK})?)", re.ASCII)
_OF_THE_CLOCK: Final = re.compile(_CLOCK, re.ASCII)
# At most nine digits: more would be before all calendars.
_SPAN: Final = r"(?:\d{1,9}\s?[a-z]+[ ,]*)+"
_RELATIVE: Final = re.compile(rf"-\s?({_SPAN})|({_SPAN})(?:ago)?", re.ASCII)
_EVENT: Final = re.compile(r"@(\d{1,18})", re.ASCII)
_UNITS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
_FORMS: Final = "2026-11-24T06:31:03Z, 2026-11-24, 06:41, yesterday, 10m, -2h, '3 days ago' or @SEQ"


class EventNumber(msgspec.Struct, frozen=True):
    """A time given as ``@SEQ``: that of an event."""

    seq: int


# A moment in a journal: UTC nanoseconds, or an event.
Moment = int | EventNumber


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


def age(nanoseconds: int) -> str:
    """A time that has passed, in one unit: ``11 s``, ``3 min``, ``2 h``, ``6 d``."""
    seconds = max(0, nanoseconds) // _SECOND
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def moment(text: str, since: int | None = None) -> Moment:
    """A time as people write it, or ``@SEQ``. Raises ValueError with a text for people."""
    found = _EVENT.fullmatch(text.strip())
    return parse(text, since) if found is None else EventNumber(int(found[1]))


def parse(text: str, since: int | None = None) -> int:
    """UTC nanoseconds of a time as people write it.

    It is RFC 3339, where a space may stand for the T and the seconds or the time may be left out.
    Without an offset it is UTC. Or it is ``now``, ``today``, ``yesterday`` or a clock time (the
    last one that has passed). Or it is relative to ``since`` (the present, if None): ``-30s``,
    ``1h30m``, ``3 days ago``. Raises ValueError with a text for people.
    """
    text = text.strip()
    present = now() if since is None else since
    if text == "now":
        return present
    try:
        for form, meaning in _MEANINGS:
            if found := form.fullmatch(text):
                return meaning(found, present)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    raise ValueError(f"{text!r} is not a time; write {_FORMS}")


def _absolute(found: re.Match[str], _: int) -> int:
    year, month, day, *clock = found.groups(default="")
    return _instant(date(int(year), int(month), int(day)), *clock)


def _relative(found: re.Match[str], present: int) -> int:
    seconds = 0
    for number, unit in re.findall(r"(\d+)\s?([a-z]+)", found[1] or found[2].removesuffix("ago")):
        if unit not in _UNITS:
            raise ValueError(f"there is no unit {unit!r}; units are s, m, h, d, w")
        seconds += int(number) * _UNITS[unit]
    return present - seconds * _SECOND


def _of_a_day(found: re.Match[str], present: int) -> int:
    day, *clock = found.groups(default="")
    return _instant(_date(present) - timedelta(days=day == "yesterday"), *clock)


def _of_the_clock(found: re.Match[str], present: int) -> int:
    """The last time that a clock showed this: a journal knows nothing of the future."""
    at = _instant(_date(present), *found.groups(default=""))
    # An offset may have moved it by a day in either direction.
    return at + (present - at) // _DAY * _DAY


_MEANINGS: Final = (
    (_ABSOLUTE, _absolute),
    (_OF_A_DAY, _of_a_day),
    (_OF_THE_CLOCK, _of_the_clock),
    (_RELATIVE, _relative),
)


def _date(at: int) -> date:
    return (_EPOCH + timedelta(seconds=at // _SECOND)).date()


def _instant(
    day: date, hour: str = "", minute: str = "", second: str = "", fraction: str = "",
    offset: str = "",
) -> int:  # fmt: skip
    clock = (int(hour or 0), int(minute or 0), int(second or 0))
    between = datetime(day.year, day.month, day.day, *clock, tzinfo=_zone(offset)) - _EPOCH
    whole = between.days * 86_400 + between.seconds
    return whole * _SECOND + int(fraction.ljust(9, "0") or 0)


def _zone(offset: str) -> timezone:
    if offset in ("", "Z", "z"):
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
