"""Reads the header of a history: lines ``key: value``."""

from typing import Any, Final

import msgspec

from ...daemon.core import rules
from ...journal.errors import NewerFormat
from ...journal.policy import Policy
from ...journal.times import parse as time_parsed
from .history import Header
from .values import cut

FORMAT: Final = 1
FIRST_LINE: Final = f"# emperord history {FORMAT}"
_BEGIN: Final = "# emperord history "
_SEVERAL: Final = {"left out": "left_out", "rewritten": "rewritten", "note": "notes"}
_KEYS: Final = ("version", "rules", "policy", "made from", "redacted", *_SEVERAL, "at", "source",
                "config", "start")  # fmt: skip


class HeaderReader:
    """Takes one line after another. Raises ValueError, MsgspecError, NewerFormat."""

    def __init__(self) -> None:
        self.rules, self.policy = 1, Policy()
        self.sources: dict[str, str] = {}  # by short name
        self.digests: dict[str, str] = {}
        self.start: str | None = None  # of its last line
        self._base: int | None = None
        self._fields: dict[str, Any] = dict.fromkeys(_SEVERAL.values(), ())

    @property
    def base(self) -> int:
        """The time of the first event."""
        if self._base is None:
            raise ValueError("the line 'at:' is missing in the header")
        return self._base

    def made(self) -> Header:
        """The header that was read."""
        return Header(sources={url: name for name, url in self.sources.items()}, **self._fields)

    def take_first(self, line: str) -> None:
        """The line that names the format."""
        if not line.startswith(_BEGIN):
            raise ValueError(f"no history: the first line is not {FIRST_LINE!r}")
        told = line.removeprefix(_BEGIN)
        if told.isdecimal() and int(told) > FORMAT:
            raise NewerFormat(f"format {told}, and this version knows {FORMAT}")
        if line != FIRST_LINE:
            raise ValueError(f"{line!r} names no format that there ever was")

    def take(self, line: str) -> None:
        """Any other line."""
        key, colon, value = line.partition(":")
        if not colon or key not in _KEYS:
            raise ValueError(f"{line!r} is no line of a header, which has {', '.join(_KEYS)}")
        value = value.strip()
        if key in _SEVERAL:
            self._fields[_SEVERAL[key]] += (value,)
        elif key in ("source", "config"):
            self._name(key, value)
        elif key == "rules":
            self.rules = int(value)
            rules.check(self.rules)
        elif key == "policy":
            self.policy = msgspec.json.decode(value, type=Policy)
        elif key == "at":
            self._base = time_parsed(value, since=0)
        elif key == "start":
            self.start = value
        else:
            self._fields[key.replace(" ", "_")] = _yes(value) if key == "redacted" else value

    def _name(self, key: str, told: str) -> None:
        short, rest = cut(told)
        equals, rest = cut(rest)
        full, rest = cut(rest)
        if short is None or equals != "=" or full is None or rest:
            raise ValueError(f"{told!r} is not written NAME = VALUE")
        known = self.sources if key == "source" else self.digests
        if short in known or full in known.values():
            raise ValueError(f"{key} {short} or its value is in another line, too")
        known[short] = full


def _yes(value: str) -> bool:
    if value != "yes":
        raise ValueError(f"redacted: {value!r}; write 'redacted: yes', or leave the line out")
    return True
