"""Processes as the kernel knows them: identity, trees, and how to find those of an attempt.

A process is known by (boot id, pid, start time), never by pid alone, because pids are reused.

A process of an attempt carries the attempt's mark in its environment, which descendants inherit. A
program may clear its environment. So each process carries a tag as well: a number made from the
mark, as its soft limit of real-time CPU (setrlimit(2)). That limit is so high that it limits
nothing. Descendants inherit it, too, and hardly any program changes it. A new session (setsid(2))
removes neither. ``monitors/children.py`` has how a child gets it.

A look that fails because no descriptor is left is an error, never an answer. A process that is
taken for dead would be started a second time.
"""

import ctypes
import errno
import hashlib
import os
import resource
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

MARK: Final = "EMPERORD_ATTEMPT"
IDENTITY: Final = "EMPERORD_IDENTITY"  # the identity of the journal that ordered the attempt
HOOK: Final = "EMPERORD_HOOK"  # of hooks around starts and ends, and of their descendants
PREFLIGHT: Final = "//preflight/"  # before the vassal's name, in the mark of a preflight
_PR_SET_CHILD_SUBREAPER: Final = 36
_PATIENCE: Final = 5.0  # seconds to wait for killed remnants
_READ: Final = 1 << 16  # bytes
_MOST_LISTS: Final = 20  # of processes, for one look at all


