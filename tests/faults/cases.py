"""Which faults there are: every target that was called, by the errors that its call may have."""

import errno
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from .plan import FOR_EVER, KILL, ONCE, SHORT

# Of each function, the errors of the list in its manual page that a sound machine may give.
_OPENS: Final = ("EMFILE", "ENOMEM", "EIO", "EROFS", "ENOSPC", "EINTR")
_MAKES: Final = ("EMFILE", "ENOMEM")
_LOOKS: Final = ("EIO", "ENOMEM")
_CHANGES: Final = ("EIO", "EROFS", "ENOSPC", "ENOMEM")
ERRORS: Final[dict[str, tuple[str, ...]]] = {
    "open": _OPENS,
    "opendir": ("EMFILE", "ENOMEM", "EIO"),
    "readdir": ("EIO",),
    "read": ("EIO", "EINTR"),
    "write": ("ENOSPC", "EIO", "EINTR", "SHORT"),
    "fsync": ("EIO", "ENOSPC", "EINTR", "EROFS"),
    "ftruncate": ("EIO", "ENOSPC", "EINTR", "EROFS"),
    "fallocate": ("ENOSPC", "EIO", "EINTR"),
    "close": ("EIO", "EINTR"),
    "flock": ("EINTR", "ENOLCK"),
    "lock": ("ENOLCK", "EIO", "EINTR"),
    "mmap": ("ENOMEM",),
    "stat": _LOOKS,
    "readlink": _LOOKS,
    "unlink": _CHANGES,
    "rename": _CHANGES,
    "link": (*_CHANGES, "EPERM"),
    "mkdir": _CHANGES,
    "chmod": ("EIO", "EROFS"),
    "chown": ("EIO", "EROFS"),
    "chdir": _LOOKS,
    "dup": _MAKES,
    "dup2": ("EMFILE", "EINTR"),
    "pipe": _MAKES,
    "memfd": _MAKES,
    "epoll_create": _MAKES,
    "epoll_ctl": ("ENOMEM", "ENOSPC"),
    "epoll_wait": ("EINTR",),
    "poll": ("EINTR", "ENOMEM"),
    "inotify_init": _MAKES,
    "inotify_add_watch": ("ENOSPC", "ENOMEM"),
    "socket": _MAKES,
    "socketpair": _MAKES,
    "accept": (*_MAKES, "EINTR"),
    "bind": ("ENOMEM", "EROFS", "ENOSPC"),
    "listen": ("ENOMEM",),
    "connect": ("ENOMEM", "EINTR"),
    "send": ("ENOMEM", "ENOBUFS", "EINTR"),
    "recv": ("ENOMEM", "EINTR"),
    "setsockopt": ("ENOMEM",),
    "wait": ("EINTR",),
    "fork": ("ENOMEM", "EAGAIN"),
    "posix_spawn": ("ENOMEM", "EAGAIN", "EMFILE"),
    "execve": ("ENOMEM", "EIO", "EMFILE"),
    "pidfd_open": _MAKES,
    "pthread_create": ("EAGAIN",),
}
# Python itself, before its first line is run: an interpreter that cannot start is not ours.
_INTERPRETERS: Final = ("elsewhere", "N/pyvenv.cfg")
_NONE: Final = {"SHORT": SHORT, "KILL": 0}  # no errno
_WRITTEN: Final = ("state", "run", "daemon.log")
_LIVES: Final = ("start", "kill", "renew", "stop")
# Many calls at once, as a machine does that is in trouble.
TROUBLES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "EMFILE": (
        ("open", "opendir", "socket", "socketpair", "pipe", "memfd", "epoll_create", "accept",
         "dup", "inotify_init", "pidfd_open"),
        ("*",),
    ),
    "ENOMEM": (
        ("mmap", "fork", "posix_spawn", "socketpair", "socket", "epoll_ctl", "poll"),
        ("*",),
    ),
    "ENOSPC": (("open", "write", "fallocate", "mkdir"), ("state*", "run*")),
    "EIO": (("open", "read", "write", "fsync", "ftruncate", "stat", "lock"), ("state*", "run*")),
    "EROFS": (("open", "write", "ftruncate", "unlink", "rename", "mkdir"), ("state*", "run*")),
}  # fmt: skip


