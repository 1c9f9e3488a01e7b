"""Which reader a file is for, by its name and by its text."""

import os
import re
from collections.abc import Sequence
from typing import Final

_SUPERVISORD: Final = re.compile(
    r"^\[(supervisord|include|supervisorctl|unix_http_server|inet_http_server"
    r"|(program|group|eventlistener|fcgi-program|rpcinterface):[^]]+)\]",
    re.MULTILINE,
)
_PROCFILE: Final = re.compile(r"Procfile(\.[\w.-]+)?|[\w.-]+\.procfile", re.IGNORECASE)
SUPERVISORD: Final = "supervisord"
PROCFILE: Final = "Procfile"
UNIT: Final = "unit"


def kind_of(path: str, text: str) -> str | None:
    """The name of the reader, by the name of the file, else by its text; None if there is none."""
    if path.endswith(".service"):
        return UNIT
    if _PROCFILE.fullmatch(os.path.basename(path)):
        return PROCFILE
    return SUPERVISORD if _SUPERVISORD.search(text) else None


def services(files: Sequence[str]) -> list[str]:
    """The files, each once. A ``.socket`` stands for its service, which brings it along."""
    stems = (path.removesuffix(".socket") for path in files)
    return list(
        dict.fromkeys(
            path if stem == path else f"{stem}.service"
            for path, stem in zip(files, stems, strict=True)
        )
    )
