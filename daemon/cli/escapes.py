"""Foreign text on its way to a terminal, and JSON that upsets none.

A tenant writes its config. The bytes may move a cursor, answer for the keyboard, or reverse the
direction of writing (U+202E). Then an operator reads another line than there is. In a pipe
all bytes go through. On a terminal each character that is not printable is shown escaped.
"""

import functools
import re
from typing import Any, Final

import msgspec

from ...monitors.names import shown

_SUSPECT: Final = re.compile("[^\n -~]")


def encode(value: Any) -> bytes:
    """JSON in UTF-8 without control and format characters: they are ``\\uXXXX`` in it."""
    json = msgspec.json.encode(value)
    if json.isascii() and b"\x7f" not in json:
        return json
    return escaped(json.decode()).encode()


def escaped(json: str) -> str:
    """The same JSON, without such characters."""
    return _SUSPECT.sub(_escape, json)


def _escape(found: re.Match[str]) -> str:
    return _escaped(found[0])


@functools.lru_cache(4096)  # without it, a text of 500 KB that a client sent takes a second
def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def for_terminal(text: bytes) -> str:
    """Lines of foreign text; all but line ends and tabs that is not printable is escaped."""
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    return "\n".join("\t".join(map(shown, line.split("\t"))) for line in lines)
