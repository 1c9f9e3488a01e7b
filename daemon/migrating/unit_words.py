"""Words, command lines and times as units of systemd have them.

systemd.service(5) says how a command line is read: a syntax much as a shell's, but no shell.
"""

import re
import shlex
from collections.abc import Callable
from decimal import Decimal
from typing import Final, NamedTuple

_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\",
    '"': '"', "'": "'", "s": " ",
}  # fmt: skip
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)
_WORD: Final = re.compile(
    r"""\s*(?: "(?P<double>(?:[^"\\]|\\.)*)"(?=\s|$) | '(?P<single>(?:[^'\\]|\\.)*)'(?=\s|$)
    | (?P<plain>(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')+) )""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED: Final = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LONE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_UNITS: Final = (
    (("us", "usec", "µs"), Decimal("0.000001")), (("ms", "msec"), Decimal("0.001")),
    (("", "s", "sec", "second", "seconds"), Decimal(1)),
    (("m", "min", "minute", "minutes"), Decimal(60)),
    (("h", "hr", "hour", "hours"), Decimal(3600)), (("d", "day", "days"), Decimal(86400)),
    (("w", "week", "weeks"), Decimal(604800)),
)  # fmt: skip
_SPAN: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµ]*)")
DAY: Final = 86_400  # seconds, the longest time of a vassal


def words(text: str) -> list[str]:
    """The words of a line, without quotes and escapes. Raises ValueError."""
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        word = _WORD.match(text, at)
        if word is None:
            raise ValueError("a quote or a backslash in it has no end")
        at = word.end()
        inner = word["double"] if word["double"] is not None else word["single"]
        if inner is None:
            inner = _QUOTED.sub(lambda part: part[1] or part[2] or "", word["plain"])
        found.append(_ESCAPE.sub(_unescaped, inner))
    return found


def _unescaped(found: re.Match[str]) -> str:
    code, octal, plain = found[1] or found[2] or found[3], found[4], found[5]
    if code is not None:
        return chr(int(code, 16))
    if octal is not None:
        return chr(int(octal, 8))
    return _ESCAPES.get(plain, f"\\{plain}")


class Exec(NamedTuple):
    """A command line: its prefixes, and the words after them."""

    prefixes: str
    words: tuple[str, ...]

    @property
    def script(self) -> str:
        """The line for a shell, with variables as systemd expands them."""
        if ":" in self.prefixes:
            return shlex.join(self.words)
        return " ".join(_for_shell(word) for word in self.words)

    @property
    def has_variables(self) -> bool:
        if ":" in self.prefixes:
            return False
        return any(_VARIABLE.search(word) or _LONE.fullmatch(word) for word in self.words)

    @property
    def splits(self) -> bool:
        """Whether a variable becomes several words."""
        return ":" not in self.prefixes and any(_LONE.fullmatch(word) for word in self.words)


def execs(text: str, expand: Callable[[str], str]) -> list[Exec]:
    """The command lines of one value; ``;`` parts them. Raises ValueError."""
    found: list[Exec] = []
    part: list[str] = []
    for word in [*words(text), ";"]:
        if word != ";":
            part.append(";" if word == "\\;" else word)
        elif part:
            found.append(_exec([expand(each) for each in part]))
            part = []
    return found


def _exec(part: list[str]) -> Exec:
    program = part[0].lstrip("-@:+!|")
    prefixes = part[0][: len(part[0]) - len(program)]
    rest = part[2:] if "@" in prefixes else part[1:]
    if not program:
        raise ValueError("it names no program")
    return Exec(prefixes, (program, *rest))


def _for_shell(word: str) -> str:
    """A word for a shell: ``${X}`` is one part of it, ``$X`` alone becomes several words."""
    if _LONE.fullmatch(word):
        return word
    pieces, at = [], 0
    for found in _VARIABLE.finditer(word):
        if found.start() > at:
            pieces.append(shlex.quote(word[at : found.start()]))
        pieces.append("\\$" if found[1] is None else f'"${{{found[1]}}}"')
        at = found.end()
    if at < len(word) or not pieces:
        pieces.append(shlex.quote(word[at:]))
    return "".join(pieces)


def seconds(text: str) -> Decimal | None:
    """A time span in seconds, a day at most; None if it is none. ``infinity`` is a day."""
    if text == "infinity":
        return Decimal(DAY)
    total, at = Decimal(0), 0
    while at < len(text.rstrip()):
        found = _SPAN.match(text, at)
        factor = found and next((by for names, by in _UNITS if found[2] in names), None)
        if found is None or factor is None:
            return None
        total, at = total + Decimal(found[1]) * factor, found.end()
    return min(total, Decimal(DAY))


def duration(amount: Decimal) -> str:
    """A time as ``[emperor]`` has it."""
    if amount == amount.to_integral_value():
        return f"{int(amount)}s"
    return f"{int(amount * 1000)}ms"
