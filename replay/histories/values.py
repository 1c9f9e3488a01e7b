"""How names, times and digests are written in the text of a history.

A name is a bare word, or a JSON string where it has a space, a quote or a bracket. A time is told
from the first event on: ``+1.204s``, also inside a body, so that a reader sees a throttle of a
second. A digest of 64 digits has a short name, ``c1``, which the header explains.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

SECOND: Final = 1_000_000_000
_BARE: Final = re.compile(r"[^\s\"'{}\[\]#|]+")
_TOKEN: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\S+)')
_OFFSET: Final = re.compile(r"([+-])(\d{1,12})(?:\.(\d{1,9}))?s", re.ASCII)
# Fields that are times, in bodies and in a fleet; "died" has several.
_TIMES: Final = frozenset(
    (
        "at", "since", "launched", "earliest", "deadline", "reload_at", "booted", "on_from",
        "over", "died",
    )
)  # fmt: skip
_DIGESTS: Final = frozenset(("config", "loaded", "deaf", "running"))
_FOREIGN: Final = frozenset(
    ("attrs", "settings", "own_settings", "names", "policy")
)  # others choose the keys
_LEAST: Final = 10**17  # nanoseconds since 1970; a lesser number is no time

Convert = Callable[[str, Any], Any]


def word(name: str | None) -> str:
    """A name as one word; ``-`` is none."""
    if name is None:
        return "-"
    bare = _BARE.fullmatch(name) and name.isprintable() and name[0] not in "-+<=|#"
    return name if bare else msgspec.json.encode(name).decode()


def cut(line: str) -> tuple[str | None, str]:
    """The first word of a line, and the rest. Raises ValueError where there is none."""
    found = _TOKEN.match(line)
    if found is None:
        raise ValueError("a word is missing at the end of the line")
    told, rest = found[1], line[found.end() :]
    if told.startswith('"'):
        try:
            return msgspec.json.decode(told, type=str), rest
        except msgspec.DecodeError:
            raise ValueError(f"{told} is no JSON string") from None
    return None if told == "-" else told, rest


def offset(at: int, base: int) -> str:
    """A time, counted from another one: ``+1.204s``."""
    sign = "-" if at < base else "+"
    seconds, rest = divmod(abs(at - base), SECOND)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{sign}{seconds}{fraction}s"


def time_of(told: str, base: int) -> int:
    """The time of an offset. Raises ValueError."""
    found = _OFFSET.fullmatch(told)
    if found is None:
        raise ValueError(f"{told!r} is no offset such as +1.204s")
    span = int(found[2]) * SECOND + int((found[3] or "").ljust(9, "0"))
    return base - span if found[1] == "-" else base + span


class Values:
    """Writes and reads the values inside of bodies. ``digests`` are the short names of digests."""

    def __init__(self, base: int, digests: dict[str, str]) -> None:
        self.base = base
        self._digests = digests
        self._full = {short: digest for digest, short in digests.items()}

    def told(self, value: Any) -> Any:
        """A value as it is written."""
        return _walk(value, self._tell)

    def meant(self, value: Any) -> Any:
        """The value that is written so. Raises ValueError."""
        return _walk(value, self._mean)

    def _tell(self, key: str, value: Any) -> Any:
        if key in _TIMES and isinstance(value, int) and value > _LEAST:
            return offset(value, self.base)
        if key in _DIGESTS and isinstance(value, str):
            return self._digests.get(value, value)
        return value

    def _mean(self, key: str, value: Any) -> Any:
        if key in _TIMES and isinstance(value, str) and value[:1] in ("+", "-"):
            return time_of(value, self.base)
        if key in _DIGESTS and isinstance(value, str):
            return self._full.get(value, value)
        return value


def _walk(value: Any, convert: Convert, key: str = "") -> Any:
    if isinstance(value, dict):
        if key in _FOREIGN:
            return value
        return {name: _walk(each, convert, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(each, convert, key) for each in value]
    return convert(key, value)


def digests_in(value: Any) -> list[str]:
    """The digests inside of a value, in order."""
    found: list[str] = []

    def note(key: str, each: Any) -> Any:
        if key in _DIGESTS and isinstance(each, str) and each:
            found.append(each)
        return each

    _walk(value, note)
    return found
