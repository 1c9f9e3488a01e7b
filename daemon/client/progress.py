"""A progress bar on a terminal, for many vassals that take longer than a second.

How many vassals there are is the first thing that the daemon answers. Where that takes longer than
a second, the bar only says that the command waits.
"""

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ..cli import terminal

if TYPE_CHECKING:
    from rich.progress import Progress

_AFTER: Final = 1.0  # seconds
_MANY: Final = 5  # vassals


class Bar:
    """Prints lines, and below them how many are done. In a pipe it only prints.

    The bar is drawn ``after`` so many seconds, from a thread, as the command waits for the daemon.
    """

    def __init__(self, title: str, after: float = _AFTER) -> None:
        self._title = title
        self._total: int | None = None  # not known yet
        self._done = 0
        self._is_time = False
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._timer = threading.Timer(after, self._begin)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if terminal.is_terminal() and not terminal.is_dumb():
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._is_time = False
            self._title = ""
            self._draw()

    def expect(self, total: int) -> None:
        """Say for how many vassals the command waits."""
        with self._lock:
            self._total = total
            self._draw()

    def line(self, text: str, *, error: bool = False) -> None:
        """Print a line above the bar; an ``error`` goes to standard error."""
        with self._lock:
            if self._bar is None:
                print(text, file=sys.stderr if error else sys.stdout, flush=True)
            elif not error:
                self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                self._bar.stop()
                print(text, file=sys.stderr, flush=True)
                self._bar.start()

    def advance(self) -> None:
        """One more is done."""
        with self._lock:
            self._done += 1
            self._draw()

    def show(self, done: int, total: int) -> None:
        """So many of so many are done now."""
        with self._lock:
            self._done, self._total = done, total
            self._draw()

    def _begin(self) -> None:
        with self._lock:
            self._is_time = bool(self._title)
            self._draw()

    def _draw(self) -> None:
        """Draw the bar as it is now, or take it away; the lock is held."""
        if not self._is_time or (self._total is not None and self._total < _MANY):
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
        elif self._bar is None:
            self._bar = self._made()
            self._bar.start()
        else:
            self._bar.update(self._bar.task_ids[0], completed=self._done, total=self._total)

    def _made(self) -> "Progress":
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        class CursorConsole(Console):
            """Leaves the cursor where it is: a command that is killed could not show it again."""

            def show_cursor(self, show: bool = True) -> bool:
                return False

        console = CursorConsole(
            file=sys.stdout, no_color=not terminal.is_coloured(), force_terminal=True
        )
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(),
        )  # fmt: skip
        bar = Progress(*columns, console=console, transient=True)
        bar.add_task(self._title, total=self._total, completed=self._done)
        return bar
