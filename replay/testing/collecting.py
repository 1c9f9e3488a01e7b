"""``*.history`` files as tests: a file is one test, which passes when all comes out the same.

pytest also looks at the files beside those that are asked for. So only a test that runs imports the
fold (``running.py``).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .report_section import REWRITTEN


class HistoryFile(pytest.File):
    """A file that is one test."""

    def collect(self) -> Iterator["HistoryItem"]:
        """The test, under the name of the file."""
        yield HistoryItem.from_parent(self, name=self.path.stem)


class HistoryItem(pytest.Item):
    """Folds a history again."""

    def reportinfo(self) -> tuple[Path, int, str]:
        """How the test is called in the heading of a failure."""
        return self.path, 0, f"history {self.path.name}"

    def runtest(self) -> None:
        """Fail where the history does not fold to what it says."""
        from .running import run

        run(self)


def tell_rewritten(terminal: Any) -> None:
    """Show the difference of each history that was written anew."""
    sections = [
        text
        for reports in terminal.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"  # a teardown has the sections, too
        for title, text in report.sections
        if REWRITTEN in title
    ]
    if not sections:
        return
    terminal.section("histories written anew", sep="=")
    for text in sections:
        for line in text.splitlines():
            terminal.line(line, red=line.startswith("-"), green=line.startswith("+"))
