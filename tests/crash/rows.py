"""Rows of a PostgreSQL that come, go and change, beside the files of ``churn.py``."""

import random
import threading
from collections.abc import Callable
from typing import Final

from support.postgres import PostgresSource, shared

NAMES: Final = ("sleeper-row.ini", "family-row.ini", "stubborn-row.ini", "uwsgi-row.ini")


class Rows:
    """Does to a table what a deploy tool does. ``text`` gives a new text for a name."""

    def __init__(self, text: Callable[[str], str], seed: int) -> None:
        self.source = PostgresSource()
        self._text = text
        self._random = random.Random(f"{seed}/rows")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go)
        self._error: BaseException | None = None
        self.done = 0

    def __enter__(self) -> "Rows":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _go(self) -> None:
        moves = (self._put, self._touch, self._remove, self._remove_all)
        try:
            while not self._over.wait(self._random.choice((0.01, 0.05, 0.2))):
                self._random.choices(moves, (8, 4, 3, 1))[0](self._random.choice(NAMES))
                self.done += 1
        except BaseException as error:
            self._error = error

    def _put(self, name: str) -> None:
        self.source.put(name, self._text(name))

    def _touch(self, name: str) -> None:
        self.source.execute("UPDATE vassals SET ts = now() WHERE name = %s", name)

    def _remove(self, name: str) -> None:
        self.source.remove(name)

    def _remove_all(self, _: str) -> None:
        self.source.execute("DELETE FROM vassals")

    def texts(self) -> dict[str, str]:
        """All that there is."""
        return dict(self.source.execute("SELECT name, config FROM vassals"))

    def hang(self, *, on: bool) -> None:
        """The server answers no client, or does so again."""
        shared()("freeze" if on else "thaw")
