"""The part of a config that is ours, as pairs: ``[emperor]`` in .ini, ``emperor`` elsewhere.

A line scanner as forgiving as uWSGI's own reads .ini, since configparser would refuse many a config
that runs. Other formats have their parsers, which are stricter than uWSGI's own readers. So a text
that a parser refuses may run, and a section in it must not be lost: it may name the user.

- The lines of a section in YAML are read apart from the others, where it is certain which they are.
  So ``chdir: %d`` may stand elsewhere, which is no YAML and everyday uWSGI.
- Any other sign of a section that cannot be read is a ``Flaw``. A name that nearly matches is one.
- A second section is a ``Flaw`` outside .ini, because parsers keep one of the two.
- A text without a sign has no section. uWSGI complains of such a text better than we could.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from . import names

LARGEST_YAML: Final = 128 << 10  # bytes; 1 MiB of flow mappings takes 3 s to parse
LARGEST_APART: Final = 32 << 10  # bytes of a section that is read without the rest of its text
_NULLS: Final = ("", "~", "null", "Null", "NULL")  # how YAML writes that there is nothing
_BOM: Final = b"\xef\xbb\xbf"
_BOMS: Final = b"\xef\xbb\xbf\xff\xfe"  # the bytes of those of UTF-8 and UTF-16
# Blanks, control characters, and blanks of Unicode that no editor shows. Latin-1 has \xa0 alone.
# The repetitions give nothing back, because a match would take quadratic time otherwise.
_BLANKS: Final = bytes(range(0x21)) + b"\xc2\xa0\xe2\x80\x8b\xef\xbb\xbf"  # bytes around a name
_INVISIBLE: Final = rb"\xc2?\xa0|\xe2\x80\x8b|\xef\xbb\xbf|\xff\xfe|\xfe\xff"
_UNSEEN: Final = rb"(?:[\x00-\x20]|%b)*+" % _INVISIBLE
_UNSEEN_IN_LINE: Final = rb"(?:[\x00-\x09\x0b-\x20]|%b)*+" % _INVISIBLE
_INI_HEADER: Final = re.compile(
    rb"(?:%b[\[\"'])+%bemperor%b[\"']?%b(?:\]|$)" % ((_UNSEEN,) * 4), re.IGNORECASE
)
# uWSGI's own reader knows sections in the first column only. All else is of another section.
_YAML_SIGN: Final = re.compile(
    rb"""^(?![ \t])%b(?:[!&]\S*+[ \t]++)*+%b(?:["']?%bemperor%b["']?%b:|\?%b["']?%bemperor\b)"""
    % ((_UNSEEN_IN_LINE,) * 7),
    re.MULTILINE | re.IGNORECASE,
)
# A flow mapping that is a whole document. Any key in it may be one.
_YAML_ROOT: Final = re.compile(
    rb"^(?![ \t])%b\{|(?:\A|^---)(?:\s|[%%#][^\n]*\n|[!&]\S*\s|%b)*\{"
    % (_UNSEEN_IN_LINE, _INVISIBLE),
    re.MULTILINE,
)
_YAML_FLOW: Final = re.compile(
    rb"""\bemperor%b["']?%b:|^(?![ \t])%b\?%b["']?%bemperor\b"""
    % (*((_UNSEEN,) * 2), *((_UNSEEN_IN_LINE,) * 3)),
    re.MULTILINE | re.IGNORECASE,
)
_YAML_COMMENT: Final = re.compile(rb"^[ \t]*#.*$", re.MULTILINE)
_YAML_HEAD: Final = re.compile(rb"""["']?emperor["']?[ \t]*:(?:\s|$)""")
# Lines in the first column beside the section begin with a key, a comment or a document's mark.
_YAML_BESIDE: Final = re.compile(
    rb"""["']?[\w.-]+["']?[ \t]*:(?:\s|$)|#|(?:---|\.\.\.)[ \t\r]*(?:#.*)?$|%""", re.ASCII
)
# A string or a comment of JSON, also one without an end.
_JSON_TOKEN: Final = re.compile(
    rb""""([^"\\]*(?:\\.[^"\\]*)*)"?|//[^\n]*|/\*.*?(?:\*/|\Z)""", re.DOTALL
)
# uWSGI's option ``emperor`` is a text or a list of texts.
_JSON_VALUE: Final = re.compile(rb"""\s*:(?!\s*["\[])""")
# Text of XML that is no element: a text as it is, a comment or an instruction.
_XML_OUTSIDE: Final = re.compile(
    rb"(<!\[CDATA\[.*?(?:\]\]>|\Z))|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)", re.DOTALL
)
_XML_SIGN: Final = re.compile(rb"<(?:[\w.-]+:)?emperor(?:\s[^<>]*)?>(?!\s*[^\s<])", re.IGNORECASE)
_TWICE: Final = "is there twice; write one section with all settings"

Pairs = Iterable[tuple[str, Any]]


class Flaw(Exception):
    """A section cannot be read, or has a setting that it cannot have; the text says why."""


