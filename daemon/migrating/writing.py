"""Writes vassals as files, and reports how each line of the source was treated.

All files are made in memory first. If one of them is there already with another text, none is
written. A file is no more readable than the source was, because its lines may have passwords.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...monitors import names
from ...monitors.names import shown
from .found import Found, Manner, Refused, Told, Vassal

OFF: Final = ".off"  # no extension of a config, so no daemon starts it


def text_of(vassal: Vassal, source: str) -> str:
    """The vassal's file: settings, and above each a comment if its line was not taken as it is."""
    place = f"{vassal.origin.rstrip(':')} of {source}" if vassal.origin else source
    lines = [f"# {shown(vassal.name)}: {shown(place)}, by emperor --migrate", "[emperor]"]
    for told in vassal.told:
        if told.manner is Manner.CHANGED:
            lines.append(f"# {shown(told.line)}: {told.says}")
        elif told.manner is Manner.NAMED:
            lines.append(f"# not taken: {shown(told.line)}: {told.says}")
        lines += [f"{key} = {_escaped(value, vassal.name)}" for key, value in told.settings]
    return "\n".join([*lines, ""])


def _escaped(value: str, name: str) -> str:
    """The value for a vassal that is an instance: there ``%i`` would be the instance."""
    return value.replace("%i", "%%i") if names.instance(f"{name}.ini") else value


def file_of(vassal: Vassal) -> str:
    """The name of its file."""
    return f"{vassal.name}.ini{OFF if vassal.unfinished else ''}"


def texts(found: Found) -> dict[str, str]:
    """The text of each file, by its name."""
    return {
        **{file_of(each): text_of(each, found.source) for each in found.vassals},
        **found.files,
    }


def write(files: dict[str, str], folder: Path, mode: int, *, overwrite: bool) -> list[str]:
    """Write the files; the paths of those that were not there as they should be.

    Raises Refused if one is there with another text, and OSError. Then none is written.
    """
    different = {name: text for name, text in files.items() if _there(folder / name) != text}
    there = [str(folder / name) for name in different if os.path.lexists(folder / name)]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise Refused(
            f"{there[0]}{more}: there is such a file with another text; move it away, give another"
            " folder with -o, or replace it with --overwrite"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in different.items():
        _write_one(folder / name, text, mode)
    return [str(folder / name) for name in different]


def _there(path: Path) -> str | None:
    try:
        return path.read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _write_one(path: Path, text: str, mode: int) -> None:
    """Replace a file as a whole: a daemon may watch the folder."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(draft, mode)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def mode_of(paths: list[str]) -> int:
    """A mode for new files: readable by those who may read all of these."""
    mode = 0o644
    for path in paths:
        mode &= stat.S_IMODE(os.stat(path).st_mode)
    return mode | 0o600


def report(found: Found) -> Iterator[str]:
    """A line for each line of the source that was not taken as it is, and a sum.

    Instances of one program differ in little, so a line that is the same for all comes once.
    """
    all_told = [
        *((each.origin, told) for each in found.vassals for told in each.told),
        *found.apart,
    ]
    told_once = dict.fromkeys(
        _line(*each) for each in all_told if each[1].manner is not Manner.TAKEN
    )
    for line in told_once:
        yield f"{shown(found.source)}: {line}"
    for vassal in found.vassals:
        if vassal.unfinished:
            why = ", ".join(dict.fromkeys(vassal.unfinished))
            yield (
                f"{file_of(vassal)}: no daemon starts it as it is ({shown(why)}); look at it, and"
                f" rename it to {vassal.name}.ini"
            )
    count = {
        manner: len({(origin, told.line) for origin, told in all_told if told.manner is manner})
        for manner in Manner
    }
    yield f"{shown(found.source)}: " + ", ".join(
        [
            f"{len(found.vassals)} vassal{'' if len(found.vassals) == 1 else 's'}",
            *(f"{number} {manner.value}" for manner, number in count.items()),
        ]
    )


def _line(origin: str, told: Told) -> str:
    place = f"{shown(origin)} {shown(told.line)}".strip()
    return f"{place}: {told.manner.value}: {told.says}"
