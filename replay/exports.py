"""``export-configs``: the config texts of a fleet as it stood, as files or as SQL.

Names and texts are foreign. A file's name is one component that cannot leave the folder. In it, a
slash, a percent sign, control characters and a leading dot are ``%XX``. Files are made anew, below
an open descriptor of the folder, and never through a link that is there.
"""

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import msgspec

from ..daemon.core.fleet import Fleet, Vassal
from ..journal.reading import Reader
from ..monitors.names import shown
from . import output_files, sql
from .rebuild import NotFound

_LONGEST: Final = 255  # bytes of a file's name (NAME_MAX)
_SAFE: Final = "._-@+=,: "  # of ASCII, beside letters and digits


class Export(msgspec.Struct, frozen=True):
    """The config of a vassal; None, and a reason, where there is none to export."""

    vassal: Vassal
    content: bytes | None
    reason: str = ""


def wanted(fleet: Fleet, names: Collection[str] | None) -> list[Vassal]:
    """Those vassals that are wanted, by name."""
    chosen = sorted(fleet.vassals if names is None else names)
    found = [fleet.vassals[name] for name in chosen if name in fleet.vassals]
    return [vassal for vassal in found if vassal.wanted]


def exported(reader: Reader, vassals: Iterable[Vassal]) -> Iterator[Export]:
    """The config of each, one at a time. Raises Damaged."""
    for vassal in vassals:
        digest = vassal.spec.config
        content = None if digest is None else reader.config_text(digest)
        yield Export(vassal, content, "" if content is not None else "it was not recorded")


def file_name(name: str) -> str:
    """The name of a vassal's file: other names have other ones, and none leaves its folder."""
    told = "".join(
        character if _is_safe(character) and (place or character not in ".-") else _coded(character)
        for place, character in enumerate(name)
    )
    if len(told.encode()) <= _LONGEST:
        return told
    mark = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    begin = told.encode()[: _LONGEST - len(mark) - 1].decode("utf-8", "ignore")
    return f"{begin}~{mark}"


def _is_safe(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _SAFE
    return character.isprintable()


def _coded(character: str) -> str:
    data = character.encode("utf-8", "surrogateescape")
    return "".join(f"%{byte:02X}" for byte in data)


class Folder:
    """A folder for configs, which is made if it is not there."""

    def __init__(self, path: str) -> None:
        """Raises NotWritten."""
        self.path = path
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise output_files.NotWritten(path, error) from None

    def close(self) -> None:
        os.close(self._descriptor)

    def check_free(self, names: Collection[str]) -> None:
        """Raise NotFound where a file is in the way: none is ever overwritten."""
        taken = sorted(set(os.listdir(self._descriptor)) & set(names))
        if taken:
            more = f" and {len(taken) - 1} others are" if len(taken) > 1 else " is"
            raise NotFound(
                f"{self.path}: {shown(taken[0])}{more} there already; give a folder without them"
            )

    def write(self, name: str, content: bytes) -> None:
        """A new file, for its owner alone. Raises NotWritten."""
        try:
            output_files.make(name, content, 0o600, self._descriptor)
        except OSError as error:
            raise output_files.NotWritten(os.path.join(self.path, name), error) from None


def record(one: Export, file: str | None) -> dict[str, Any]:
    """An export in the shape of the surface."""
    spec = one.vassal.spec
    return {
        "vassal": one.vassal.name,
        "monitor": one.vassal.monitor,
        "config": spec.config,
        "file": file,
        "path": spec.path,
        "uid": spec.uid,
        "gid": spec.gid,
        "socket": spec.socket,
        "reason": one.reason or None,
    }


def line(one: dict[str, Any]) -> str:
    """A file that was written, for people; with the vassal's name where that is another."""
    file, name = shown(one["file"]), shown(one["vassal"])
    return file if file == name else f"{file}  {name}"


def statement(one: Export, table: str) -> str:
    """An INSERT for an export that has a text. Raises ValueError for what SQL cannot say."""
    assert one.content is not None
    spec = one.vassal.spec
    return sql.insert(table, one.vassal.name, one.content, spec.uid, spec.gid, spec.socket)
