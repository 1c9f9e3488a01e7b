"""The error of a config that is not read any further."""

from ...monitors.names import shown


class Unreadable(Exception):
    """Has the file, the line where there is one, the reason, and what to do."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        place = f"{shown(file)}:{line}" if line else shown(file)
        super().__init__(f"{place}: {reason}")
