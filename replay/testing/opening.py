"""Opens whatever a test gives to the fixture ``replay``: a history, its text, or a journal."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ..histories.text import read
from .steps import Steps

FIRST_LINE: Final = "# emperord history"
_SQLITE: Final = b"SQLite format 3\0"


class Replays:
    """The fixture: ``replay(source)`` gives the steps of a recorded history.

    The source is the path of a ``*.history`` file or of a journal, or the text of a history. A
    relative path is relative to the folder of the test. Journals are only read. They stay open
    until the test ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journals = ExitStack()

    def __call__(self, source: str | Path, *, after: int = 0) -> Steps:
        """The steps of a history, those behind event ``after``.

        Raises FileNotFoundError; JournalError where the source is damaged or newer.
        """
        if isinstance(source, str) and source.startswith(FIRST_LINE):
            return _steps("text", source, after)
        path = self._folder / source
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
        if start == _SQLITE:
            from ...journal.reading import open_journal
            from .journals import begin

            reader = self._journals.enter_context(open_journal(str(path)))
            return Steps(path.name, *begin(reader, after))
        return _steps(path.name, path.read_text("utf-8"), after)

    def open(self, source: str | Path, *, after: int = 0) -> Steps:
        """The same as the call."""
        return self(source, after=after)

    def close(self) -> None:
        """Close the journals."""
        self._journals.close()


def _steps(name: str, text: str, after: int) -> Steps:
    history = read(text, name)
    steps = Steps(name, history.fleet(), history.steps)
    if after > steps.seq:
        steps.until(after)
    return steps