def pairs(name: str, content: bytes) -> Pairs:
    """The settings in a config of this name, in their order. Raises Flaw, also while it is read."""
    # UTF-16, which XML and YAML may be in, has a NUL in each letter.
    if b"emperor" not in content.replace(b"\0", b"").lower():
        return ()
    parse = FORMATS.get(name[name.rfind(".") :])
    return () if parse is None else parse(content)


def brief(text: str) -> str:
    """The text, or its beginning, as it can be shown."""
    return names.shown(text if len(text) <= 40 else f"{text[:40]}…")


def _ini(content: bytes) -> Pairs:
    section = b""
    for number, line in enumerate(content.split(b"\n"), 1):
        stripped = line.strip()
        begins = stripped.startswith(_BOM) or stripped.lstrip(_BLANKS).startswith(b"[")
        if begins and stripped != b"[emperor]":
            _check_header(number, stripped)
        if stripped.startswith(b"["):
            section = stripped[1:-1]  # as uWSGI: whatever the last character is
        elif section == b"emperor" and stripped and stripped[0] not in b";#":
            key, _, value = stripped.partition(b"=")
            yield (
                key.strip().decode("utf-8", "surrogateescape"),
                value.strip().decode("utf-8", "surrogateescape"),
            )


def _check_header(number: int, line: bytes) -> None:
    """Raise Flaw for a header that uWSGI takes for that of another section, or for none."""
    if _INI_HEADER.match(line):
        text = brief(line.decode("utf-8", "surrogateescape"))
        raise Flaw(
            f"line {number}: {text} is not the name of this section; write [emperor] and nothing"
            f" else on the line{', without a byte order mark' if line.startswith(_BOM) else ''}"
        )


def _yaml(content: bytes) -> Pairs:
    if len(content) > LARGEST_YAML:
        if not _yaml_signs(content.replace(b"\0", b"").lstrip(_BOMS)):
            return ()
        raise Flaw(f"is in a YAML config of {len(content)} bytes, {LARGEST_YAML} are allowed")
    try:
        return _mapping(_load(content), _NULLS)
    except _Unreadable as error:
        return _yaml_apart(content, error)


class _Unreadable(Exception):
    """A parser refuses a text; the text of this says where, why and what to do."""


