"""References in a value, by parentheses: ``$(VARIABLE)``, ``@(file)``, ``%(option)``.

uWSGI replaces them in three passes, the environment first. It scans a value anew after each
replacement, so a replacement may hold further ones. A reference to nothing stays as it is.
"""

from collections.abc import Callable
from typing import Final

Lookup = Callable[[str], str | None]

LONGEST: Final = 64 << 10  # characters of a value
_MOST: Final = 1000  # replacements in one value
_OPERATORS: Final = ("+", "-", "*", "/")


class TooMuch(ValueError):
    """A value that its references make too long, or that they would never end."""


def expand(value: str, symbol: str, lookup: Lookup) -> str:
    """The value with each reference replaced. Raises TooMuch."""
    at = replaced = depth = 0
    start: int | None = None
    armed = False
    while at < len(value):
        character = value[at]
        if character == symbol:
            armed, start = True, None
        elif armed:
            armed = False
            if character == "(":
                start, depth = at + 1, 0
        elif start is not None and character == "(":
            depth += 1
        elif start is not None and character == ")" and depth:
            depth -= 1
        elif start is not None and character == ")":
            found = lookup(value[start:at]) if at > start else None
            if found is not None:
                value = value[: start - 2] + found + value[at + 1 :]
                replaced += 1
                if replaced > _MOST or len(value) > LONGEST:
                    raise TooMuch
                at = 0  # as uWSGI, which then goes on at the second character
            start = None
        at += 1
    return value


def placeholder(text: str, lookup: Lookup) -> str | None:
    """The option's value; of several words, their values, joined or calculated with."""
    if " " not in text:
        return lookup(text)
    current: str | None = None
    operator = ""
    for word in text.split():
        if word in _OPERATORS:
            operator = word
            continue
        if word in ("++", "--"):
            if current is not None:
                current = str(_number(current) + (1 if word == "++" else -1))
            operator = ""
            continue
        value = word if word.isascii() and word.isdigit() else lookup(word) or ""
        if operator:
            current = str(_calculated(operator, _number(current or ""), _number(value)))
        else:
            current = (current or "") + value
        operator = ""
    return current


def _calculated(operator: str, one: int, other: int) -> int:
    if operator == "+":
        return one + other
    if operator == "-":
        return one - other
    if operator == "*":
        return one * other
    if not other:
        return 0
    quotient = abs(one) // abs(other)  # C rounds towards zero
    return quotient if (one < 0) == (other < 0) else -quotient


def _number(text: str) -> int:
    """The number that the text begins with, as C's strtoll takes it; 0 if it begins with none."""
    stripped = text.strip()
    sign = stripped[:1] if stripped[:1] in ("+", "-") else ""
    digits = ""
    for character in stripped[len(sign) : len(sign) + 18]:
        if character not in "0123456789":
            break
        digits += character
    return int(f"{sign}{digits}") if digits else 0
