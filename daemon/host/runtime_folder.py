"""Folders in the runtime directory that the users of vassals can pass.

The runtime directory holds nothing that is secret by its name. So others than the daemon's user may
pass it and these folders (mode 0711). They cannot list them.
"""

import contextlib
import os
import stat
from typing import Final

from ...journal.places import runtime_directory
from .users import User

_PASSABLE: Final = stat.S_IXGRP | stat.S_IXOTH


def made(name: str, user: User | None) -> str:
    """The folder of this name, which the user can pass. Blocks. Raises OSError."""
    above = runtime_directory()
    folder = os.path.join(above, name)
    os.makedirs(above, mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, mode=0o711)
    if user is not None:
        for each in (above, folder):
            mode = os.stat(each).st_mode
            if mode & _PASSABLE != _PASSABLE:
                os.chmod(each, stat.S_IMODE(mode) | _PASSABLE)
    return folder
