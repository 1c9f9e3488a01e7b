"""The logs that ``emperor-ctl logs`` means: of vassals by name or pattern, and of removed ones.

The log of a vassal stays when its source has it no longer. Then it is found by its whole name, and
a line on stderr says since when the vassal is gone.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from ...journal.deploys import DEPLOYED, DEPLOYS
from ...monitors.names import shown
from ..cli import terminal
from ..cli.nearest import is_pattern
from . import choosing
from .asking import PATIENCE, REFUSED, Unanswered, ask, complain, end, exchanged

_GONE: Final = tuple(kind for kind in DEPLOYS if kind not in DEPLOYED)


def log_paths(path: str, names: Sequence[str]) -> dict[str, str]:
    """The vassals that are meant, by name, and the paths of their logs.

    Ends the program where a name fits no vassal.
    """
    answer = ask(path, choosing.request(names))
    vassals, sources = answer["vassals"], answer.get("sources", {})
    known = {each["name"] for each in vassals}
    removed = {}
    for name in dict.fromkeys(names):
        if name not in known and not is_pattern(name) and (log := _left(path, name)) is not None:
            removed[name] = log
    there = [name for name in names if name not in removed]
    try:
        found = choosing.select(vassals, sources, there) if there else []
    except choosing.Unknown as error:
        end(REFUSED, str(error))
    logs = {str(each["name"]): each.get("log") for each in found}
    for name, log in logs.items():
        if log is None:
            end(
                REFUSED,
                f"{shown(name)}: has no log of its own, because the daemon runs with --log inherit;"
                " what it writes is in the daemon's log",
            )
    if removed:
        _say_since_when(path, removed)
    told = {name: str(log) for name, log in logs.items()} | removed
    return told if all(map(os.path.isabs, told.values())) else _absolute(path, told)


def _absolute(path: str, logs: Mapping[str, str]) -> dict[str, str]:
    """The same paths, where the daemon was given a relative one."""
    status: dict[str, Any] = ask(path, {"do": "status"})["status"]
    with suppress(OSError):
        directory = os.readlink(f"/proc/{status['pid']}/cwd")
        return {name: os.path.join(directory, log) for name, log in logs.items()}
    return dict(logs)


def _left(path: str, name: str) -> str | None:
    """The log that a removed vassal has left; None where there is none, or the daemon is older."""
    try:
        reply = exchanged(path, {"do": "log", "name": name}, PATIENCE)
    except Unanswered as error:
        end(error.code, str(error))
    log = None if reply is None else reply.get("log")
    return log if isinstance(log, str) else None


def _say_since_when(path: str, names: Mapping[str, str]) -> None:
    """Say when vassals were removed, as far as this user may read the journal."""
    journal = str(ask(path, {"do": "status"})["status"]["journal"])
    for name in names:
        when = _removal(journal, name)
        told = f"was removed{'' if when is None else ' ' + when}; this is the log that it left"
        complain(f"{shown(name)}: {told}")


def _removal(journal: str, name: str) -> str | None:
    from ...journal.errors import JournalError  # late: it is imported for removed vassals alone
    from ...journal.reading import open_journal

    with suppress(JournalError, OSError), open_journal(journal) as reader:
        row = reader.last_of(name, _GONE, reader.head.seq)
        return None if row is None else f"at {terminal.clock(int(row[1]))} (event {row[0]})"
    return None
