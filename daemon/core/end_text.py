"""Texts for ends of processes and for restarts: ``SIGKILL 11 s ago, not by emperord``."""

from typing import Final

from ...journal.times import age
from . import ends
from .fleet import End, Vassal

# Signals that a process does not get for a fault of its own: another process sent them.
SENT: Final = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 9: "SIGKILL", 15: "SIGTERM"}
_KILL: Final = 9


def how(end: End) -> str:
    """The end in a word or two: ``SIGKILL``, ``exit code 1``."""
    if end.signal is not None:
        return SENT.get(end.signal, f"signal {end.signal}")
    return "unknown" if end.code is None else f"exit code {end.code}"


def whose(end: End) -> str | None:
    """The sender of the signal that ended it: ``not by emperord``; None where it needs none."""
    if end.oom:
        return f"by the kernel: out of memory ({end.oom})"
    if end.signal not in SENT or end.reload:
        return None
    if end.order == "kill" and end.signal == _KILL:
        return f"by emperord: {end.reason}"
    if end.order is not None and end.signal != _KILL:
        return f"as ordered: {end.reason}"
    return "not by emperord"


def ago(end: End, now: int) -> str:
    """The end with its age: ``SIGKILL 11 s ago, not by emperord``."""
    text = aged(how(end), now - end.at)
    sender = whose(end)
    return text if sender is None else f"{text}, {sender}"


def aged(text: str, nanoseconds: int) -> str:
    """An end with its age. A comma is between two numbers: ``exit code 1, 4 s ago``."""
    return f"{text}{',' if text[-1:].isdigit() else ''} {age(nanoseconds)} ago"


def restarts_text(vassal: Vassal, now: int) -> str:
    """Its restarts and its last end: ``restarts (1 h) 9, last SIGKILL 11 s ago``."""
    text = f"restarts (1 h) {ends.restarts(vassal, now)}"
    return text if vassal.last is None else f"{text}, last {ago(vassal.last, now)}"
