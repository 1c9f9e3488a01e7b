"""Whether there is room for logs. A vassal whose write fails seldom says so: its lines are lost."""

import os


class LogRoom:
    """The room in the file system of a directory, as it was at the last look."""

    def __init__(self, directory: str) -> None:
        self.full = False
        self._directory = directory

    def look(self) -> bool:
        """See whether users other than root can write nothing more; True where that is new."""
        before, self.full = self.full, self._is_full()
        return self.full and not before

    def _is_full(self) -> bool:
        try:
            room = os.statvfs(self._directory)
        except OSError:  # the directory was removed
            return False
        return room.f_blocks > 0 and room.f_bavail == 0  # without blocks it says nothing

    @property
    def text(self) -> str:
        """A text for the operator about a full file system."""
        return (
            f"{self._directory}: the file system is full, so lines of vassals' logs are lost; make"
            " room there"
        )
