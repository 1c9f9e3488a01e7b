"""Which reader a file is for, by its name and by its text."""

import os
import re
from typing import Final

_SUPERVISORD: Final = re.compile(
    r"^\[(supervisord|include|supervisorctl|unix_http_server|inet_http_server"
    r"|(program|group|eventlistener|fcgi-program|rpcinterface):[^]]+)\]",
    re.MULTILINE,
)
_PROCFILE: Final = re.compile(r"Procfile(\.[\w.-]+)?|[\w.-]+\.procfile", re.IGNORECASE)
SUPERVISORD: Final = "supervisord"
PROCFILE: Final = "Procfile"


def kind_of(path: str, text: str) -> str | None:
    """The name of the reader; None if no reader is for such a file."""
    if _PROCFILE.fullmatch(os.path.basename(path)):
        return PROCFILE
    if _SUPERVISORD.search(text):
        return SUPERVISORD
    return None
