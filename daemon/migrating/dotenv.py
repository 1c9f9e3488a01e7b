"""Reads a ``.env`` as foreman does, and says whether an ``environment-file`` reads it the same.

foreman has no comments behind a value, and no ``export``. Other programs have both, so they are
taken here, and told. This is a dozen lines, so no library is needed for it.
"""

import re
from typing import Final, NamedTuple

_LINE: Final = re.compile(r"(export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_PLAIN: Final = re.compile(r"[^\s'\"\\#;][^'\"\\]*(?<!\s)|")
_QUOTED: Final = re.compile(r"'([^']*)'\s*(?:#.*)?|\"((?:[^\"\\]|\\.)*)\"\s*(?:#.*)?")


class DotEnv(NamedTuple):
    """Variables in their order, notes on lines that are read otherwise elsewhere, and flaws."""

    variables: dict[str, str]
    notes: list[tuple[str, str]]
    flaws: list[tuple[str, str]]


def read(text: str) -> DotEnv:
    """The variables of a ``.env``. No note and no flaw has a value."""
    made = DotEnv({}, [], [])
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _LINE.fullmatch(stripped)
        if found is None:
            made.flaws.append((f"line {number}", "it is no NAME=VALUE, so it is left out"))
            continue
        export, name, value = found[1], found[2], found[3]
        if export:
            made.notes.append((name, "it has export, which foreman itself does not read"))
        if name in made.variables:
            made.flaws.append((name, "a later line has this name, and counts alone"))
        made.variables[name] = _value(made, name, value)
    return made


def _value(made: DotEnv, name: str, value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    if quoted is None:
        plain, blank, _ = re.split(r"(\s+#|$)", value, maxsplit=1)
        if blank.strip():
            made.notes.append((name, "the comment behind it is left out; foreman would keep it"))
        return str(plain)
    if quoted[1] is not None:
        return str(quoted[1])
    inner = str(quoted[2]).replace("\\n", "\n")
    return re.sub(r"\\(.)", r"\1", inner)


def written(variables: dict[str, str]) -> str:
    """The variables as an ``environment-file`` has them."""
    return "".join(f"{name}={_written(value)}\n" for name, value in variables.items())


def _written(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def same_here(text: str, variables: dict[str, str]) -> bool:
    """Whether the daemon reads the file itself as these variables (``daemon/host/enter.py``)."""
    found = {}
    for line in text.split("\n"):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        name, equals, value = stripped.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.replace("_", "").isalnum():
            return False
        found[name] = _read_here(value)
    return found == variables


def _read_here(value: str) -> str:
    if len(value) < 2 or value[0] not in "'\"" or value[-1] != value[0]:
        return value
    inner = value[1:-1]
    if value[0] == '"':
        inner = inner.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\")
    return inner
