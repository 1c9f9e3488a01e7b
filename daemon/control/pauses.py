"""Words about requests while the journal cannot be written."""

import errno
import os
from typing import Final

NOT_RECORDED: Final = "nothing is done that cannot be recorded: "
_FULL: Final = ("disk is full", os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def paused_advice(reason: str) -> str:
    """An operator's next step while the daemon pauses for this reason; empty where it varies."""
    if not any(words in reason for words in _FULL):
        return ""
    return "; free space on its disk, and the daemon goes on by itself"