def _load(content: bytes) -> Any:
    """The document. Raises _Unreadable."""
    import yaml  # slow to import, and most configs are not YAML

    # Scalars stay as they are written. A config could make the constructors of numbers, times and
    # the like compute for minutes, or fail in unexpected ways.
    loader = None
    try:
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)(content)
        root = loader.get_single_node()
        if isinstance(root, yaml.MappingNode):
            _check_names(
                (key.value, isinstance(value, yaml.MappingNode)) for key, value in root.value
            )
        # It makes text, lists and mappings, nothing else.
        return None if root is None else loader.construct_document(root)
    except yaml.reader.ReaderError as error:
        line = _line(content, error.position)
        raise _Unreadable(
            f"line {line}: {error.reason}; save the file as UTF-8 without control characters"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 0 if mark is None else mark.line + 1
        problem = names.shown(str(error.problem or error.context)).removeprefix("but ")
        raise _Unreadable(
            f"line {line}: {problem}; quote the value on that line, and indent with blanks only"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise _Unreadable("it is nested too deep; write it flat") from None
    finally:
        if loader is not None:
            loader.dispose()


def _yaml_apart(content: bytes, error: _Unreadable) -> Pairs:
    """The section of a text that is no YAML, read without the other lines. Raises Flaw."""
    text = content.replace(b"\0", b"").lstrip(_BOMS)
    signs = _yaml_signs(text)
    if not signs:
        return ()
    section = _yaml_lines(text) if len(signs) == 1 and b"\0" not in content else None
    if section is None:
        _check_seen(text, signs)
        raise Flaw(f"line {signs[0]}: cannot be read, as the text is no YAML: {error}")
    size = len(section.lstrip(b"\n"))
    if size > LARGEST_APART:
        raise Flaw(
            f"line {signs[0]}: has {size} bytes, {LARGEST_APART} are allowed in a text that is no"
            f" YAML: {error}"
        )
    try:
        return _mapping(_load(section), _NULLS)
    except _Unreadable as own:
        raise Flaw(f"cannot be read: {own}") from None


def _check_seen(text: bytes, signs: list[int]) -> None:
    """Raise Flaw for a sign whose line has a character that no editor shows."""
    lines = text.split(b"\n")
    for number in dict.fromkeys(signs):
        line = lines[number - 1].decode("utf-8", "surrogateescape")
        if re.search("[\xa0\udca0\u200b\ufeff]", line):
            raise Flaw(
                f"line {number}: {brief(line)} has a character that editors do not show; type the"
                " line again"
            )


def _yaml_signs(text: bytes) -> list[int]:
    """The lines where a section may begin."""
    text = _YAML_COMMENT.sub(b"", _to_the_margin(text))
    sign = _YAML_SIGN if _YAML_ROOT.search(text) is None else _YAML_FLOW
    lines: list[int] = []
    line, at = 1, 0
    for found in sign.finditer(text):
        line += text.count(b"\n", at, found.start())
        at = found.start()
        lines.append(line)
    return lines


def _to_the_margin(text: bytes) -> bytes:
    """The text without the indentation that all of its lines have."""
    lines = [line for line in text.split(b"\n") if line.strip() and line.lstrip()[0] not in b"#%-."]
    indented = min((len(line) - len(line.lstrip(b" \t")) for line in lines), default=0)
    return re.sub(rb"^[ \t]{%d}" % indented, b"", text, flags=re.MULTILINE) if indented else text


def _yaml_lines(text: bytes) -> bytes | None:
    """The text with the lines of its section only, the others blank; None if that is uncertain.

    The section begins where uWSGI's own reader begins one, at a key in the first column. It ends
    before the next text in the first column.
    """
    kept: list[bytes] = []
    inside = found = False
    for line in text.split(b"\n"):
        if line.strip() and line[0] not in b" \t#":
            inside = _YAML_HEAD.match(line) is not None
            if not inside and _YAML_BESIDE.match(line) is None:
                return None
            found = found or inside
        kept.append(line if inside else b"")
    while kept and kept[-1].lstrip()[:1] in (b"", b"#"):
        kept.pop()
    return b"\n".join(kept) if found else None


def _json(content: bytes) -> Pairs:
    try:
        document = msgspec.json.decode(content)
        # msgspec keeps one of two members of the same name. Here an object is a tuple of members.
        members = json.loads(content, object_pairs_hook=tuple, parse_int=str, parse_float=str)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if not _has_json_sign(content):
            return ()
        raise Flaw(f"cannot be read: {_json_problem(content, error)}; correct the JSON") from None
    if isinstance(members, tuple):
        _check_names((key, isinstance(value, tuple)) for key, value in members)
    return _mapping(document)


def _has_json_sign(text: bytes) -> bool:
    """Whether a text that is no JSON may have a section: a key of its name, in quotes."""
    text = _JSON_TOKEN.sub(lambda token: b" " if token[1] is None else token[0], text)
    return any(
        (token[1] or b"").strip(_BLANKS).lower() == b"emperor"
        and _JSON_VALUE.match(text, token.end()) is not None
        for token in _JSON_TOKEN.finditer(text)
    )


def _json_problem(content: bytes, error: Exception) -> str:
    """The error with its line, where that is known."""
    found = re.search(r"\(byte (\d+)\)", str(error))
    at, problem = None if found is None else int(found[1]), names.shown(str(error))
    try:
        content.decode()
    except UnicodeDecodeError as wrong:
        at, problem = wrong.start, "it is not UTF-8"
    if content.startswith(_BOM):
        problem = "it has a byte order mark"
    return problem if at is None else f"line {_line(content, at)}: {problem}"


def _line(content: bytes, at: int) -> int:
    return content.count(b"\n", 0, at) + 1


def _mapping(document: Any, nothing: tuple[str, ...] = ()) -> Pairs:
    if not isinstance(document, dict):
        return ()
    section = document.get("emperor")
    if section is None or section in nothing:
        return ()
    if not isinstance(section, dict):
        raise Flaw("must be a mapping of settings")
    return [(str(key), value) for key, value in section.items()]


def _check_names(members: Iterable[tuple[Any, bool]]) -> None:
    """Raise Flaw for a second section, and for the name of one that nearly matches.

    Each member of the document is its key, and whether its value is a mapping.
    """
    found = False
    for key, is_mapping in members:
        if key == "emperor":
            if found:
                raise Flaw(_TWICE)
            found = True
        elif (
            is_mapping
            and isinstance(key, str)
            and key.strip(" \t\r\n\xa0\u200b\ufeff").lower() == "emperor"
        ):
            raise Flaw(f"{brief(key)} is not the name of this section; write emperor")


def _xml(content: bytes) -> Pairs:
    # expat itself limits entity expansion, and nothing external is ever fetched.
    from xml.etree import ElementTree as ET

    try:
        root = ET.fromstring(content)
    except (ET.ParseError, ValueError, LookupError) as error:
        text = content.replace(b"\0", b"")
        elements = _XML_OUTSIDE.sub(lambda found: b"text" if found[1] else b"", text)
        if _XML_SIGN.search(elements) is None:
            return ()
        raise Flaw(
            f"cannot be read: {names.shown(str(error))}; correct the XML, or save it as UTF-8"
        ) from None
    found = None
    for element in (root, *root):
        # <emperor> with plain text in it is uWSGI's option of that name, not ours.
        if len(element) and isinstance(element.tag, str):
            if element.tag == "emperor":
                if found is not None:
                    raise Flaw(_TWICE)
                found = element
            elif element.tag.rpartition("}")[2].lower() == "emperor":
                raise Flaw(
                    f"{brief(element.tag)} is not the name of this section; write <emperor>"
                    " without a namespace"
                )
    if found is None:
        return ()
    return [(child.tag, child.text or "") for child in found if isinstance(child.tag, str)]


FORMATS: Final[dict[str, Callable[[bytes], Pairs]]] = {
    ".ini": _ini,
    ".yml": _yaml,
    ".yaml": _yaml,
    ".json": _json,
    ".js": _json,
    ".xml": _xml,
}
