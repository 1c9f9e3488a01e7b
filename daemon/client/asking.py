"""Asks a running daemon over its control socket, for ``emperor-ctl``."""

import contextlib
import json
import socket
import sys
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any, Final, NoReturn

import msgspec

from ...monitors.names import shown
from ..control import unix_sockets

REFUSED: Final = 1
NO_DAEMON: Final = 4
PATIENCE: Final = 30.0  # seconds for an answer
_AT_ONCE: Final = 1 << 18  # bytes that are read together; the list of 10,000 vassals has 10 MB
_HANGS: Final = (
    "it may hang or be stopped; if it is killed, its keeper starts another, and vassals run on"
)


class Unanswered(Exception):
    """No daemon answers, or this user may not ask. ``code`` is the exit code of that."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class NoDaemon(Unanswered):
    """The keeper has answered: no daemon runs, and it starts none soon."""


class Late(Unanswered):
    """The daemon has the request, and has not answered in time."""


def ask(path: str, request: dict[str, Any], wait: float = 0.0) -> dict[str, Any]:
    """The daemon's answer; ends the program where there is none, or a refusal."""
    try:
        reply = exchanged(path, request, PATIENCE + wait)
    except Late as error:
        end(error.code, f"{error}; {_HANGS}")
    except Unanswered as error:
        end(error.code, str(error))
    if reply is None:
        end(NO_DAEMON, ended(path))
    return accepted(reply)


def ended(path: str) -> str:
    """The error of a daemon that ended first, and how to learn what became of the request."""
    text = f"the daemon at {shown(path)} ended before it answered"
    return f"{text}; see 'emperor-ctl events' for whether it recorded the request, and ask again"


def answer(path: str, request: dict[str, Any], wait: float = 0.0) -> dict[str, Any] | None:
    """The answer of a daemon, None where it ended first, or where the keeper starts one later.

    Ends the program where neither answers.
    """
    try:
        return exchanged(path, request, PATIENCE + wait)
    except NoDaemon:
        return None
    except Unanswered as error:
        end(error.code, str(error))


def exchanged(path: str, request: dict[str, Any], patience: float) -> dict[str, Any] | None:
    """The answer of a daemon; None where it ended first. Raises Unanswered."""
    with closing(conversed(path, request, patience)) as replies:
        return next(replies, None)


def conversed(
    path: str, request: dict[str, Any], patience: float
) -> Generator[dict[str, Any], None, None]:
    """The lines of an answer, the last of which has no ``more``; fewer where the daemon ended.

    All of them are to come within ``patience`` seconds. Raises Unanswered.
    """
    line = _encoded(request)
    until = time.monotonic() + patience
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience)
            unix_sockets.connect(connection, path)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(line)
            try:
                with connection.makefile("rb", _AT_ONCE) as stream:
                    more = True
                    while more and (answer := stream.readline()):
                        reply = _decoded(path, answer)
                        yield reply
                        more = reply.get("more") is True
                        connection.settimeout(max(0.001, until - time.monotonic()))
            except ConnectionResetError:
                return
    except PermissionError:
        raise Unanswered(
            REFUSED,
            f"{shown(path)}: permission denied; only the daemon's own user, root and members of its"
            " --control-group may ask",
        ) from None
    except TimeoutError:
        within = f"within {patience:.3g} s"
        raise Late(NO_DAEMON, f"the daemon at {shown(path)} has not answered {within}") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unanswered(
            NO_DAEMON, f"no daemon answers at {shown(path)}: {reason}; is emperor running?"
        ) from None


def _encoded(request: dict[str, Any]) -> bytes:
    """The line of a request. Raises Unanswered where a text in it is not UTF-8."""
    line = bytearray()
    for key, value in request.items():
        # In the locale C, Python has each byte beyond ASCII of an argument as a surrogate.
        try:
            text = json.dumps({key: value}, ensure_ascii=False).encode("utf-8", "surrogateescape")
            text.decode()
        except UnicodeError:
            raise Unanswered(REFUSED, f"{key}: {shown(str(value))} is not UTF-8") from None
        line += (b", " if line else b"{") + text[1:-1]
    return bytes(line + b"}\n")


def _decoded(path: str, line: bytes) -> dict[str, Any]:
    try:
        reply = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reply = None
    if not isinstance(reply, dict) or not isinstance(reply.get("ok"), bool):
        raise Unanswered(NO_DAEMON, f"the program that answers at {shown(path)} is no emperor")
    if reply.get("no_daemon") is True:
        raise NoDaemon(NO_DAEMON, shown(str(reply.get("error"))))
    return reply


def accepted(reply: dict[str, Any]) -> dict[str, Any]:
    """The fields of an answer. A refusal ends the program."""
    if not reply.pop("ok"):
        end(REFUSED, refusal(reply))
    return reply


def refusal(reply: dict[str, Any]) -> str:
    """The text of a refusal, with the lines of a log that it has."""
    lines = [str(reply.get("error"))]
    if log := reply.get("log"):
        lines += ["the last lines of its log:", *(f"  {line}" for line in log)]
    return "\n".join(shown(line) for line in lines)


def complain(text: str) -> None:
    """Say something on stderr."""
    print(f"emperor-ctl: {text}", file=sys.stderr)


def end(code: int, text: str) -> NoReturn:
    """End the program with a line on stderr."""
    complain(text)
    sys.exit(code)
