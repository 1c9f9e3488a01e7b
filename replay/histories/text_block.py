"""A config text inside of a history: its lines, or base64 where it is not printable UTF-8."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Final

LINE: Final = "  | "
CODED: Final = "  & "
NO_NEWLINE: Final = "  \\ no newline at the end"
_WIDTH: Final = 76  # characters of base64 a line


def written(content: bytes) -> Iterator[str]:
    """The lines of a text."""
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        lines = ["\0"]
    if not all(each.isprintable() or each == "\t" for line in lines for each in line):
        told = b64encode(content).decode()
        yield from (f"{CODED}{told[at : at + _WIDTH]}" for at in range(0, len(told), _WIDTH))
        return
    unended = bool(lines[-1]) or len(lines) == 1
    told_lines = lines if unended else lines[:-1]
    # No space behind an empty line: editors take it away.
    yield from (f"{LINE}{line}" if line else LINE.rstrip() for line in told_lines)
    if unended:
        yield NO_NEWLINE


class TextBlock:
    """Reads such lines, one after another."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self._pieces: list[str] = []
        self._coded = False
        self._end = "\n"

    def take(self, line: str) -> None:
        """Raises ValueError for a line that is none of a text."""
        if line.startswith(LINE) or line == LINE.rstrip():
            self._pieces.append(line[len(LINE) :])
        elif line.startswith(CODED):
            self._coded = True
            self._pieces.append(line[len(CODED) :])
        elif line == NO_NEWLINE:
            self._end = ""
        else:
            raise ValueError(f"{line!r} is no line of a text, which begins with {LINE!r}")

    def content(self) -> bytes:
        """The text. Raises ValueError."""
        if not self._coded:
            return ("\n".join(self._pieces) + self._end).encode()
        try:
            return b64decode("".join(self._pieces), validate=True)
        except binascii.Error as error:
            raise ValueError(f"the text above is no base64: {error}") from None
