"""A config of uWSGI, read as uWSGI does: its options in their order, each with file and line.

Root reads the emperor's config, so nothing in it is executed or fetched. A config or a value that
is to come from ``exec://``, ``http://``, ``fd://`` and the like ends the reading. Files are regular
ones. Their number, depth and size have limits, as the options and the values have.

uWSGI's order is kept. ``include`` and blocks act where they stand. Then come references to the
environment, to files and to options. Last comes ``inherit``, so no reference in a file that is
inherited is replaced.
"""

import dataclasses
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from . import logic, magic, references
from .errors import Unreadable
from .formats import FORMATS, Line

MOST_FILES: Final = 200
DEEPEST: Final = 20  # files that include one another
LARGEST: Final = 1 << 20  # bytes of a file
MOST_OPTIONS: Final = 10_000
MOST_TEXT: Final = 4 << 20  # characters of all values whose references were replaced

_BY_ENDING: Final = ("include", "inherit", "config")
_OF_FORMAT: Final = {
    "ini": ".ini", "xml": ".xml", "xmlconfig": ".xml", "yaml": ".yml", "yml": ".yml",
    "json": ".json", "js": ".json",
}  # fmt: skip
_PLACEHOLDERS: Final = ("set", "set-placeholder", "set-ph")
# Their effect on what follows cannot be told without a running uWSGI.
_NOT_READ: Final = {
    "resolve": "write the address itself: a name is not looked up here",
    "inject-before": "include the text by include =",
    "inject-after": "include the text by include =",
    **dict.fromkeys(logic.NOT_OURS, "only a running uWSGI can tell; write the options themselves"),
}
READ: Final = (
    *_BY_ENDING, *_OF_FORMAT, *_PLACEHOLDERS, *logic.ENDS, *logic.BLOCKS
)  # fmt: skip


@dataclasses.dataclass(slots=True)
class Option:
    """An option; ``written`` is its value in the file, before references were replaced."""

    key: str
    value: str
    file: str
    line: int
    written: str
    done: bool = False  # it concerned the reading only
    used: bool = False  # as a placeholder
    ignored: bool = False  # by uWSGI


def read(path: str) -> list[Option]:
    """All options of the config, those that it includes among them. Raises Unreadable."""
    reader = _Reader(path)
    reader.load(path, by_ending=True)
    reader.refer()
    reader.inherit()
    return reader.options


class Given(NamedTuple):
    """An option that stands on no line of a config: on a command line, or in a unit."""

    line: int
    key: str
    value: str


def read_given(file: str, given: Iterable[Given]) -> list[Option]:
    """As ``read``, of options that a file with a command line of uWSGI has. Raises Unreadable."""
    reader = _Reader(file)
    for each in given:
        reader.give(file, each)
    reader.refer()
    reader.inherit()
    return reader.options


