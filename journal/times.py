"""Times as people write and read them; inside, all are UTC nanoseconds."""

import functools
import re
import time
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Final

import msgspec

_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# As offsets: Z and UTC, hours, the local zone's name, or one of the tz database: Europe/Berlin.
_ZONE: Final = r"[Zz]|[A-Z]{3,5}|[+-]\d\d(?::?\d\d)?|[A-Z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2}"
_CLOCK: Final = rf"(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{{1,9}}))?)?\s?({_ZONE})?"
_WEEKDAY: Final = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? )?"  # as systemd prints it
_ABSOLUTE: Final = re.compile(
    rf"{_WEEKDAY}(\d{{4}})-(\d\d)-(\d\d)(?:[Tt ]{_CLOCK}| ({_ZONE}))?", re.ASCII
)
_OF_A_DAY: Final = re.compile(rf"(?:(today|yesterday|tomorrow)(?: {_CLOCK})?)", re.ASCII)
_OF_THE_CLOCK: Final = re.compile(_CLOCK, re.ASCII)
# At most nine digits: more would be before all calendars.
_SPAN: Final = r"(?:\d{1,9}(?:\.\d{1,9})?\s?[A-Za-z]+[ ,]*)+"
_RELATIVE: Final = re.compile(rf"([+-])\s?({_SPAN})|({_SPAN})(?:ago)?", re.ASCII)
_EVENT: Final = re.compile(r"@(\d{1,18})", re.ASCII)
_UNITS: Final[
    dict[str, int | Decimal]
] = {  # months and years as systemd has them: 30.44 and 365.25 days
    **dict.fromkeys(("us", "usec"), Decimal("0.000001")),
    **dict.fromkeys(("ms", "msec"), Decimal("0.001")),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
    **dict.fromkeys(("M", "month", "months"), 2_629_800),
    **dict.fromkeys(("y", "year", "years"), 31_557_600),
}
_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
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
    Without an offset it is local time, as a terminal shows it and as journalctl takes it. A weekday
    before it is ignored. The name of the local zone or of one of the tz database may follow it.
    ``Z`` and ``UTC`` are offsets, too. Or it is ``now``, ``today``, ``yesterday``, ``tomorrow``
    or a clock time (the last one that has passed). Or it is relative to ``since`` (the present, if
    None): ``-30s``, ``1h30m``, ``1.5h``, ``3 days ago``; ``+5m`` is later. Raises ValueError with a
    text for people.
    """
    text = text.strip()
    present = now() if since is None else since
    if text == "now":
        return present
    try:
        for form, meaning in _MEANINGS:
            if found := form.fullmatch(text):
                return meaning(found, present)
    except (ValueError, OverflowError, OSError) as error:  # a date that no calendar has
        raise ValueError(f"{text!r} is not a time: {error}") from None
    raise ValueError(f"{text!r} is not a time; write {_FORMS}")


def _absolute(found: re.Match[str], _: int) -> int:
    year, month, day, *clock, zone = found.groups(default="")
    clock[-1] = clock[-1] or zone
    return _instant(date(int(year), int(month), int(day)), *clock)


def _relative(found: re.Match[str], present: int) -> int:
    seconds = Decimal(0)
    told = found[2] or found[3].removesuffix("ago")
    for number, unit in re.findall(r"([\d.]+)\s?([A-Za-z]+)", told):
        if unit not in _UNITS:
            raise ValueError(f"there is no unit {unit!r}; units are us, ms, s, m, h, d, w, M, y")
        seconds += Decimal(number) * _UNITS[unit]
    span = int(seconds * _SECOND)
    return present + span if found[1] == "+" else present - span


def _of_a_day(found: re.Match[str], present: int) -> int:
    day, *clock = found.groups(default="")
    return _instant(_date(present) + timedelta(days=_DAYS[day]), *clock)


def _of_the_clock(found: re.Match[str], present: int) -> int:
    """The last time that a clock showed this: a journal knows nothing of the future."""
    # An offset may move it by a day in either direction.
    for days in (1, 0, -1):
        for at in _instants(_date(present) + timedelta(days=days), *found.groups(default="")):
            if at <= present:
                return at
    return _instants(_date(present) - timedelta(days=2), *found.groups(default=""))[0]


_MEANINGS: Final = (
    (_ABSOLUTE, _absolute),
    (_OF_A_DAY, _of_a_day),
    (_OF_THE_CLOCK, _of_the_clock),
    (_RELATIVE, _relative),
)


def _date(at: int) -> date:
    return datetime.fromtimestamp(at // _SECOND).date()


def _instants(day: date, *clock: str) -> tuple[int, ...]:
    """The times at which a clock shows this on a day, the last one first.

    They are two where the clock is set back and shows an hour again. A clock that is set forward
    leaves out an hour. Then the second reading (``fold=1``) is before the first, and is no other.
    """
    first, again = _instant(day, *clock), _instant(day, *clock, fold=1)
    return (again, first) if again > first else (first,)


def _instant(
    day: date, hour: str = "", minute: str = "", second: str = "", fraction: str = "",
    offset: str = "", *, fold: int = 0,
) -> int:  # fmt: skip
    clock = (int(hour or 0), int(minute or 0), int(second or 0))
    local = datetime(day.year, day.month, day.day, *clock, tzinfo=_zone(offset), fold=fold)
    whole = int(local.timestamp())  # a number of seconds that a float has exactly
    return whole * _SECOND + int(fraction.ljust(9, "0") or 0)


def _zone(offset: str) -> tzinfo | None:
    """Return the zone that is written behind a time, or None for a local one."""
    if not offset:
        return None
    if offset in ("Z", "z", "UTC"):
        return UTC
    if "/" in offset:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # 4 ms that few commands need

        try:
            return ZoneInfo(offset)
        except (ZoneInfoNotFoundError, OSError):
            raise ValueError(f"there is no time zone {offset}") from None
    if offset in time.tzname:  # as output on a terminal has it
        west = time.altzone if time.daylight and offset == time.tzname[1] else time.timezone
        return timezone(timedelta(seconds=-west))
    if offset[0] not in "+-":
        known = " or ".join(dict.fromkeys(("UTC", *time.tzname)))
        raise ValueError(f"there is no zone {offset!r}; write {known}, or an offset as in +01:00")
    minutes = int(offset[1:3]) * 60 + int(offset[3:].removeprefix(":") or 0)
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
