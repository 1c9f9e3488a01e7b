"""Vassals that run, and whose start is not in the journal: *unjournaled* processes.

They exist after a journal was lost, and a new one or an older copy was put in its place. The keeper
holds their sockets and their specs; others are found by their mark.
When the fold orders a vassal of that name to be started, the process is taken over instead of
starting a second one (``launcher.py``). Until then none is touched.
"""

import logging
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol

import msgspec

from ...journal.events import Spec
from ...journal.rows import IN_ARCHIVE
from ..keeper.link import Kept
from ..keeper.protocol import LEFT, PROCESS
from . import procfs
from .command import stop_signal

log = logging.getLogger("emperor")

_MOST_NAMED: Final = 100  # processes that the log names at a start
_LONGEST_SPEC: Final = 16_384  # bytes of JSON that go to the keeper: a packet is bounded


class UnjournaledProcess(msgspec.Struct):
    """A process that may be taken over.

    ``spec`` is what it was started or reloaded with, ``said`` are the bytes that it sent since.
    Both are unknown (None) where a daemon of 0.1.0 started it, or no keeper knew it.
    """

    name: str
    pid: int
    start: int
    mark: str
    spec: Spec | None = None
    said: tuple[int, ...] | None = None
    kept: str | None = None  # under which name the keeper holds its sockets, or its pidfd


class Machine(Protocol):
    """Processes as the machine knows them; the module ``procfs`` is one."""

    def all_processes(self, *, marks: Mapping[int, str]) -> procfs.Processes: ...

    def start_time(self, pid: int) -> int | None: ...

    def session(self, pid: int) -> int | None: ...

    def foreign(self, pid: int) -> int | None: ...

    def is_below(self, pid: int, above: Collection[int]) -> bool: ...

    def identity_of(self, pid: int) -> str | None: ...


def about(mark: str, spec: Spec) -> dict[str, Any]:
    """The facts about an attempt that the keeper holds beside its sockets.

    ``stop`` is the signal that stops a program, also where the spec is too long for the keeper.
    """
    bare = msgspec.structs.replace(spec, attrs={})
    fits = len(msgspec.json.encode(bare)) <= _LONGEST_SPEC
    told: dict[str, Any] = {
        "mark": mark,
        "spec": msgspec.to_builtins(bare) if fits else None,
        "said": [],
    }
    return {**told, "stop": stop_signal(spec)} if "command" in spec.settings else told


def find(
    kept: Mapping[str, Kept],
    known: Mapping[int, str],
    identity: str | None,
    time_of: Callable[[int], int],
    machine: Machine = procfs,
) -> list[UnjournaledProcess]:
    """The processes that the journal does not know, in the order in which they were started.

    ``kept`` is what the keeper holds and no adopted vassal uses. ``known`` are the processes of
    those, each with its mark.
    ``time_of`` gives the ``at`` of an event of the journal, 0 where it has none. Blocks.
    """
    entries = {name: each for name, each in kept.items() if _attempt(name) is not None}
    if not entries and identity is None:
        return []
    processes = machine.all_processes(marks=known)
    found = [_kept(name, each, processes, identity, machine) for name, each in entries.items()]
    left = {each.pid: each for each in found if each is not None}
    for mark, pids in processes.marked.items():
        leader = next((pid for pid in pids if pid in known or machine.session(pid) == pid), None)
        if leader in known:
            continue  # its identity and start time are in the journal
        started = None if leader is None else machine.start_time(leader)
        if leader is None or started is None or leader in left or _parts(mark, ".") is None:
            continue
        if machine.identity_of(leader) == identity is not None:
            name = mark.split(".", 2)[2]
            left[leader] = UnjournaledProcess(name=name, pid=leader, start=started, mark=mark)
    return sorted(
        (
            each
            for pid, each in left.items()
            if pid not in known
            and not _is_over(each.mark, time_of)
            and machine.foreign(pid) is None
        ),
        key=lambda each: each.start,
    )


def _kept(
    name: str, kept: Kept, processes: procfs.Processes, identity: str | None, machine: Machine
) -> UnjournaledProcess | None:
    """The process whose sockets are kept under this name, if it lives."""
    parts = _attempt(name)
    assert parts is not None
    number, vassal = parts
    told = kept.about
    mark, pid, start = told.get("mark"), told.get("pid"), told.get("start")
    if not isinstance(pid, int):  # a daemon of 0.1.0, or one that died during the start
        marks = [mark] if mark else _marks(processes, number, vassal, identity, machine)
        leaders = _leaders(processes, marks, machine)
        pid, mark = leaders[0] if leaders else (None, mark)
        start = None if pid is None else machine.start_time(pid)
    if pid is None or start is None or machine.start_time(pid) != start:
        return None
    said = told.get("said")
    return UnjournaledProcess(
        name=vassal,
        pid=pid,
        start=start,
        mark=str(mark),
        spec=_spec(told.get("spec")),
        said=None if said is None else tuple(said),
        kept=name,
    )


