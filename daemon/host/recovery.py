"""Recovery: finds the vassals that a former daemon left, and records those that ended.

The fold knows which attempts were under way. Each is looked up by (boot id, pid, start time). If
its spawn was ordered but its pid never reached the journal, it is looked up by its mark. A process
that lives is adopted. Otherwise all that is left of its tree is ended, and then its end is
recorded. So a vassal never runs twice, and none is lost.

When this runs, the journal's lock is ours, so no child of the dead daemon is still between fork
and exec (see ``journal/store.py``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from ...journal.errors import Damaged, JournalError
from ...journal.events import Adopted, Exited, SpawnFailed
from ..core import attempts
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..keeper.link import Death, Identity
from . import command, procfs

# The mark of an attempt, its leader's pid and start time, its user: where they are known.
Tree = tuple[str, int | None, int | None, int | None]


class Machine(Protocol):
    """Processes as the machine knows them; the module ``procfs`` is one."""

    def all_processes(self) -> procfs.Processes: ...

    def start_time(self, pid: int) -> int | None: ...

    def session(self, pid: int) -> int | None: ...

    def owner(self, pid: int) -> int | None: ...

    def remnants(
        self,
        all_: procfs.Processes,
        mark: str,
        leader: int | None,
        started: int | None,
        uid: int | None = None,
    ) -> list[int]: ...

    def end(self, pids: Iterable[int]) -> None: ...


class Survivor:
    """A vassal whose process lives."""

    def __init__(self, vassal: Vassal, pid: int, start_time: int, mark: str) -> None:
        self.vassal = vassal
        self.pid = pid
        self.start_time = start_time
        self.mark = mark
        self.control = False  # its sockets were kept

    def draft(self) -> Draft:
        assert self.vassal.attempt is not None
        body = Adopted(
            attempt=self.vassal.attempt,
            pid=self.pid,
            start_time=self.start_time,
            control=self.control,
        )
        return Draft("adopted", body, None, self.vassal.name, self.vassal.order)


def survey(
    fleet: Fleet,
    boot: str,
    time_of: Callable[[int], int],
    machine: Machine = procfs,
    unclear: dict[str, Exception] | None = None,
) -> tuple[list[Survivor], list[Vassal]]:
    """The attempts that live, and those that ended. Blocks; for a worker thread.

    ``unclear`` is filled with the vassals about which an error came.
    """
    under_way = [each for vassal in fleet.vassals.values() for each in attempts.up(vassal)]
    same_boot = fleet.boot == boot
    needed = bool(under_way) or _has_preflights(fleet)
    processes = machine.all_processes() if needed and same_boot else procfs.Processes({}, {}, {})
    alive: list[Survivor] = []
    gone: list[Vassal] = []
    trees = _preflights(fleet, processes, time_of) if same_boot else []
    for vassal in under_way:
        try:
            assert vassal.attempt is not None
            mark = vassal.mark or procfs.mark(vassal.attempt, time_of(vassal.attempt), vassal.name)
            leader = _leader(machine, vassal, processes.of(mark)) if same_boot else None
        except Exception as error:
            if unclear is None or _is_of_machine(error):
                raise
            unclear[vassal.name] = error
            continue
        if leader is not None:
            alive.append(Survivor(vassal, *leader, mark))
        else:
            trees.append((mark, vassal.pid, vassal.start_time, vassal.uid))
            gone.append(vassal)
    _end(trees, processes, machine)
    return alive, gone


def with_orders(fleet: Fleet, time_of: Callable[[int], int]) -> Callable[[int], int]:
    """The ``at`` of events, also of orders to start that are in an archive by now.

    The fleet knows when its attempts were ordered. A process is known by that time.
    """
    orders = {
        each.attempt: each.launched
        for vassal in fleet.vassals.values()
        for each in attempts.up(vassal)
    }

    def at(seq: int) -> int:
        found = time_of(seq)
        return found if found > 0 else orders.get(seq) or found

    return at


def _has_preflights(fleet: Fleet) -> bool:
    vassals = fleet.vassals.values()
    return any(each.check is not None or "preflight" in each.spec.settings for each in vassals)


def _preflights(
    fleet: Fleet, processes: procfs.Processes, time_of: Callable[[int], int]
) -> list[Tree]:
    """The trees of preflights that a former daemon left. The fold orders the checks anew."""
    marks = {
        procfs.mark(each.check, time_of(each.check), procfs.PREFLIGHT + each.name)
        for each in fleet.vassals.values()
        if each.check is not None
    }
    for mark in filter(procfs.is_of_preflight, processes.marked):
        number, at = mark.split(".", 2)[:2]
        if number.isdigit() and at.isdigit() and time_of(int(number)) == int(at):
            marks.add(mark)  # of this journal
    return [(mark, None, None, None) for mark in sorted(marks)]


def _is_of_machine(error: Exception) -> bool:
    """Whether the machine refused, or could not read the journal, which is about no vassal."""
    return isinstance(error, OSError | JournalError) and not isinstance(error, Damaged)


def end_trees(dead: Iterable[Survivor], machine: Machine = procfs) -> None:
    """End what is left of those that died after they were found alive. Blocks."""
    trees = [(each.mark, each.pid, each.start_time, each.vassal.uid) for each in dead]
    _end(trees, machine.all_processes(), machine)


def _end(trees: Sequence[Tree], processes: procfs.Processes, machine: Machine) -> None:
    """End what is left of trees, and look again: a killed process may have forked just before."""
    before: list[int] = []
    while True:
        left = [pid for tree in trees for pid in machine.remnants(processes, *tree)]
        if not left or left == before:  # or nothing can end them
            return
        machine.end(left)
        before, processes = left, machine.all_processes()


def _leader(machine: Machine, vassal: Vassal, marked: list[int]) -> tuple[int, int] | None:
    if vassal.pid is not None:
        started = machine.start_time(vassal.pid)
        if started is not None and started == vassal.start_time:
            return vassal.pid, started
        return None
    for pid in marked:
        started = machine.start_time(pid)
        # Other users can imitate a mark; root's is on its way to be the vassal's user.
        its = vassal.uid is None or machine.owner(pid) in (0, vassal.uid)
        if started is not None and machine.session(pid) == pid and its:
            return pid, started
    return None


def of_signal(death: Death, number: int | None) -> bool:
    """Whether a process died of this signal, or ended as if it had.

    A JVM, a shell and others that handle signals exit with 128 and the signal's number.
    """
    return number is not None and (death.signal == number or death.code == 128 + number)


def death(vassal: Vassal, seen: Mapping[Identity, Death]) -> Draft:
    """The record of an attempt of which nothing is left; ``seen`` are deaths known otherwise."""
    assert vassal.attempt is not None
    if vassal.pid is None:
        reason = "the daemon ended before it recorded a process, and there is none"
        failed = SpawnFailed(attempt=vassal.attempt, reason=reason, fault="interrupted")
        return Draft("spawn_failed", failed, None, vassal.name, vassal.order)
    assert vassal.start_time is not None
    known = seen.get((vassal.pid, vassal.start_time))
    exited = Exited(attempt=vassal.attempt, away=True)
    if known is not None:  # the keeper was there, so it is a death like any other
        # The order to reload may have been carried out by the daemon that died.
        told = vassal.phase == "reloading" or vassal.reload_at is not None
        number = None if vassal.running is None else command.reload_signal(vassal.running)
        exited = Exited(
            attempt=vassal.attempt,
            code=known.code,
            signal=known.signal,
            reload=told and not vassal.speaks and of_signal(known, number),
        )
    return Draft("exited", exited, None, vassal.name, vassal.order)