class Case(NamedTuple):
    """At this step, these calls fail with this error: once, at the first-th, or for ever."""

    step: str
    targets: tuple[str, ...]
    error: str
    mode: int
    first: int
    place: str = "first"  # of the site's calls: how often it is called differs from run to run

    @property
    def name(self) -> str:
        """A name that is the same in each run: the words without the number of the call."""
        return "|".join((self.step, ";".join(self.targets), self.error, str(self.mode), self.place))

    @property
    def site(self) -> tuple[str, str] | None:
        """Its call site; None if it strikes at many at once."""
        return (self.step, self.targets[0]) if len(self.targets) == 1 else None

    def __str__(self) -> str:
        mode = {ONCE: "once", FOR_EVER: "for ever", KILL: "killed"}[self.mode]
        return "|".join((self.step, ";".join(self.targets), self.error, mode, str(self.first)))

    @classmethod
    def parsed(cls, text: str) -> "Case":
        step, targets, error, mode, first = text.split("|")
        how = {"once": ONCE, "for ever": FOR_EVER, "killed": KILL}[mode]
        return cls(step, tuple(targets.split(";")), error, how, int(first))

    @property
    def number(self) -> int:
        """The errno."""
        return _NONE[self.error] if self.error in _NONE else int(getattr(errno, self.error))


def is_site(step: str, target: str) -> bool:
    """Whether a call is one to strike at."""
    _, function, object_ = target.split(" ", 2)
    if function not in ERRORS:
        return False
    if object_ == "wake-up":
        return (
            False  # trio's own: a send or recv of one byte that the kernel has no cause to refuse
        )
    if function == "close" and not object_.startswith(_WRITTEN):
        return False  # a close fails where writing was put off
    return not (step in _LIVES and object_.endswith(_INTERPRETERS))


def cases_of(step: str, target: str, calls: int) -> Iterator[Case]:
    """All faults of one call site."""
    function = target.split(" ", 2)[1]
    for error in ERRORS[function]:
        yield Case(step, (target,), error, ONCE, 1)
        if calls > 2:
            yield Case(step, (target,), error, ONCE, calls // 2 + 1, "middle")
        if calls > 1:
            yield Case(step, (target,), error, ONCE, calls, "last")
        if error != "EINTR":
            yield Case(step, (target,), error, FOR_EVER, 1)
    if target.startswith("daemon "):
        yield Case(step, (target,), "KILL", KILL, 1)
        if calls > 1:
            yield Case(step, (target,), "KILL", KILL, calls, "last")


def troubles(step: str) -> Iterator[Case]:
    """The faults that are of many call sites at once."""
    for error, (functions, objects) in TROUBLES.items():
        for roles in (("daemon",), ("keeper",), ("daemon", "keeper")):
            targets = tuple(
                f"{role} {function} {object_}"
                for role in roles
                for function in functions
                for object_ in objects
            )
            # An interpreter that may open nothing does not start.
            first = 1 if step not in _LIVES or error not in ("EMFILE", "ENOMEM") else 40
            yield Case(step, targets, error, FOR_EVER, first)


def all_cases(counts: Mapping[str, Mapping[str, int]]) -> list[Case]:
    """Every case there is, by what was counted at each step."""
    found: list[Case] = []
    for step, targets in counts.items():
        for target, calls in sorted(targets.items()):
            if is_site(step, target):
                found += cases_of(step, target, calls)
        found += troubles(step)
    return found


def sampled(cases: Iterable[Case], size: int, seed: int) -> list[Case]:
    """So many of them, in an order of the seed's.

    Two counts differ in some sites. So each case has its rank by its name alone (rendezvous
    hashing). A seed gives the same sample, but for those that were counted once only.
    """
    return sorted(cases, key=lambda case: _rank(case, seed))[:size]


def each_site(cases: Iterable[Case], seed: int) -> list[Case]:
    """One fault of every call site, which the seed chooses."""
    chosen: dict[tuple[str, str], Case] = {}
    for case in cases:
        if case.site is not None:
            before = chosen.setdefault(case.site, case)
            chosen[case.site] = min(before, case, key=lambda each: _rank(each, seed))
    return sampled(chosen.values(), len(chosen), seed)


def _rank(case: Case, seed: int) -> bytes:
    return sha256(f"{seed}|{case.name}".encode()).digest()
