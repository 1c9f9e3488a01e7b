"""Vassals that another emperor left running, whose journal lies where ours was.

An estranged daemon that went on with such a journal would run vassals of two emperors. Those of the
same name would run twice, and those that our monitors do not name would be stopped. So ``adopt`` is
refused until they have ended. Processes below our keeper, or with sockets that it holds, are ours,
whatever journal they were started for: an earlier ``adopt`` has taken them over.
"""

import os
from collections.abc import Iterator

from ...journal.store import Head, Journal
from ...monitors.names import shown
from ..core import attempts
from ..core.fleet import Fleet
from ..host import procfs
from ..keeper.link import KeeperLink
from .identity import short


def refusal(journal: Journal, fleet: Fleet, known: Head, keeper: KeeperLink) -> str | None:
    """Why this journal cannot be gone on with yet; None if it can. Blocks.

    ``fleet`` is what the journal says. ``known`` is of the journal that our vassals run for.
    """
    head = journal.head
    if head is None or head.identity == known.identity:
        return None
    ours = {each.about.get("pid") for each in keeper.kept.values()}
    roots = {os.getpid(), os.getppid()} if keeper.alive else {os.getpid()}
    others = {
        pid: name
        for pid, name in _of(head, fleet)
        if pid not in ours and not procfs.is_below(pid, roots)
    }
    if not others:
        return None
    pid, name = next(iter(others.items()))
    return (
        f"{journal.path} is the journal of another emperor, and processes of it run: {len(others)},"
        f" such as {pid} ({shown(name)}); stop that emperor, which must be started again if it has"
        " died, or end them; or go on with a copy of the lost journal ('emperor-ctl restore FILE')"
    )


def _of(head: Head, fleet: Fleet) -> Iterator[tuple[int, str]]:
    """The processes of a journal that live, with their vassals."""
    known = fleet.vassals.values() if fleet.boot == procfs.boot_id() else ()
    for vassal in (each for one in known for each in attempts.up(one)):
        if vassal.pid is not None:
            start = procfs.start_time(vassal.pid)
            if start is not None and start == vassal.start_time:
                yield vassal.pid, vassal.name
    if fleet.policy.tyrant:
        return  # a tenant can imitate the identity, and would have adopt refused
    for pid in procfs.of_journal(short(head.identity)):
        if procfs.start_time(pid) is not None:
            yield pid, (procfs.mark_of(pid) or "").split(".", 2)[-1]
