"""The sources that the contract suite is run against. A later one joins by a class here."""

import os
from pathlib import Path
from typing import Protocol

from emperord.monitors.contract import Monitor
from emperord.monitors.files.directory import Directory
from emperord.monitors.files.pattern import Pattern
from emperord.monitors.files.watcher import FileMonitor
from emperord.monitors.files.watches import Watches
from emperord.monitors.options import MonitorOptions

from .watching import Blind


class Source(Protocol):
    """A source that a test can fill, break and mend."""

    def monitor(self, options: MonitorOptions) -> Monitor:
        """A monitor of this source."""
        ...

    def name(self, file: str) -> str:
        """How a vassal is called."""
        ...

    def put(self, file: str, content: str) -> None:
        """Add a vassal, or change it."""
        ...

    def remove(self, file: str) -> None:
        """Take it away."""
        ...

    def fail(self) -> None:
        """Make the source one that cannot be read."""
        ...

    def mend(self) -> None:
        """Undo that."""
        ...


class Files:
    """The common parts of dir:// and glob://."""

    def __init__(self, parent: Path, *, blind: bool = False) -> None:
        self.folder = parent / "vassals"
        self.folder.mkdir()
        self._away = parent / "away"
        self._watches = Blind if blind else Watches

    def put(self, file: str, content: str) -> None:
        """Write it in place."""
        (self.folder / file).write_text(content)

    def remove(self, file: str) -> None:
        """Delete it."""
        (self.folder / file).unlink()

    def fail(self) -> None:
        """Move the directory away."""
        self.folder.rename(self._away)

    def mend(self) -> None:
        """Move it back."""
        self._away.rename(self.folder)


class DirSource(Files):
    """dir://"""

    def monitor(self, options: MonitorOptions) -> Monitor:
        """A monitor of the folder."""
        path = str(self.folder)
        return FileMonitor(f"dir://{path}", Directory(path), options, make_watches=self._watches)

    def name(self, file: str) -> str:
        """Bare."""
        return file


class GlobSource(Files):
    """glob://"""

    def monitor(self, options: MonitorOptions) -> Monitor:
        """A monitor of all in the folder."""
        pattern = f"{self.folder}/*"
        place = Pattern(pattern, options.extra_extension)
        return FileMonitor(f"glob://{pattern}", place, options, make_watches=self._watches)

    def name(self, file: str) -> str:
        """The whole path."""
        return os.path.join(self.folder, file)
