"""``runs``: which config each vassal ran, from when to when.

A *run* is a time in which the processes of a vassal had one config. It ends when another config
counts as running (``daemon/core/running.py``), or when the vassal is without a process. A restart
begins a new one, as nothing ran in between. A vassal is *behind* while another config is wanted.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Any

import msgspec

from ..daemon.cli.digests import short
from ..daemon.core.fleet import Fleet
from ..daemon.core.running import running_config
from ..journal.reading import Reader
from ..journal.times import rfc3339, took
from ..monitors.names import shown
from . import intact_events
from .clocks import cell, zone
from .event_text import decode_actions
from .rebuild import base, fold_one


class Run(msgspec.Struct):
    """One run. ``since`` is None where it began before the events that were read."""

    vassal: str
    config: str | None
    attempt: int
    since: int | None
    since_seq: int | None
    wanted: str | None  # the config that was wanted last
    until: int | None = None  # None: it lasts
    until_seq: int | None = None
    behind: int = 0  # nanoseconds for which another config was wanted
    behind_since: int | None = None


class _Follower:
    """Follows the processes of a fleet. Of ``among`` only, if that is not None."""

    def __init__(self, fleet: Fleet, among: Set[str] | None) -> None:
        self.fleet = fleet
        self.among = among
        self.open: dict[str, Run] = {}
        for name in fleet.vassals:
            self._look(name, None, None)

    def step(self, touched: Sequence[str | None], at: int, seq: int) -> Iterator[Run]:
        """The runs that an event has ended; ``touched`` are its vassals, None for all."""
        names = (*self.fleet.vassals, *self.open) if None in touched else touched
        for name in dict.fromkeys(names):
            if name is not None and (ended := self._look(name, at, seq)) is not None:
                yield ended

    def _look(self, name: str, at: int | None, seq: int | None) -> Run | None:
        if self.among is not None and name not in self.among:
            return None
        vassal, run = self.fleet.vassals.get(name), self.open.get(name)
        ended = None
        attempt = None if vassal is None else vassal.attempt
        config = None if vassal is None else running_config(vassal)
        if run is not None and (run.attempt, run.config) != (attempt, config):
            ended = self.open.pop(name)
            ended.until, ended.until_seq = at, seq
            _count_behind(ended, ended.config, at)
            run = None
        if vassal is None or attempt is None:
            return ended
        if run is None:
            run = Run(name, config, attempt, at, seq, vassal.spec.config)
            self.open[name] = run
        _count_behind(run, vassal.spec.config, self.fleet.at if at is None else at)
        return ended


def _count_behind(run: Run, wanted: str | None, at: int | None) -> None:
    """The config that is wanted from now on; the time since the last change is counted."""
    if run.behind_since is not None and at is not None:
        run.behind += at - run.behind_since
    run.wanted = wanted if run.until is None else run.wanted
    run.behind_since = at if run.until is None and wanted != run.config else None


def runs(reader: Reader, among: Set[str] | None, first: int, last: int, now: int) -> list[Run]:
    """The runs of which a part is between events ``first`` and ``last``, in order. Raises Damaged.

    Those that last at ``now``, in nanoseconds and not before ``last``, have no end.
    """
    fleet, _ = base(reader, max(first - 1, reader.anchor.seq))
    follower = _Follower(fleet, among)
    found: list[Run] = []
    for event, row in intact_events.events(reader, fleet.seq, last):
        fold_one(fleet, event)
        touched = [event.vassal, *(action.vassal for action in decode_actions(row[7]))]
        if event.vassal is None and event.kind not in _ABOUT_ALL:
            touched = touched[1:]
        ended = list(follower.step(touched, event.at, event.seq))
        found += ended if event.seq >= first else []
    for run in follower.open.values():
        if run.behind_since is not None:
            run.behind += max(0, now - run.behind_since)
    found += follower.open.values()
    return sorted(found, key=lambda run: (run.since_seq or 0, run.vassal))


_ABOUT_ALL = ("daemon_started", "daemon_ready", "daemon_stopping", "daemon_stopped",
              "operator_requested", "journal_forked")  # fmt: skip


def run_record(run: Run, now: int) -> dict[str, Any]:
    """A run in the shape of the surface; ``now`` is when the answer ends, in nanoseconds."""
    lasted = None if run.since is None else (run.until or now) - run.since
    return {
        "vassal": run.vassal,
        "config": run.config,
        "since": None if run.since is None else rfc3339(run.since),
        "since_seq": run.since_seq,
        "until": None if run.until is None else rfc3339(run.until),
        "until_seq": run.until_seq,
        "lasted_s": None if lasted is None else round(lasted / 1e9, 3),
        "behind_s": round(run.behind / 1e9, 3),
        "wanted": run.wanted,
        "attempt": run.attempt,
    }


COLUMNS = tuple(run_record(Run("", None, 0, None, None, None), 0))
_HEAD = ("VASSAL", "CONFIG", "SINCE ({zone})", "UNTIL", "LASTED", "BEHIND", "WANTED")


def head(now: int) -> list[str]:
    """The head of the table; ``now`` is when the answer ends, in nanoseconds."""
    return [each.format(zone=zone(now)) for each in _HEAD]


def cells(run: Run, now: int) -> tuple[str, ...]:
    """A run for people."""
    lasted = "-" if run.since is None else took((run.until or now) - run.since)
    return (
        shown(run.vassal),
        short(run.config),
        "before" if run.since is None else cell(run.since, now),
        "it runs" if run.until is None else cell(run.until, now),
        lasted,
        took(run.behind) if run.behind else "-",
        "same" if run.wanted == run.config else short(run.wanted),
    )