class _Reader:
    def __init__(self, path: str) -> None:
        self.options: list[Option] = []
        self._by_key: dict[str, Option] = {}  # the first one of each
        self._first: magic.Magic | None = None
        self._latest_ini = ""
        self._files = 0
        self._depth = 0
        self._block: tuple[str, str] | None = None
        self._in_block = False
        self._at = Option("", "", path, 0, "")

    def load(self, given: str, *, by_ending: bool, ending: str = "") -> None:
        """Add the options of a section of a file: ``PATH`` or ``PATH:SECTION``."""
        if "://" in given:
            scheme = given.partition("://")[0]
            raise self._unreadable(
                f"a config from {scheme}:// is not taken, because root would run or fetch it;"
                " put it into a file and include that"
            )
        file, colon, section = given.rpartition(":") if ":" in given else (given, "", "")
        ending = os.path.splitext(file)[1] if by_ending else ending
        if ending not in FORMATS:
            raise self._unreadable(f"{given!r} ends with none of {', '.join(FORMATS)}")
        if not file and ending == ".ini":
            file = self._latest_ini
        if ending == ".xml" and colon and not section:
            raise self._unreadable("the id after the colon is empty")
        if self._depth == DEEPEST or self._files == MOST_FILES:
            raise self._unreadable(
                f"{MOST_FILES} files, {DEEPEST} deep, are allowed; does it include itself?"
            )
        self._files += 1
        self._depth += 1
        before = self._at
        for line in self._parsed(given, file, section, ending):
            if (name := magic.unknown(line.key + line.value)) is not None:
                raise Unreadable(file, line.number, f"{name} is not known here; write it out")
            self._at = Option(line.key, line.value, file, line.number, line.value)
            if line.ignored:
                self.options.append(dataclasses.replace(self._at, done=True, ignored=True))
            else:
                self._add(line.key, line.value)
        self._at = before
        self._depth -= 1

    def give(self, file: str, given: Given) -> None:
        """Add an option of a command line."""
        self._at = Option(given.key, given.value, file, given.line, given.value)
        self._add(given.key, given.value)

    def _parsed(self, given: str, file: str, section: str, ending: str) -> Iterator[Line]:
        text = self._text(file)
        if "\0" in text:
            raise Unreadable(file, 0, "has a NUL byte; it is no config")
        own = magic.Magic(given, file, section, self._first)
        self._first = self._first or own
        if ending == ".ini":
            self._latest_ini = file
        wanted = section or ("" if ending == ".xml" else "uwsgi")
        return FORMATS[ending](file, own.expand(text), wanted)

    def _text(self, path: str) -> str:
        """The whole file. Raises Unreadable."""
        try:
            # A pipe would block.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise self._unreadable(f"{path} cannot be read: {reason}") from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._unreadable(f"{path} is no regular file")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(LARGEST + 1)
        finally:
            os.close(descriptor)
        if len(content) > LARGEST:
            raise self._unreadable(f"{path} is larger than {LARGEST} bytes")
        return content.decode("utf-8", "surrogateescape")

    def _add(self, key: str, value: str, *, placeholder: bool = False) -> None:
        """An option as uWSGI takes it: into an open block, or at once."""
        if not self._in_block:
            if key in logic.ENDS:
                self._block = None
            if self._block is not None:
                self._repeat(key, value)
                return
        if len(self.options) == MOST_OPTIONS:
            raise self._unreadable(f"more than {MOST_OPTIONS} options are there")
        at = self._at
        option = Option(key, value, at.file, at.line, at.written, done=placeholder)
        self.options.append(option)
        self._by_key.setdefault(key, option)
        if placeholder:
            return
        if key in READ and key != "inherit":
            option.done = True
            self._act(key, value)
        elif key in _NOT_READ:
            raise self._unreadable(f"{key} is not taken: {_NOT_READ[key]}")

    def _repeat(self, key: str, value: str) -> None:
        assert self._block is not None
        world = logic.World(self._placeholder, os.environ.get, self._lines)
        self._in_block = True
        for each in logic.values(*self._block, world):
            self._add(key, value if each is None else value.replace("%(_)", each))
        self._in_block = False

    def _act(self, key: str, value: str) -> None:
        if key in _BY_ENDING or key in _OF_FORMAT:
            self.load(value, by_ending=key in _BY_ENDING, ending=_OF_FORMAT.get(key, ""))
        elif key in _PLACEHOLDERS:
            name, equals, text = value.partition("=")
            if not equals:
                raise self._unreadable(f"{key} needs a name and a value, as in {key} = name=value")
            self._add(name, text, placeholder=key != "set")
        elif key in logic.BLOCKS:
            if self._block is not None:
                raise self._unreadable(f"{key} stands in another block; end that one before")
            self._block = (key, value)

    def refer(self) -> None:
        """Replace the references in all values."""
        passes: tuple[tuple[str, references.Lookup], ...] = (
            ("$", os.environ.get),
            ("@", self._content),
            ("%", lambda text: references.placeholder(text, self._placeholder)),
        )
        room = MOST_TEXT
        for symbol, lookup in passes:
            for option in self.options:
                if not option.done:
                    self._at, before = option, option.value
                    try:
                        option.value = references.expand(before, symbol, lookup)
                        room -= len(option.value) if option.value != before else 0
                        if room < 0:
                            raise self._unreadable(
                                f"references make more than {MOST_TEXT} characters of all values"
                            )
                    except references.TooMuch:
                        raise self._unreadable(
                            "its references have no end, or too many characters"
                        ) from None

    def inherit(self) -> None:
        """Add the options of files that are inherited, and of those that these inherit."""
        at = 0
        while at < len(self.options):
            option = self.options[at]
            if option.key == "inherit" and not option.done:
                option.done = True
                self._at = option
                self.load(option.value, by_ending=True)
            at += 1

    def _placeholder(self, key: str) -> str | None:
        option = self._by_key.get(key)
        if option is None:
            return None
        option.used = True
        return option.value

    def _content(self, path: str) -> str:
        """The text of a file that a value names, without the last line's end."""
        if "://" in path:
            scheme = path.partition("://")[0]
            raise self._unreadable(f"a value from {scheme}:// is not taken; write it out")
        text = self._text(path)
        return text[:-1] if text.endswith(("\n", "\r")) else text

    def _lines(self, path: str) -> Iterator[str]:
        return (line.rstrip("\r\n") for line in self._text(path).splitlines(keepends=True))

    def _unreadable(self, reason: str) -> Unreadable:
        return Unreadable(self._at.file, self._at.line, reason)
