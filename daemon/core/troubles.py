"""Troubles of one vassal, as ``emperor-ctl status`` and ``emperor-replay state`` tell them.

A vassal may have two at once: its process is down, and a change of it was not carried out. Both are
told, because monitoring counts the vassals that are down. No decision depends on them.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from . import ends
from .end_text import restarts_text
from .fleet import UP, Vassal
from .replacement import NOT_REPLACED
from .steps import waits_text
from .telling import UNCONFIRMED

_RUNS: Final = frozenset(UP) - {"stopping"}
# The option in a config of any format. A longer word, such as cheaper, is another one.
_CHEAP: Final = re.compile(rb"(?<![\w-])cheap(?![\w-])")
_MOST_KNOWN: Final = 10_000  # configs


class Trouble(NamedTuple):
    """One trouble: its kind, since when in UTC nanoseconds (None: not noted), and the reason."""

    what: str
    since: int | None
    reason: str | None


class Cheap:
    """Whether a vassal's config has uWSGI's ``cheap``. ``content`` gives a text by its digest.

    Such a uWSGI has no worker before its first client, and does not say that it accepts until then.
    """

    def __init__(self, content: Callable[[str], bytes | None]) -> None:
        self._content = content
        self._known: dict[str, bool] = {}

    def __call__(self, vassal: Vassal) -> bool:
        digest = None if vassal.running is None else vassal.running.config
        if digest is None:
            return False
        if digest not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[digest] = _CHEAP.search(self._content(digest) or b"") is not None
        return self._known[digest]


def troubles(vassal: Vassal, now: int, is_cheap: Callable[[Vassal], bool]) -> Iterator[Trouble]:
    """The troubles of a vassal, that of its process first; ``now`` is in UTC nanoseconds."""
    if vassal.done:
        return  # its work is over, as it wanted
    of_process = _of_process(vassal, now, is_cheap)
    if of_process is not None:
        yield of_process
    yield from _of_change(vassal)


def reload_hangs(vassal: Vassal, is_cheap: Callable[[Vassal], bool]) -> bool:
    """Whether its process has not confirmed its last reload in time, so it may serve no client.

    A first start that is *ready* without accepting is no such case, because the process has spoken.
    """
    if vassal.phase != "ready" or vassal.reason != UNCONFIRMED:
        return False
    if vassal.reload_at is None and vassal.speaks:
        return False
    return not (vassal.speaks and is_cheap(vassal))


def _of_process(vassal: Vassal, now: int, is_cheap: Callable[[Vassal], bool]) -> Trouble | None:
    phase, since, reason = vassal.phase, vassal.since, vassal.reason
    first = ends.often_since(vassal, now)
    if phase == "barred":
        return Trouble("barred", since, reason)
    if phase == "throttled" and vassal.deaths:
        times = f"death {vassal.deaths} in a row"
        return Trouble("throttled", since, f"{times}: {reason}" if reason else times)
    if (phase == "starting" and vassal.deadline is None) or reload_hangs(vassal, is_cheap):
        return Trouble("hanging", since, reason)
    if first is not None and phase not in ("held", "stopping"):
        return Trouble("crashing", first, restarts_text(vassal, now))
    if phase == "held" and vassal.unopened is not None:
        return Trouble("not listening", since, vassal.unopened)
    return None if vassal.sick is None else Trouble("unhealthy", vassal.sick, reason)


def _of_change(vassal: Vassal) -> Iterator[Trouble]:
    """Changes that were not carried out. A new one is tried by an operator or a source alone."""
    refused, reason = vassal.refused, vassal.reason or ""
    if refused is not None and (vassal.phase != "barred" or vassal.target is not None):
        yield Trouble(
            "rolled back" if refused.rolled_back else "refused", refused.at, refused.reason
        )
    if vassal.phase not in _RUNS:
        return
    if vassal.unopened is not None:
        yield Trouble("refused", None, waits_text(vassal.unopened))
    elif reason.startswith(NOT_REPLACED):
        yield Trouble("refused", None, reason)
