"""Reads a unit of systemd: its lines, its drop-ins, the template of an instance, and specifiers.

systemd.syntax(7) and systemd.unit(5) say how. No library reads all of it.
"""

import glob
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from .found import Refused

_SHIPPED: Final = ("/lib/systemd/system", "/usr/lib/systemd/system")
_LOCAL: Final = "/etc/systemd/system"
# An empty value takes back no dependency (systemd.unit(5)).
_STAYING: Final = frozenset(
    (
        "After", "Before", "Requires", "Requisite", "Wants", "BindsTo", "PartOf", "Upholds",
        "Conflicts",
    )
)  # fmt: skip
_SPECIFIER: Final = re.compile(r"%(.?)")


class NotExpanded(Exception):
    """A specifier that has no value here; the text says which."""


class Line(NamedTuple):
    """A key with a value, in a section. ``flaw`` says why systemd ignores the line."""

    section: str
    key: str
    value: str
    flaw: str = ""

    @property
    def text(self) -> str:
        return f"{self.key} = {self.value}" if self.value else self.key


def lines(text: str) -> Iterator[Line]:
    """The keys of a file, and the lines that are none."""
    section = ""
    for whole in _joined(text):
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
            continue
        key, equals, value = whole.partition("=")
        if not equals:
            yield Line(section, whole, "", "it has no =, so systemd ignores it")
        elif not section:
            flaw = "it is in no section, so systemd ignores it"
            yield Line(section, key.strip(), value.strip(), flaw)
        else:
            yield Line(section, key.strip(), value.strip())


def _joined(text: str) -> Iterator[str]:
    """The lines that have a text. A backslash at its end makes a line go on, past comments.

    Of the last line this backslash is a blank. A backslash before it makes it a text.
    """
    begun = ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        goes_on = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        begun += f"{line[:-1].strip()} " if goes_on else line
        if not goes_on and begun.strip():
            yield begun.strip()
        begun = begun if goes_on else ""
    if begun.strip():
        yield begun.strip()


