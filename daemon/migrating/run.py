"""``emperor --migrate``: reads files, writes vassals, and says what became of each line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import click

from . import kinds, procfile, supervisord, unit, writing
from .found import Found, Refused

_LARGEST: Final = 1 << 20  # bytes of a file


class Request(NamedTuple):
    """The files to read, and where their vassals go."""

    files: tuple[str, ...]
    folder: str
    overwrite: bool = False
    formation: Mapping[str, int] = {}  # how many vassals a process of a Procfile becomes


def migrate(request: Request, environ: Mapping[str, str]) -> None:
    """Write the vassals of these files; their names go to standard output, the report to error.

    Raises Refused and OSError; then nothing was written.
    """
    found, sources = _found(request, environ)
    if not any(each.vassals for each in found):
        raise Refused(f"{', '.join(request.files)}: there is no program in it, so nothing to write")
    files: dict[str, str] = {}
    for each in found:
        for name, text in writing.texts(each).items():
            if name in files:
                raise Refused(f"{name}: two of the files have such a vassal; migrate them apart")
            files[name] = text
    mode = writing.mode_of(sources)
    for path in writing.write(files, Path(request.folder), mode, overwrite=request.overwrite):
        click.echo(path)
    for each in found:
        for line in writing.report(each):
            click.echo(line, err=True)


def _found(request: Request, environ: Mapping[str, str]) -> tuple[list[Found], list[str]]:
    """The vassals of each file, and all files that were read."""
    found, sources = [], []
    for path in kinds.services(request.files):
        source = os.path.basename(path)
        kind = kinds.kind_of(path, "") or kinds.kind_of(path, _text(path))
        if kind == kinds.SUPERVISORD:
            made, read = supervisord.read(path, source, environ)
        elif kind == kinds.PROCFILE:
            made, read = procfile.read(path, source, request.folder, request.formation)
        elif kind == kinds.UNIT:
            made, read = unit.read(path, source, environ)
        else:
            raise Refused(
                f"{path}: it is neither a supervisord.conf, nor a Procfile, nor a .service, and no"
                " config of uWSGI"
            )
        found.append(made)
        sources += read
    return found, sources


def _text(path: str) -> str:
    with open(path, "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise Refused(f"{path}: it has more than {_LARGEST} bytes, so it is none of these files")
    return content.decode("utf-8", "surrogateescape")
