"""Durations and sizes as people write them: ``500ms``, ``1h30m``, ``10M``, ``1GiB``.

One reader for every option, variable, config file and setting, so that all of them take the same
units. Decimal, not float: ``0.1s`` is 100 ms exactly.
"""

import re
from decimal import Decimal
from typing import Final

DURATIONS: Final = "500ms, 3s, 2m, 1h or 7d"
SIZES: Final = "64K, 10M or 1GiB"

_SECONDS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
}
_NUMBER: Final = r"(?:[0-9]{1,19}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})"
_PLAIN: Final = re.compile(_NUMBER + r"(?:[eE][+-]?[0-9]{1,3})?")
_PART: Final = re.compile(rf"({_NUMBER}) ?(ms|min|[smhdw])")
_PARTS: Final = re.compile(rf"{_PART.pattern}(?: ?{_PART.pattern})*")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_SIZE: Final = re.compile(rf"({_NUMBER}) ?(?:([kKmMgGtT])(?:i?B)?|B)?")


def duration(text: str, unit: str = "s") -> Decimal | None:
    """The duration that ``text`` means, in ``unit``; None if it means none.

    A plain number counts in ``unit``.
    """
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    if not _PARTS.fullmatch(text):
        return None
    parts = _PART.findall(text)
    seconds = sum((Decimal(number) * _SECONDS[each] for number, each in parts), Decimal(0))
    return seconds / _SECONDS[unit]


def size(text: str) -> int | None:
    """The bytes that ``text`` means, None if it means none. K, M, G and T are powers of 1024."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    number = Decimal(found[1]) * (1 << 10 * " KMGT".index((found[2] or " ").upper()))
    return int(number) if number == int(number) else None


def port(text: str) -> int | None:
    """The port that ``text`` means, from 1 to 65535; None if it means none."""
    number = int(text) if _PORT.fullmatch(text) else 0
    return number if 0 < number < 1 << 16 else None


def addresses(text: str) -> tuple[str, ...]:
    """The addresses of a ``listen``: separated by commas, blanks or both, in their order."""
    return tuple(each for each in re.split(r"[,\s]+", text) if each)


def duration_text(amount: float, unit: str = "s") -> str:
    """A duration in the largest unit of which it is a whole number: ``3m`` for 180 s."""
    seconds = Decimal(str(amount)) * _SECONDS[unit]
    for each in ("d", "h", "m", "s", "ms"):
        count = seconds / _SECONDS[each]
        if count >= 1 and count == int(count):
            return f"{int(count)}{each}"
    return f"{amount:g}{unit}"


def size_text(amount: int) -> str:
    """A size in the largest unit of which it is a whole number: ``10M``."""
    for power, unit in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if amount and not amount % (1 << 10 * power):
            return f"{amount >> 10 * power}{unit}"
    return f"{amount} bytes"
