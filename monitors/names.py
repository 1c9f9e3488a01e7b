"""Which names a vassal may have, and how any name is shown.

A name reaches argv, logs, SQLite, JSON and terminals. So it is 1 to 254 bytes of UTF-8 without
control characters. It ends in an extension that says which kind of config it is.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 254  # bytes, as upstream
EXTENSIONS: Final = (".xml", ".ini", ".yml", ".yaml", ".js", ".json")


def has_extension(name: str, extra: Sequence[str] = ()) -> bool:
    """Whether the name ends as a config does; others are not looked at and not complained of."""
    return name.endswith((*EXTENSIONS, *extra))


def flaw(name: str, extra: Sequence[str] = ()) -> str | None:
    """Why this cannot name a vassal, or None if it can."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if not encoded:
        return "the name is empty"
    if len(encoded) > LONGEST:
        return f"the name has {len(encoded)} bytes, {LONGEST} are allowed"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "the name has a control character"
    if not has_extension(name, extra):
        known = " ".join((*EXTENSIONS, *extra))
        return f"the name has no extension of a config ({known})"
    return None


def instance(name: str) -> str:
    """The instance in a name: ``one`` of ``app@one.ini``. Empty if it has none."""
    return _stem(name).partition("@")[2]


def is_template(name: str) -> bool:
    """Whether it is the name of a template, as ``app@.ini``: its instances are links to it."""
    stem = _stem(name)
    return len(stem) > 1 and stem.find("@") == len(stem) - 1


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def shown(name: str) -> str:
    """The name with everything escaped that could upset a terminal, a log or JSON."""
    if name.isprintable():  # nearly all are, and lists have many thousands of them
        return name
    try:
        escaped = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        escaped = name  # surrogates that stand for no byte are not printable either
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in escaped
    )
