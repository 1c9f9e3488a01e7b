"""The check ``preflight = uwsgi``: a config of uWSGI can be read, and its application is there.

The vassal's user runs this file's text (``python -c``), in the vassal's directory. It starts no
uWSGI: that would take sockets and logs which the running instance has. uWSGI itself skips lines
that it cannot read, and starts without an application.

A value with a placeholder (``%n``, ``$(HOME)``) is not looked at, nor is a Python module, which can
be anywhere on the path.
"""

import os
from typing import Any

_FILES = ("wsgi-file", "file", "psgi", "rack", "lua", "pyrun")
_FOLDERS = ("chdir", "home", "virtualenv", "venv", "pyhome")
_SECTION = "uwsgi"

Pairs = list[tuple[str, str]]


class _Flaw(Exception):
    pass


def main() -> None:
    """Check the config at EMPERORD_CONFIG; print the flaw, and end with code 1, if it has one."""
    path = os.environ["EMPERORD_CONFIG"]
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            _check(_pairs(path, file.read()))
    except _Flaw as flaw:
        print(f"{os.path.basename(path)}: {flaw}")
        raise SystemExit(1) from None


def _pairs(path: str, text: str) -> Pairs:
    """The options of the section ``uwsgi``, in order. Raises _Flaw."""
    ending = os.path.splitext(path)[1]
    if ending in (".yml", ".yaml"):
        return _of_yaml(text)
    if ending in (".json", ".js"):
        return _of_json(text)
    return _of_xml(text) if ending == ".xml" else _of_ini(text)


def _of_ini(text: str) -> Pairs:
    section, known = None, False
    found: Pairs = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line[0] in ";#":
            continue
        if line[0] == "[":
            if line[-1] != "]":
                raise _Flaw(f"line {number}: a section that has no ]")
            section = line[1:-1]
            known = known or section == _SECTION
            continue
        key, equals, value = line.partition("=")
        if section is None:
            raise _Flaw(f"line {number}: stands before the first section")
        if section == _SECTION:
            if not equals or not key.strip():
                raise _Flaw(f"line {number}: is no KEY = VALUE")
            found.append((key.strip(), value.strip()))
    if not known:
        raise _Flaw(f"it has no section [{_SECTION}]")
    return found


def _of_json(text: str) -> Pairs:
    import json

    try:
        document = json.loads(text)
    except ValueError as error:
        raise _Flaw(f"it is no JSON: {error}") from None
    return _of_document(document)


def _of_yaml(text: str) -> Pairs:
    try:
        import yaml
    except ImportError:  # the user may not read it
        return []
    try:
        document = yaml.load(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except yaml.YAMLError as error:
        raise _Flaw(f"it is no YAML: {' '.join(str(error).split())}") from None
    return _of_document(document)


def _of_document(document: Any) -> Pairs:
    options = document.get(_SECTION) if isinstance(document, dict) else None
    if options is None:
        raise _Flaw(f"it has no key {_SECTION}")
    if isinstance(options, list):
        options = {k: v for each in options if isinstance(each, dict) for k, v in each.items()}
    if not isinstance(options, dict):
        raise _Flaw(f"{_SECTION} must be a mapping of options")
    values = ((key, each if isinstance(each, list) else [each]) for key, each in options.items())
    return [(str(key), str(value)) for key, each in values for value in each]


def _of_xml(text: str) -> Pairs:
    from xml.etree import ElementTree as ET

    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise _Flaw(f"it is no XML: {error}") from None
    section = root if root.tag == _SECTION else root.find(_SECTION)
    if section is None:
        raise _Flaw(f"it has no element {_SECTION}")
    return [(str(each.tag), (each.text or "").strip()) for each in section]


def _check(pairs: Pairs) -> None:
    """Raise _Flaw for a file or a folder that is not there, or that this user may not read."""
    folder = ""
    for key, value in pairs:
        if key in ("chdir", "chdir2") and not _is_open(value):
            folder = os.path.join(folder, value)
    for key, value in pairs:
        path = value
        if key == "mount":
            path = value.partition("=")[2].partition(":")[0]
            if not path.endswith((".py", ".wsgi", ".psgi", ".ru")):
                continue
        elif key not in _FILES + _FOLDERS:
            continue
        if not path or _is_open(path) or "://" in path:
            continue
        place = path if key == "chdir" else os.path.join(folder, path)
        kind = os.path.isdir if key in _FOLDERS else os.path.isfile
        if not kind(place):
            raise _Flaw(f"{key} = {value}: there is no such {_noun(key)}: {place}")
        if not os.access(place, os.R_OK):
            raise _Flaw(f"{key} = {value}: uid {os.getuid()} may not read {place}")


def _is_open(value: str) -> bool:
    """Whether uWSGI makes another text of a value."""
    return "%" in value or "$(" in value or "@(" in value


def _noun(key: str) -> str:
    return "directory" if key in _FOLDERS else "file"


if __name__ == "__main__":
    main()
