"""The vassals that a reader finds in a file, and what it tells of each line there."""

import enum
import re
from dataclasses import dataclass, field, replace
from typing import Final

from ...monitors import settings

_EMPEROR: Final = re.compile(r"(?:env\s.*\s)?(?:\S*/)?uwsgi\S*\s(?:.*\s)?--emperor[\s=]")
_UNSAFE: Final = re.compile(r"[^\w.@+-]")


class Refused(Exception):
    """A file that cannot be read as what it seems to be; the text says why and what to do."""


class Manner(enum.Enum):
    """How a line of a source was treated."""

    TAKEN = "taken"
    CHANGED = "changed"
    NAMED = "not taken"


@dataclass(frozen=True)
class Told:
    """A line of a source, and the settings that it became."""

    line: str
    manner: Manner
    says: str = ""
    settings: tuple[tuple[str, str], ...] = ()


@dataclass
class Vassal:
    """A vassal to be written. ``origin`` is its place in the source, as ``[program:web]``.

    It is empty where the source has one program.
    """

    name: str
    origin: str
    told: list[Told] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)  # why no daemon should start it yet

    def take(self, line: str, *pairs: tuple[str, str], says: str = "") -> None:
        """Take a line as these settings; ``says`` how they differ from it.

        A value that ``[emperor]`` cannot have is named, and the vassal is unfinished.
        """
        flaws = [flaw for key, value in pairs if (flaw := flaw_of(key, value)) is not None]
        if flaws:
            self.name_unfinished(line, flaws[0])
        else:
            self.told.append(Told(line, Manner.CHANGED if says else Manner.TAKEN, says, pairs))

    def name_line(self, line: str, says: str) -> None:
        """A line that has no setting; ``says`` what to do instead."""
        self.told.append(Told(line, Manner.NAMED, says))

    def name_unfinished(self, line: str, says: str) -> None:
        """A line without which the program would not run as it did."""
        self.name_line(line, says)
        self.unfinished.append(line.partition(" = ")[0].split(": ")[-1])

    def drop(self, key: str) -> None:
        """Take back a setting, because a later line has it with a fuller value."""
        self.told = [
            replace(told, settings=tuple(pair for pair in told.settings if pair[0] != key))
            for told in self.told
        ]

    def value(self, key: str) -> str | None:
        """The value of a setting; the last one, if there are several."""
        found = [value for told in self.told for name, value in told.settings if name == key]
        return found[-1] if found else None

    def check(self) -> None:
        """Look at all settings together, as the daemon will."""
        if self.value("command") is None:
            return  # that is named already
        _, flaw = settings.read("a.ini", self.text().encode())
        if flaw is not None:
            self.name_unfinished("all settings together", flaw.removeprefix("[emperor] "))

    def text(self) -> str:
        """The settings as a section of an .ini file."""
        pairs = [pair for told in self.told for pair in told.settings]
        return "\n".join(["[emperor]", *(f"{key} = {value}" for key, value in pairs), ""])


@dataclass
class Found:
    """All that a reader finds. ``apart`` has the lines that concern no vassal, with their place.

    ``files`` are further files beside the vassals, by name. They may hold secrets.
    """

    source: str
    vassals: list[Vassal] = field(default_factory=list)
    apart: list[tuple[str, Told]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def name_apart(self, origin: str, line: str, says: str, manner: Manner = Manner.NAMED) -> None:
        """A line that concerns no vassal."""
        self.apart.append((origin, Told(line, manner, says)))

    def add(self, vassal: Vassal) -> None:
        """Add a vassal. One whose name is taken gets a number."""
        taken = {each.name for each in self.vassals}
        name, number = vassal.name, 2
        while vassal.name in taken:
            vassal.name = f"{name}-{number}"
            number += 1
        if _EMPEROR.match(vassal.value("command") or ""):
            vassal.name_unfinished(
                "command",
                "this is an emperor of uWSGI, and no vassal; 'emperor --from' with this command"
                " line in quotes runs its vassals",
            )
        vassal.check()
        self.vassals.append(vassal)


def file_name(name: str) -> str:
    """A name that can be that of a file, whatever characters it has."""
    safe = _UNSAFE.sub("_", name)[:200]
    return f"_{safe[1:]}" if safe.startswith(".") else safe or "_"


def flaw_of(key: str, value: str) -> str | None:
    """Why a setting of ``[emperor]`` cannot have this value; None if it can."""
    if "\n" in value or "\r" in value:
        return f"{key}: has a line break; write it without"
    text = f"[emperor]\n{key} = {value}\n".encode("utf-8", "surrogateescape")
    _, flaw = settings.read("a.ini", text, whole=False)
    return None if flaw is None else flaw.removeprefix("[emperor] ")
