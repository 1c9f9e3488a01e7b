"""Files that are given as monitors themselves: which of them can be the config of a vassal.

``emperor app.ini`` runs the vassal of that one file. A shell expands a pattern that the user forgot
to quote. So the daemon is given everything that matches: programs, the emperor's own config,
another supervisor's. Run as vassals they would do harm, or nothing for ever. So each is named with
what it is. In a directory or a quoted pattern they are not looked at in this way: there an emperor
below the emperor is meant.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from ..journal.locked_files import NO_JOURNAL
from . import names
from .regular_file import NotRegular, opened
from .urls import MonitorURLError, without_secrets

_MOST: Final = 1 << 16  # bytes of a file that are looked at to say what it is
_NAMED: Final = 3  # files that one message names
_SUPERVISORD: Final = re.compile(r"supervisor(?:d|ctl)|program:.+|group:.+|eventlistener:.+")
_EMPEROR: Final = "emperor"
# A config with none of these words is a vassal's, and is not parsed.
_TELLING: Final = re.compile(rb"emperor|supervisor|program:|group:|eventlistener:")

_LINK: Final = "is a symlink that leads to no file"
_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NoConfig(MonitorURLError):
    """A file that was given as a monitor cannot be a config, whatever is written into it.

    ``what`` says what it is, None if that is not known.
    """

    def __init__(self, path: str, what: str | None, extra: Sequence[str]) -> None:
        advice = f"is {_no_config(extra)}; quote a pattern, or your shell expands it"
        super().__init__(f"{names.shown(path)} {what or advice}")
        self.path, self.what = path, what


def check(path: str, extra: Sequence[str]) -> None:
    """Raise NoConfig for the path of a file whose name is no config's."""
    if not names.has_extension(path, extra):
        raise NoConfig(path, misfit(path, _beginning(path), templates=True), extra)


def summary(refused: Sequence[NoConfig], extra: Sequence[str]) -> list[str]:
    """The lines for several: one for each that is recognised, and one for all others."""
    plain = [each for each in refused if each.what is None]
    lines = [str(each) for each in refused if each.what or len(plain) == 1]
    if len(plain) > 1:
        named = ", ".join(names.shown(each.path) for each in plain[:_NAMED])
        more = f" and {len(plain) - _NAMED} more" if len(plain) > _NAMED else ""
        lines.append(
            f"{named}{more} are {_no_config(extra, 's')}; quote a pattern, or your shell expands it"
        )
    return lines


def is_one_file(url: str) -> bool:
    """Whether this monitor's URL is a path, of which no part is a wildcard."""
    return url.startswith("glob://") and re.search(r"(?<!\\)(?:\\\\)*[*?\[]", url) is None


def kind(directory: int, file: str, *, follow: bool) -> str | None:
    """The kind of what has this name in the open directory and is no file; None if nothing has it.

    Without ``follow`` a symlink's target is not told: in tyrant mode its owner may not know it.
    """
    try:
        own = os.stat(file, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    linked = stat.S_ISLNK(own.st_mode)
    try:
        status = os.stat(file, dir_fd=directory) if linked and follow else own
    except OSError:
        return _LINK
    found = _KINDS.get(stat.S_IFMT(status.st_mode))
    if found is None:
        return _LINK if linked and not follow else None
    return f"leads to {found}, not to a config file" if linked else f"is {found}, not a config file"


def _no_config(extra: Sequence[str], plural: str = "") -> str:
    return f"no config{plural} ({' '.join((*names.EXTENSIONS, *extra))})"


def misfit(name: str, content: bytes, *, templates: bool) -> str | None:
    """The kind of a config that is not a vassal's, and the advice; None if it can be a vassal's.

    With ``templates`` an empty config is complete: each vassal includes another one.
    """
    if not content.strip():
        return None if templates else "is empty: write a config into it, or remove it"
    if _TELLING.search(content) is None:
        return None
    sections = dict(_sections(name, content))
    uwsgi = sections.get("uwsgi")
    if isinstance(uwsgi, dict) and _EMPEROR in uwsgi:
        watched = names.shown(without_secrets(_text(uwsgi[_EMPEROR]))[:200])
        return (
            f"is the config of a uWSGI Emperor (emperor = {watched}), not of a vassal: give what"
            f" that watches, as in: emperor {watched}"
        )
    if not sections.keys() & {"uwsgi", _EMPEROR} and any(map(_SUPERVISORD.fullmatch, sections)):
        return (
            "is a config of supervisord, not of a vassal: write a config for each of its programs,"
            " with its command in a section [emperor]"
        )
    return None


def _text(value: Any) -> str:
    return _text(value[0]) if isinstance(value, list) and value else str(value)


def _sections(name: str, content: bytes) -> Iterator[tuple[str, Any]]:
    """The sections of a config, each with its keys; of what cannot be parsed there are none."""
    extension = os.path.splitext(name)[1]
    if extension in (".yml", ".yaml", ".js", ".json"):
        document = _document(extension, content)
        for key, value in document.items() if isinstance(document, dict) else ():
            yield str(key), value
    elif extension == ".xml":
        yield from _elements(content)
    else:
        yield from _lines(content.decode("utf-8", "replace"))


def _document(extension: str, content: bytes) -> Any:
    if extension in (".js", ".json"):
        try:
            return msgspec.json.decode(content)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
    import yaml  # slow to import, and most configs are not YAML

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        return yaml.load(content, loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _elements(content: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    from xml.etree import ElementTree as ET

    try:
        root = ET.fromstring(content)
    except (ET.ParseError, ValueError, LookupError):
        return
    for section in root.iter("uwsgi"):
        # An <emperor> with elements in it is the daemon's own section.
        yield "uwsgi", {each.tag: each.text or "" for each in section if not len(each)}


def _lines(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The sections of an ini, as forgiving as uWSGI's own scanner."""
    found: dict[str, dict[str, str]] = {}
    keys: dict[str, str] = {}
    for line in map(str.strip, text.split("\n")):
        if line.startswith("["):
            keys = found.setdefault(line[1:-1], {})
        elif line and line[0] not in ";#":
            key, _, value = line.partition("=")
            keys.setdefault(key.strip(), value.strip())
    yield from found.items()


def _beginning(path: str) -> bytes:
    """How a regular file begins; nothing of anything else, and of what cannot be read."""
    try:
        with opened(path, locked=NO_JOURNAL) as descriptor:  # no journal is open yet
            return os.read(descriptor, _MOST)
    except (OSError, NotRegular):
        return b""
