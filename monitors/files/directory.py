"""dir://PATH: each config file in a directory is a vassal, run with the directory as its own."""

import errno
import os
import re
from collections.abc import Iterator
from typing import Final

from .. import working_directory
from ..options import MonitorOptions
from ..regular_file import Denied
from ..urls import MonitorURLError
from .scan import ANY, ConfigFolder
from .survey import Survey
from .watcher import FileMonitor

_REDUNDANT: Final = re.compile(r"/(?:\.?/)+")


class Directory:
    """The place of dir://: one folder, whose files are known by their bare names."""

    def __init__(self, path: str) -> None:
        self.root = path
        self.cwd: str | None = path

    def survey(self, survey: Survey) -> Iterator[None]:
        """Where to look. Raises OSError if the directory cannot be opened or listed."""
        survey.root(self.root)
        try:
            yield from survey.folder(ConfigFolder(self.root, "", ANY))
        except Denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.root) from None

    def locate(self, name: str) -> tuple[str, str]:
        """The prefix of the folder and the file's name in it, for a vassal's name."""
        return "", name


def absolute(path: str) -> str:
    """The path from the root. ``..`` stays: after a symlink only the kernel knows its meaning."""
    full = _REDUNDANT.sub("/", os.path.join(working_directory.current(), path) + "/")
    return full.rstrip("/") or "/"


def open_url(rest: str, options: MonitorOptions) -> FileMonitor:
    """The monitor of ``dir://rest``; a relative path starts at the working directory of now."""
    if not rest:
        raise MonitorURLError("dir:// names no directory: write dir:///etc/vassals")
    path = absolute(rest)
    return FileMonitor(f"dir://{path}", Directory(path), options)