def boot_id() -> str:
    """The kernel's name for this boot of the machine (random(4))."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _stat(pid: int) -> list[str] | None:
    text = _read(pid, "stat")
    # The name stands in parentheses and may itself hold spaces and parentheses.
    return None if text is None else text.rpartition(b")")[2].decode().split()


def _read(pid: int, file: str) -> bytes | None:
    """A file of proc(5) about a process; None if there is no process, or it may not be read."""
    try:
        opened = os.open(f"/proc/{pid}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        try:  # an object of open() would cost five syscalls more, for thousands of processes
            parts = []
            while part := os.read(opened, _READ):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(opened)
    except OSError as error:
        _raise_unless_gone(error)
        return None


def _raise_unless_gone(error: OSError) -> None:
    """Raise the error again, unless there is no such process or it may not be read."""
    if error.errno not in (errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM):
        raise error


def start_time(pid: int, dead_too: bool = False) -> int | None:
    """Clock ticks from boot to the start of a process (proc(5)).

    None if there is none. A zombie counts only with ``dead_too``.
    """
    fields = _stat(pid)
    if fields is None or (fields[0] in "ZX" and not dead_too):
        return None
    return int(fields[19])


def ended(pid: int) -> tuple[int | None, int | None]:
    """The exit code of a zombie, or the signal that killed it."""
    fields = _stat(pid)
    if fields is None:
        return None, None
    status = int(fields[49])
    return (None, os.WTERMSIG(status)) if os.WTERMSIG(status) else (os.WEXITSTATUS(status), None)


def _is_traced(pid: int) -> bool:
    """Whether a process is traced (ptrace(2)): its tracer is then the first to reap it."""
    _, _, tracer = (_read(pid, "status") or b"").partition(b"\nTracerPid:")
    return tracer.split(maxsplit=1)[:1] not in ([], [b"0"])


def arguments(pid: int) -> list[str]:
    """The command line of a process; empty if there is none, or it may not be asked."""
    return [os.fsdecode(word) for word in (_read(pid, "cmdline") or b"").split(b"\0")[:-1]]


def program(pid: int) -> str:
    """The name of the program that a process runs, 15 bytes at most; it can call itself so."""
    return (_read(pid, "comm") or b"").rstrip(b"\n").decode(errors="replace")


def parent(pid: int) -> int | None:
    """The pid of a process's parent; None if there is no such process."""
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def parent_and_start(pid: int) -> tuple[int, int] | None:
    """As ``parent`` and ``start_time``, in one look; None if there is none, or it is a zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return int(fields[1]), int(fields[19])


def session(pid: int) -> int | None:
    """The session that a process belongs to; None if there is no such process."""
    fields = _stat(pid)
    return None if fields is None else int(fields[3])


def mark(attempt: int, at: int, vassal: str) -> str:
    """The mark of an attempt: number and time of the event that ordered it, and its vassal.

    The time distinguishes journals, the name those vassals that one event let start.
    """
    return f"{attempt}.{at}.{vassal}"


def is_of_preflight(mark: str) -> bool:
    """Whether a mark is one of a preflight."""
    return mark.split(".", 2)[-1].startswith(PREFLIGHT)


def mark_of(pid: int) -> str | None:
    """The mark of a process, None if it has none or may not be looked at."""
    return _variable(pid, MARK)


def identity_of(pid: int) -> str | None:
    """The identity of the journal that a process was started for; 0.1.0 did not give it."""
    return _variable(pid, IDENTITY)


def is_hook(pid: int) -> bool:
    """Whether a process says that a daemon has run it as a hook."""
    return _variable(pid, HOOK) is not None


def of_journal(identity: str) -> list[int]:
    """The processes that were started for a journal with this identity."""
    return [pid for pid in all_pids() if identity_of(pid) == identity]


def _variable(pid: int, name: str) -> str | None:
    environment = b"\0" + (_read(pid, "environ") or b"")
    _, found, rest = environment.partition(f"\0{name}=".encode())
    return os.fsdecode(rest.partition(b"\0")[0]) if found else None


def foreign(pid: int, *, any_user: bool = False) -> int | None:
    """The emperor that a process runs below, if that is another one than ours.

    It is root's or ours, because a tenant may give a program that name; with ``any_user`` any
    user's.

    An emperor that runs as the vassal of another has that one above it, and so have its vassals.
    One that carries the same mark as the process is no other: both are of one vassal, which is an
    emperor. Process 1 says nothing, as it is the parent of all orphans.
    """
    ours, mark_ = set(_lineage(os.getpid())), mark_of(pid)
    for above in _lineage(pid):
        if above in ours:
            return None
        of_one_vassal = mark_ is not None and mark_of(above) == mark_
        if above != pid and not of_one_vassal and _is_emperor(above, any_user):
            return above
    return None


def is_below(pid: int, above: Collection[int]) -> bool:
    """Whether a process is one of these, or runs below one of them."""
    return any(each in above for each in _lineage(pid))


def _lineage(pid: int) -> Iterator[int]:
    """A process and those above it, without process 1."""
    above: int | None = pid
    while above is not None and above > 1:
        yield above
        above = parent(above)


def _is_emperor(pid: int, any_user: bool) -> bool:
    words = (_read(pid, "cmdline") or b"").split(b"\0")
    module = words[words.index(b"-m") + 1 :][:1] if b"-m" in words else []
    installed = any(word.endswith(b"/emperor") for word in words[:2])
    ours = installed or module in ([b"emperord.daemon.keeper"], [b"emperord.daemon.main"])
    return ours and (any_user or owner(pid) in (0, os.geteuid()))


def limit_tag(mark: str) -> int:
    """The mark as a limit of real-time CPU, in microseconds: no less than 146,000 years."""
    number = int.from_bytes(
        hashlib.blake2b(mark.encode(errors="surrogateescape"), digest_size=8).digest()
    )
    return 1 << 62 | number >> 2


def settable_tag(mark: str) -> int | None:
    """The tag, if a child may have such a limit; not where real-time CPU is limited already."""
    _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    return limit_tag(mark) if hard == resource.RLIM_INFINITY else None


def limit_tag_of(pid: int) -> int | None:
    """The tag of a process; None if it has none (proc(5))."""
    _, _, rest = (_read(pid, "limits") or b"").partition(b"Max realtime timeout")
    soft = rest.split(maxsplit=1)[:1]
    number = int(soft[0]) if soft and soft[0].isdigit() else 0
    return number if number >> 62 == 1 else None


def all_pids() -> Iterator[int]:
    """Every process of the machine that can be seen."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


class Processes(NamedTuple):
    """All processes that may be a vassal's, in the order in which they started.

    The daemon's own session has no tagged process of a vassal: each start makes a new session, and
    no process can join one. But the daemon has a vassal's tag for the moment of its start.

    Zombies are left out, except our own children: a process that forks and dies, over and over, may
    be seen in no other state. A zombie that is traced is left out, too, because it stays until its
    tracer has reaped it.
    """

    marked: dict[str, list[int]]  # by mark
    tagged: dict[int, list[int]]  # by tag: those that replaced their environment
    others: dict[int, list[int]]  # by session: those with neither

    def of(self, mark: str) -> list[int]:
        """The pids of an attempt, by its mark."""
        tagged = self.tagged.get(limit_tag(mark), []) if self.tagged else []
        return self.marked.get(mark, []) + tagged


def all_processes(
    listed: Callable[[], Iterable[int]] = all_pids, marks: Mapping[int, str] | None = None
) -> Processes:
    """Look at the processes that ``listed`` gives, or every one of the machine.

    ``marks`` are those of processes that are known: their environment is not read again.
    """
    all_ = Processes({}, {}, {})
    known: set[int] = set()
    # A process may fork and die between the list and the look at it, and so may its child.
    for _ in range(_MOST_LISTS):
        fresh = set(listed()) - known
        if not fresh:
            break
        known |= fresh
        _take_in(fresh, all_, marks or {})
    return all_


