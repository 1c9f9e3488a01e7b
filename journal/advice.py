"""Advice to an operator whose journal cannot be opened, by the reason that the system gave."""

import errno
import sqlite3
from typing import Final

from .errors import GIVE_ANOTHER

_ELSEWHERE: Final = "give a --journal in a directory that this user may write to"
_MAKE_ROOM: Final = "make room on its disk, or give a --journal on another"
_SEE_THE_DISK: Final = "see what is wrong with its disk, or give a --journal on another"
_BY_ERRNO: Final = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _ELSEWHERE),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _MAKE_ROOM),
    errno.EIO: _SEE_THE_DISK,
    errno.EISDIR: "give a file in it",
}
_BY_SQLITE: Final = {
    "BUSY": "see who has it open",
    "FULL": _MAKE_ROOM,
    "IOERR": _SEE_THE_DISK,
    "NOMEM": "free some memory",
}


def advice(error: OSError | sqlite3.OperationalError) -> str:
    """An operator's next step with a journal that cannot be opened, by the reason."""
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, GIVE_ANOTHER)
    name = error.sqlite_errorname.removeprefix("SQLITE_").partition("_")[0]
    return _BY_SQLITE.get(name, _ELSEWHERE)