class Unit:
    """A unit with its drop-ins. ``name`` is with the instance: ``app@one.service``."""

    def __init__(self, path: str, name: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.name = name
        self.files = [path]
        stem, _, self.suffix = name.rpartition(".")
        self.stem = stem
        self.prefix, self.at, self.instance = stem.partition("@")
        self._environ = environ
        self._for_user = "/systemd/user" in os.path.abspath(path)
        self._lines = list(lines(_text(path)))
        for drop_in in self._drop_ins():
            self.files.append(drop_in)
            self._lines += lines(_text(drop_in))

    def _drop_ins(self) -> list[str]:
        """The drop-ins in the order of their names. An instance's win over its template's."""
        folder = os.path.dirname(self.path)
        folders = [folder, _LOCAL] if os.path.abspath(folder) in _SHIPPED else [folder]
        names = [self.name]
        if self.at:
            names.insert(0, f"{self.prefix}@.{self.suffix}")
        found = {}
        for name in names:
            for each in folders:
                for path in glob.glob(os.path.join(glob.escape(each), f"{name}.d", "*.conf")):
                    found[os.path.basename(path)] = path
        return [found[name] for name in sorted(found)]

    def all(self) -> dict[tuple[str, str], list[Line]]:
        """The lines of each key in their order. An empty value takes back those before it."""
        found: dict[tuple[str, str], list[Line]] = {}
        for line in self._lines:
            if line.value and not line.flaw:
                found.setdefault((line.section, line.key), []).append(line)
            elif not line.flaw and line.key not in _STAYING:
                found.pop((line.section, line.key), None)
        return found

    def latest_first(self, section: str, keys: Collection[str]) -> list[str]:
        """Those of these keys that have a value, by their last lines from the end on."""
        last = {
            line.key: number
            for number, line in enumerate(self._lines)
            if line.section == section and line.key in keys and line.value and not line.flaw
        }
        return sorted(last, key=lambda key: last[key], reverse=True)

    def ignored(self) -> list[Line]:
        """The lines that systemd ignores, because they are no keys of a section."""
        return [line for line in self._lines if line.flaw]

    def taken_back(self) -> list[Line]:
        """The lines that a later line takes back, by an empty value."""
        kept = [line for found in self.all().values() for line in found]
        return [line for line in self._lines if line.value and not line.flaw and line not in kept]

    def expand(self, value: str) -> str:
        """The value with its specifiers expanded. Raises NotExpanded."""

        def one(found: re.Match[str]) -> str:
            made = self._specifiers().get(found[1])
            if made is None:
                raise NotExpanded(f"{found[0]} has no value here")
            return made() if callable(made) else made

        return _SPECIFIER.sub(one, value)

    def _specifiers(self) -> dict[str, str | Callable[[], str]]:
        home = self._environ.get("HOME", "") if self._for_user else "/root"
        user = self._environ.get("USER", "") if self._for_user else "root"
        uname = os.uname
        folders = (
            {"t": self._environ.get("XDG_RUNTIME_DIR", ""), "S": f"{home}/.local/state"}
            | {"C": f"{home}/.cache", "L": f"{home}/.local/state/log", "E": f"{home}/.config"}
            if self._for_user
            else {"t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc"}
        )
        return {
            "%": "%", "n": self.name, "N": self.stem, "p": self.prefix,
            "P": lambda: unescaped(self.prefix), "i": self.instance,
            "I": lambda: unescaped(self.instance), "j": self.prefix.rpartition("-")[2],
            "f": lambda: "/" + unescaped(self.instance or self.prefix).lstrip("/"),
            "h": home, "u": user, "T": "/tmp", "V": "/var/tmp", "y": self.path,  # noqa: S108
            "Y": os.path.dirname(self.path), "H": lambda: uname().nodename,
            "l": lambda: uname().nodename.partition(".")[0], "v": lambda: uname().release,
            **folders,
        }  # fmt: skip


def unescaped(text: str) -> str:
    """A name as systemd-escape(1) would give it back."""
    return re.sub(
        r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text.replace("-", "/")
    )


def units(path: str, environ: Mapping[str, str]) -> list[Unit]:
    """The unit of a file, or those of all instances of a template. Raises Refused and OSError.

    The file of an instance need not be there, if its template is.
    """
    folder, name = os.path.split(path)
    if folder.endswith((".wants", ".requires")):
        folder = os.path.dirname(os.path.realpath(path))  # the link of an enabled unit
        path = os.path.join(folder, name)
    prefix, at, rest = name.partition("@")
    if not at:
        return [Unit(path, name, environ)]
    template = f"{prefix}@.{rest.rpartition('.')[2]}"
    if name != template:
        return [Unit(_instance(path, template), name, environ)]
    instances = _instances(folder, prefix, rest)
    default = Unit(path, name, environ).all().get(("Install", "DefaultInstance"))
    if not instances and default is not None:
        instances = [f"{prefix}@{default[-1].value}{rest}"]
    if not instances:
        raise Refused(
            f"{path}: it is a template, and none of its instances is enabled beside it; name them,"
            f" as in --migrate {os.path.join(folder, f'{prefix}@one{rest}')}"
        )
    return [Unit(path, each, environ) for each in instances]


def _instance(path: str, template: str) -> str:
    """The file of an instance: its own, or that of its template."""
    folder = os.path.dirname(path)
    local = os.path.abspath(folder) == _LOCAL
    places = [path, *(os.path.join(each, template) for each in (folder, *(_SHIPPED * local)))]
    return next((each for each in places if os.path.exists(each)), places[1])


def _instances(folder: str, prefix: str, rest: str) -> list[str]:
    """The instances that targets want or require, as ``systemctl enable`` links them."""
    shipped = os.path.abspath(folder) in _SHIPPED
    name = f"{glob.escape(f'{prefix}@')}?*{glob.escape(rest)}"
    return sorted(
        {
            os.path.basename(path)
            for each in (folder, *([_LOCAL] * shipped))
            for kind in ("wants", "requires")
            for path in glob.glob(os.path.join(glob.escape(each), f"*.{kind}", name))
        }
    )


def _text(path: str) -> str:
    if os.path.realpath(path) == os.devnull:
        raise Refused(f"{path}: the unit is masked, so there is nothing to run")
    return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