def _leaders(
    processes: procfs.Processes, marks: list[str], machine: Machine
) -> list[tuple[int, str]]:
    """The processes with these marks that lead their session, each with its mark."""
    return [
        (pid, mark) for mark in marks for pid in processes.of(mark) if machine.session(pid) == pid
    ]


def _marks(
    processes: procfs.Processes, number: int, vassal: str, identity: str | None, machine: Machine
) -> list[str]:
    """The marks that an attempt of 0.1.0 may have, the likeliest first.

    The keeper knows its number and its vassal only, and another emperor's attempt may have the
    same ones. So no process below another emperor counts, and none of another journal. Processes
    below this emperor come before others.
    """
    near = {os.getpid(), os.getppid()}
    found = [
        (not machine.is_below(pid, near), mark)
        for mark, pids in processes.marked.items()
        if mark.startswith(f"{number}.") and mark.split(".", 2)[2:] == [vassal]
        for pid in pids
        if machine.foreign(pid) is None and machine.identity_of(pid) in (None, identity)
    ]
    return [mark for _, mark in sorted(found)]


def _attempt(name: str) -> tuple[int, str] | None:
    """The number and the vassal in a kept name; None if it is of no attempt."""
    while name.startswith((LEFT, PROCESS)):
        name = name.removeprefix(LEFT).removeprefix(PROCESS)
    return _parts(name, ":")


def _parts(name: str, separator: str) -> tuple[int, str] | None:
    """The number with which a kept name or a mark begins, and the rest; None if it is neither."""
    number, _, rest = name.partition(separator)
    return (int(number), rest) if number.isascii() and number.isdigit() and rest else None


def _is_over(mark: str, time_of: Callable[[int], int]) -> bool:
    """Whether the journal knows this attempt: it is adopted, or its end is recorded.

    The order of one that runs may be in an archive, but the fleet knows its time. An attempt that
    is in an archive and not in the fleet has ended.
    """
    number, at, _ = [*mark.split(".", 2), "", ""][:3]
    if not (number.isdigit() and at.isdigit()):
        return False
    return time_of(int(number)) in (int(at), IN_ARCHIVE)


def _spec(told: Any) -> Spec | None:
    try:
        return msgspec.convert(told, Spec)
    except msgspec.ValidationError:
        return None


class UnjournaledProcesses:
    """Those that are not taken over yet."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[UnjournaledProcess]] = {}

    def add(self, found: list[UnjournaledProcess]) -> None:
        """Remember them, and name them in the log."""
        for each in found:
            self._by_name.setdefault(each.name, []).append(each)
        for each in found[:_MOST_NAMED]:
            log.warning(
                "%s: process %d runs, and this journal does not know of it; it is taken over when"
                " a source has %s, and left alone otherwise: end it if it is not wanted",
                each.name,
                each.pid,
                each.name,
            )
        if len(found) > _MOST_NAMED:
            log.warning("and so do %d others", len(found) - _MOST_NAMED)

    def __contains__(self, vassal: str) -> bool:
        return vassal in self._by_name

    def take(self, vassal: str) -> UnjournaledProcess | None:
        """Remove and return the newest of this name; None if there is none."""
        found = self._by_name.get(vassal, [])
        if not found:
            return None
        newest = found.pop()
        if not found:
            del self._by_name[vassal]
        return newest

    def alive(self) -> list[tuple[str, int]]:
        """Name and pid of those that live still, as many as the log would name."""
        left = [each for found in self._by_name.values() for each in found]
        return [
            (each.name, each.pid)
            for each in left[:_MOST_NAMED]
            if procfs.start_time(each.pid) == each.start
        ]

    @property
    def marks(self) -> set[str]:
        """The marks that their processes carry."""
        return {each.mark for found in list(self._by_name.values()) for each in found}

    @property
    def kept(self) -> set[str]:
        """The names under which the keeper holds their sockets."""
        return {each.kept for found in self._by_name.values() for each in found if each.kept}