def _take_in(pids: Iterable[int], all_: Processes, marks: Mapping[int, str]) -> None:
    found: list[tuple[int, int, int]] = []
    us, our_session = os.getpid(), os.getsid(0)
    for pid in pids:
        fields = _stat(pid)
        if fields is None:
            continue
        if fields[0] not in "ZX" or (int(fields[1]) == us and not _is_traced(pid)):
            found.append((int(fields[19]), pid, int(fields[3])))
    for _, pid, session_ in sorted(found):
        mark_ = marks.get(pid) or mark_of(pid)
        tag = limit_tag_of(pid) if mark_ is None and session_ != our_session else None
        if mark_ is not None:
            all_.marked.setdefault(mark_, []).append(pid)
        elif tag is not None:
            all_.tagged.setdefault(tag, []).append(pid)
        else:
            all_.others.setdefault(session_, []).append(pid)


def owner(pid: int) -> int | None:
    """The real uid of a process; None if there is no such process."""
    _, _, rest = (_read(pid, "status") or b"").partition(b"\nUid:")
    return int(rest.split(maxsplit=1)[0]) if rest else None


def remnants(
    all_: Processes,
    mark: str,
    leader: int | None,
    started: int | None,
    uid: int | None = None,
) -> list[int]:
    """The processes that are left of an attempt's tree, without its leader, which is dead or dying.

    Those are the processes with its mark or tag, and those with neither in the leader's
    session. The kernel does not reuse a session's number while a process is in the session. So if
    another process has the leader's pid now, the session has ended.

    Any user can imitate mark and tag. In tyrant mode all of a tree runs as the vassal's ``uid``,
    or is about to. A process that runs below another emperor is that one's, even with this mark.
    """
    left = all_.of(mark)
    others = [] if leader is None else all_.others.get(leader, [])
    if others and leader is not None and start_time(leader, dead_too=True) in (None, started):
        left += others
    return [
        pid
        for pid in left
        if pid != leader and (uid is None or owner(pid) in (0, uid)) and foreign(pid) is None
    ]


def end(pids: Iterable[int]) -> None:
    """Kill what is left of a tree whose leader has died, and wait until it is gone. Blocks."""
    waiting = {pid: start_time(pid) for pid in pids}
    for pid in waiting:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        waiting = {
            pid: started
            for pid, started in waiting.items()
            if started is not None and start_time(pid) == started
        }
        if not waiting:
            return
        time.sleep(0.005)


def lives_in_group(group: int) -> bool:
    """Whether a process group has a member that is no zombie."""
    return any(
        fields[0] not in "ZX" and int(fields[2]) == group
        for fields in map(_stat, all_pids())
        if fields is not None
    )


def open_files(pid: int) -> Iterator[tuple[str, str]]:
    """The descriptors of a process: the path by which each can be opened, and its target.

    Nothing for a process that has ended, or that may not be looked at (proc(5)).
    """
    folder = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(folder)
    except OSError as error:
        _raise_unless_gone(error)
        return
    for number in numbers:
        try:
            yield f"{folder}/{number}", os.readlink(f"{folder}/{number}")
        except OSError as error:  # closed meanwhile
            _raise_unless_gone(error)


def children(pid: int | None = None) -> list[int]:
    """The pids of a process's children, of this one's unless told, zombies too.

    Orphans that were handed to it are among them.
    """
    tasks = f"/proc/{'self' if pid is None else pid}/task"
    pids: list[int] = []
    try:
        for task in os.listdir(tasks):
            try:
                pids.extend(children_of_thread(task, pid))
            except OSError as error:  # the thread ended meanwhile
                _raise_unless_gone(error)
    except FileNotFoundError:  # the process did
        return []
    return pids


def children_of_thread(thread: int | str, pid: int | None = None) -> list[int]:
    """Those that one thread of a process has. Raises OSError."""
    with open(f"/proc/{'self' if pid is None else pid}/task/{thread}/children") as file:
        return list(map(int, file.read().split()))


def become_subreaper() -> None:
    """Have orphaned descendants handed to this process instead of init (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def close_on_exec_all() -> None:
    """Let no descriptor that this process was started with leak into vassals."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2:
            try:
                os.set_inheritable(descriptor, False)
            except OSError:  # the one that listed the folder
                continue
