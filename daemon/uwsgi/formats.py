"""The formats of uWSGI's configs: the options of a section, each with its line.

The names are uWSGI's. Each function is as forgiving as uWSGI's own reader of that format. YAML is
read as by uWSGI with libyaml. A file that is no YAML is read as by uWSGI without it, line by line,
because that reader takes much that is no YAML.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from .errors import Unreadable

_BLANK: Final = " \t\r"
_DEEPEST: Final = 50  # levels of a YAML document, which PyYAML composes by recursion
_JSON_BLANK: Final = re.compile(r"[ \t\r\n]*")


class Line(NamedTuple):
    """An option as a file has it."""

    number: int
    key: str
    value: str
    ignored: bool = False  # by uWSGI, because its value is of no kind that uWSGI reads


def ini(file: str, text: str, section: str) -> Iterator[Line]:
    """Lines ``key = value``. A blank value is an empty text, and quotes are characters."""
    current = ""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(_BLANK)
        if stripped.startswith("["):
            current = stripped[1:-1]  # as uWSGI: whatever the last character is
        elif stripped and stripped[0] not in ";#" and current == section:
            key, _, value = stripped.partition("=")
            yield Line(number, key.rstrip(_BLANK), value.strip(_BLANK))


def yaml(file: str, text: str, section: str) -> Iterator[Line]:
    """A mapping of texts, or of lists of them."""
    import yaml as pyyaml  # slow to import, and most configs are not YAML

    loader = getattr(pyyaml, "CSafeLoader", pyyaml.SafeLoader)  # libyaml, which is quick
    try:
        _limit_depth(text)
        document = pyyaml.compose(text, loader)
    except (pyyaml.YAMLError, ValueError, RecursionError):
        yield from _simple_yaml(text, section)
        return
    for key, value in _pairs(document):
        if key.value == section:
            for name, entry in _pairs(value):
                several = isinstance(entry, pyyaml.SequenceNode)
                for each in entry.value if several else [entry]:
                    number = each.start_mark.line + 1
                    if not isinstance(each, pyyaml.ScalarNode):
                        yield Line(number, str(name.value), f"({each.id})", ignored=True)
                    # As uWSGI: a key without anything behind it is none.
                    elif each.value or each.style:
                        yield Line(number, str(name.value), each.value)
            return


def _limit_depth(text: str) -> None:
    """Raise ValueError for a document that PyYAML would follow too deep."""
    depth = 0
    for bracket in re.findall(r"[][{}]", text):
        depth += 1 if bracket in "[{" else -1
        if depth > _DEEPEST:
            raise ValueError
    for line in text.splitlines():
        indented = len(line) - len(line.lstrip(" -?"))
        if indented > 2 * _DEEPEST:
            raise ValueError


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    """The pairs of a mapping, in their order, those of a key that is repeated included."""
    return node.value if node is not None and node.id == "mapping" else []


def _simple_yaml(text: str, section: str) -> Iterator[Line]:
    """uWSGI's own reader: a section ends at the first line that is not indented, or no pair."""
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.partition("#")[0]
        stripped = bare.strip(_BLANK)
        if not stripped:
            continue
        if bare[0] not in _BLANK:
            if inside:
                return
            inside = stripped.partition(":")[0] == section and ":" in stripped
        elif inside:
            pair = bare.lstrip(_BLANK)  # blanks at its end may follow a colon: an empty value
            key, colon, value = pair.partition(": " if ": " in pair else ":\t")
            if not colon or pair[0] in "-[{":
                return
            yield Line(number, key.rstrip(_BLANK), value.strip(_BLANK))


def json_(file: str, text: str, section: str) -> Iterator[Line]:
    """An object of objects. True is 1, false and null are 0. Of equal keys the last one counts."""
    decoder = json.JSONDecoder()

    def members(start: int) -> Iterator[tuple[int, str, int, int]]:
        """Where a member's key begins, the key, and where its value begins and ends."""
        at = _after(text, start, "{")
        at = _JSON_BLANK.match(text, at).end()  # type: ignore[union-attr]
        while text[at : at + 1] != "}":
            key, end = decoder.raw_decode(text, at)
            if not isinstance(key, str):
                raise ValueError("a key is no text")
            value = _JSON_BLANK.match(text, _after(text, end, ":")).end()  # type: ignore[union-attr]
            _, end = decoder.raw_decode(text, value)
            yield at, key, value, end
            at = _JSON_BLANK.match(text, end).end()  # type: ignore[union-attr]
            if text[at : at + 1] != "}":
                at = _JSON_BLANK.match(text, _after(text, at, ",")).end()  # type: ignore[union-attr]

    found: dict[str, list[Line]] = {}
    try:
        decoder.decode(text)
        wanted = [value for _, key, value, _ in members(0) if key == section]
        for at, key, value, _ in members(wanted[-1]) if wanted else ():
            number = text.count("\n", 0, at) + 1
            given, _ = decoder.raw_decode(text, value)
            found[key] = [
                Line(number, key, str(each) if read is None else read, ignored=read is None)
                for each, read in _texts(given)
            ]
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        raise Unreadable(file, line, f"this is no JSON that uWSGI reads: {error}") from None
    for lines in found.values():
        yield from lines


def _after(text: str, start: int, character: str) -> int:
    at = _JSON_BLANK.match(text, start).end()  # type: ignore[union-attr]
    if text[at : at + 1] != character:
        raise ValueError(f"{character} was expected")
    return at + 1


def _texts(value: object) -> Iterator[tuple[object, str | None]]:
    """Each value with its text; None for an object, a list in a list, or a number with a point."""
    for each in value if isinstance(value, list) else [value]:
        if each is None or isinstance(each, bool):
            yield each, str(int(bool(each)))
        else:
            yield each, str(each) if isinstance(each, str | int) else None


def xml(file: str, text: str, section: str) -> Iterator[Line]:
    """Elements of ``<uwsgi>``: one without text is 1. A section is its ``id``."""
    from xml.parsers import expat

    found: list[tuple[int, int, str, dict[str, str], list[str]]] = []
    open_: list[int] = []
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        found.append((len(open_), parser.CurrentLineNumber, name, attributes, []))
        open_.append(len(found) - 1)

    def words(data: str) -> None:
        if open_:
            found[open_[-1]][4].append(data)

    def no_doctype(*_: object) -> None:
        raise Unreadable(file, parser.CurrentLineNumber, "remove the DOCTYPE: it can hold entities")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_.pop()
    parser.CharacterDataHandler = words
    parser.StartDoctypeDeclHandler = no_doctype
    try:
        parser.Parse(text.encode("utf-8", "surrogateescape"), True)
    except expat.ExpatError as error:
        reason = f"this is no XML: {expat.ErrorString(error.code)}"
        raise Unreadable(file, error.lineno, reason) from None
    yield from _children(found, section)


def _children(found: list[tuple[int, int, str, dict[str, str], list[str]]], section: str) -> Any:
    """The options of the element ``uwsgi`` that is meant."""
    level = 0
    for depth, line, name, attributes, words in found:
        other = bool(section) and attributes.get("id", section) != section
        if level and depth < level:
            return
        if level and depth == level and not other:
            yield Line(line, name, "".join(words) or "1")
        elif not level and name == "uwsgi" and depth < 2 and (depth == 0 or not other):
            level = depth + 1


FORMATS: Final[dict[str, Callable[[str, str, str], Iterator[Line]]]] = {
    ".ini": ini,
    ".yaml": yaml,
    ".yml": yaml,
    ".json": json_,
    ".js": json_,
    ".xml": xml,
}
