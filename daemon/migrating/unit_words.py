"""Words, command lines and times as units of systemd have them.

systemd.service(5) says how a command line is read: a syntax much as a shell's, but no shell.
"""

import re
import shlex
from collections.abc import Callable, Mapping
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
_BLANKS: Final = " \t\n\r"
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


def words_of_value(value: str) -> list[str]:
    """The words that systemd makes of the value of a variable that stands alone.

    It takes quotes and backslashes away, wherever they are. Unlike in a line, a quote need not end,
    and a backslash means the character after it.
    """
    found: list[str] = []
    quote, escaped, inside = "", False, False
    for character in value:
        if not inside and character in _BLANKS:
            continue
        if not inside:
            found.append("")
            inside = True
        if escaped:
            found[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
            found[-1] += character if quote else ""
        elif character in "'\"":
            quote = character
        elif character in _BLANKS:
            inside = False
        else:
            found[-1] += character
    return found


def has_quotes(value: str) -> bool:
    """Whether a shell would make other words of a value than systemd."""
    return any(character in value for character in "'\"\\\r")


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
    def split(self) -> list[str]:
        """The names of variables that become several words each."""
        found = [] if ":" in self.prefixes else map(_LONE.fullmatch, self.words)
        return [name[1] for name in found if name is not None]

    def with_words(self, values: Mapping[str, str]) -> "Exec":
        """The line with the words of these variables in place of each that stands alone."""
        made: list[str] = []
        for word in self.words:
            lone = None if ":" in self.prefixes else _LONE.fullmatch(word)
            if lone is None or lone[1] not in values:
                made.append(word)
            else:
                made += (each.replace("$", "$$") for each in words_of_value(values[lone[1]]))
        return self._replace(words=tuple(made))


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
