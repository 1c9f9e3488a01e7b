"""The fleet as the daemon tells it, asked for again and again in a thread of its own.

A daemon that hangs must not keep the keys from working. The last answer stays until the next one
comes, also while the daemon is replaced.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from . import choosing
from .asking import Unanswered, exchanged

_PATIENCE: Final = 30.0  # seconds for an answer
_REST: Final = 30.0  # times as long as the daemon works for an answer, until the next request
_NO_ANSWER: Final = "the daemon ended before it answered; another one is asked"

_FIELDS: Final = ("name", "monitor", "phase", "pid", "restarts", "uptime_s", "cgroup")
Vassals = Sequence[Mapping[str, Any]]


class Feed:
    """The last answer of the daemon, and since when none comes."""

    def __init__(self, path: str, delay: float) -> None:
        self._path = path
        self._delay = delay
        self._again = threading.Event()
        self.vassals: Vassals = ()
        self.trouble: str | None = None
        self._took = _PATIENCE  # seconds: the quickest answer, as others waited for something
        self.asked = time.monotonic()  # when the last request was sent
        self.answered = self.asked  # when the last answer came

    def start(self, changed: Callable[[], None]) -> None:
        """Begin to ask, until the program ends. ``changed`` is called in the thread."""
        threading.Thread(target=self._run, args=(changed,), name="feed", daemon=True).start()

    def again(self) -> None:
        """Ask now."""
        self._again.set()

    def ask(self) -> None:
        """Ask once. Raises Unanswered."""
        self.asked = time.monotonic()
        answer = exchanged(self._path, choosing.request((), fields=_FIELDS), _PATIENCE)
        if answer is None:
            self.trouble = _NO_ANSWER
        elif not answer["ok"]:
            self.trouble = str(answer.get("error"))
        else:
            self.vassals, self.trouble = answer["vassals"], None
            self.answered = time.monotonic()
            self._took = min(self._took, self.answered - self.asked)

    def _run(self, changed: Callable[[], None]) -> None:
        while True:
            self._again.wait(max(self._delay, _REST * self._took))
            self._again.clear()
            try:
                self.ask()
            except Unanswered as error:
                self.trouble = str(error)
            changed()
