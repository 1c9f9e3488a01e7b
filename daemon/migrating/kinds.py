"""Which reader a file is for, by its name and by its text."""

import re
from typing import Final

_SUPERVISORD: Final = re.compile(
    r"^\[(supervisord|include|supervisorctl|unix_http_server|inet_http_server"
    r"|(program|group|eventlistener|fcgi-program|rpcinterface):[^]]+)\]",
    re.MULTILINE,
)
SUPERVISORD: Final = "supervisord"


def kind_of(path: str, text: str) -> str | None:
    """The name of the reader; None if no reader is for such a file."""
    if _SUPERVISORD.search(text):
        return SUPERVISORD
    return None
