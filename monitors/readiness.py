"""The settings ``ready`` and ``ready-timeout`` of ``[emperor]``: when a program counts as up.

| `ready` | it is up when |
|---|---|
| `spawn` | it was started; that is the default |
| `notify` | it sends `READY=1` to its `NOTIFY_SOCKET`, see sd_notify(3) |
| `listen` | it listens at a socket of its own, or accepts at one that the daemon keeps for it |
| `5s`, or another duration | it has run for so long |
| `tcp://HOST:PORT` | a connection is accepted there |
| `http://HOST[:PORT][/PATH]` | a GET is answered there with a status from 200 to 399 |
| `exec:COMMAND` | the command, run as the vassal's user, has ended with code 0 |

``daemon/host/readiness.py`` looks, and the fold decides what follows.
"""

import re
from typing import Final, NamedTuple

from ..journal import quantities
from . import shell_words

KEYS: Final = ("ready", "ready-timeout")
LISTEN: Final = "listen"
SPAWN: Final = "spawn"
NOTIFY: Final = "notify"
LONGEST: Final = 86_400  # seconds
EXEC: Final = "exec:"
_HOST: Final = r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253}))"
_URL: Final = re.compile(rf"(tcp|http)://{_HOST}(?::([0-9]{{1,5}}))?(/[!-~]*)?")


class Condition(NamedTuple):
    """A condition: one of these is set.

    ``seconds`` have passed, ``host`` answers (with a ``path``, an HTTP request), the ``command``
    ends with code 0, or the program ``listens``.
    """

    seconds: float | None = None
    host: str = ""
    port: int = 0
    path: str | None = None
    command: tuple[str, ...] = ()
    listens: bool = False


def parsed(text: str) -> Condition | None:
    """The condition of a ``ready``; None for ``spawn`` and ``notify``, which need no look.

    Raises ValueError, which names the flaw.
    """
    if text in (SPAWN, NOTIFY):
        return None
    if text == LISTEN:
        return Condition(listens=True)
    seconds = quantities.duration(text)
    if seconds is not None:
        if not 0 < seconds <= LONGEST:
            raise ValueError("is no time to wait; write a duration up to a day")
        return Condition(seconds=float(seconds))
    if text.startswith(EXEC):
        return Condition(command=_command(text.removeprefix(EXEC)))
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError(
            "is none of spawn, notify, listen, 5s, tcp://HOST:PORT, http://HOST:PORT/PATH,"
            " exec:COMMAND"
        )
    scheme, path = found[1], found[5]
    port = quantities.port(found[4] or ("80" if scheme == "http" else ""))
    if port is None:
        raise ValueError("names no port from 1 to 65535")
    if scheme == "tcp" and path is not None:
        raise ValueError("has a path, which only http:// can have")
    return Condition(
        host=found[2] or found[3], port=port, path=(path or "/") if scheme == "http" else None
    )


def _command(text: str) -> tuple[str, ...]:
    """The words of a command. Raises ValueError, which names the flaw."""
    try:
        words = tuple(shell_words.split(text))
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not words or not words[0]:
        raise ValueError("names no program")
    return words


def flaw(key: str, text: str) -> str | None:
    """Why this setting cannot have this value; None if it can."""
    if key == "ready":
        try:
            parsed(text)
        except ValueError as error:
            return str(error)
        return None
    seconds = quantities.duration(text)
    if seconds is not None and 0 < seconds <= LONGEST:
        return None
    return f"is no time for a start; write {quantities.DURATIONS}, at most a day"
