"""Cgroups of attempts: the kernel knows the whole tree of a vassal, and kills it at once.

    BASE/IDENTITY.ATTEMPT.AT.HASH    an attempt's; the identity is the journal's, AT the time of the
                                     event that ordered the attempt, HASH that of the vassal's name
    BASE/daemon.PID                  daemon and keeper, where BASE was their own cgroup

A descendant can clear its environment, reset its limits and lead a session of its own. It cannot
leave its cgroup, because that takes the right to write to files of the daemon's user. An attempt
enters its cgroup before the first program runs that a tenant chose (``enter.py``). ``cgroup.kill``
ends it. ``cgroup.events`` reports when the last process is gone.

A process without a cgroup, or one that root moved out of it, is known by mark and tag as before
(``procfs.py``). No error here keeps a vassal from running. The log has the first one, ``status``
the last one.
"""

import errno
import hashlib
import logging
import os
import re
import select
import time
from collections.abc import Callable, Mapping
from typing import Final

import trio

from . import cgroup_base, cgroup_limits, procfs, threads, world
from . import cgroup_files as files

log = logging.getLogger("emperor.host")

_NAME: Final = re.compile(
    r"(?P<identity>[0-9a-f]{16})\.(?P<attempt>\d+)\.(?P<at>\d+)\.[0-9a-f]{16}"
)
_AGAIN: Final = 1.0  # seconds without news until a cgroup is killed once more
_LONG: Final = 5.0  # seconds after which it is said that a process does not die
_GONE: Final = (errno.ENOENT, errno.ENODEV)  # the cgroup was removed


class Cgroups:
    """The cgroups of a daemon's attempts, made in the directory ``base``; None: there are none."""

    def __init__(self, base: str | None = None, trouble: str | None = None) -> None:
        self.base = base
        self.trouble = trouble  # why attempts have none that should have one
        self.no_limits: str | None = None  # why vassals run without limits that they ask for
        self._mounts = _preferring(base) if base is not None else []
        self._shares = threads.Shares()

    # Making one

    def make(self, identity: str | None, mark: str, *, delegated: bool = False) -> str | None:
        """A new cgroup for an attempt; None where it has to do without. Blocks.

        The program may make cgroups below a ``delegated`` one, as an emperor does.
        """
        name = None if identity is None else name_of(identity, mark)
        if self.base is None or name is None:
            return None
        path = os.path.join(self.base, name)
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
        except OSError as error:
            self.complain(f"{path} cannot be made: {error.strerror}")
            return None
        if delegated:
            files.delegate(path)
        return path

    def complain(self, trouble: str) -> None:
        """Say once that a vassal runs without its cgroup."""
        if self.trouble is None:
            log.warning(
                "%s; vassals are ended by what their processes inherit, which these can remove",
                trouble,
            )
        self.trouble = trouble

    def limit(self, cgroup: str | None, settings: Mapping[str, str]) -> None:
        """Set the limits that a vassal asks for; say once why some cannot be. Blocks."""
        flaw = cgroup_limits.limit(cgroup, settings)
        if flaw is not None:
            if self.no_limits is None:
                log.warning("vassals run without limits of their cgroups: %s", flaw)
            self.no_limits = flaw

    # Finding one

    def find(self, mark: str, pid: int) -> str | None:
        """The cgroup of an attempt in which ``pid``, its leader, is; a former daemon made it."""
        wanted = name_of("", mark)
        path = files.path_of(pid) or "/"
        # An emperor that is a vassal has moved into a leaf below its cgroup.
        while wanted is not None and path != "/":
            name = os.path.basename(path)
            if name.endswith(wanted) and _NAME.fullmatch(name):
                return files.directory(path, self._mounts or files.mounts())
            path = os.path.dirname(path)
        return None

    def left_by(self, mark: str, identity: str | None) -> str | None:
        """The cgroup of an attempt in the base, for a leader that is not in it. Blocks."""
        name = None if identity is None else name_of(identity, mark)
        if self.base is None or name is None:
            return None
        path = os.path.join(self.base, name)
        return path if os.path.isdir(path) else None

    def of_attempt(self, pid: int) -> str | None:
        """The outermost cgroup of an attempt in the base that a process is in."""
        if self.base is None:
            return None
        inside = self.base.rstrip("/") + "/"
        path = self._directory_of(pid) or ""
        return inside + path[len(inside) :].split("/")[0] if path.startswith(inside) else None

    def holds(self, cgroup: str, pid: int) -> bool:
        """Whether a process, alive or a zombie, is in this cgroup or below it."""
        found = self._directory_of(pid)
        return found is not None and (found == cgroup or found.startswith(cgroup + "/"))

    def _directory_of(self, pid: int) -> str | None:
        path = files.path_of(pid)
        return None if path is None else files.directory(path, self._mounts or files.mounts())

    # Ending one

    def kill(self, cgroup: str) -> None:
        """Kill all that is in it. Blocks."""
        try:
            files.kill(cgroup)
        except OSError as error:
            if error.errno not in _GONE:
                self.complain(f"{cgroup} cannot be killed: {error.strerror}")

    async def end(self, cgroup: str, vassal: str, uid: int | None = None) -> set[int] | None:
        """Kill all that is in it, wait until that has died, and remove it.

        ``uid`` is the user in whose share of the threads that is done. Returns the pids that were
        killed, None if that failed.
        """
        killed: set[int] = set()
        try:
            if await self._shares.run_sync(uid, _is_over, cgroup, killed):
                return killed
            events = files.open_events(cgroup)
            try:
                await self._emptied(events, cgroup, vassal, uid)
            finally:
                os.close(events)
            await self._shares.run_sync(uid, files.remove, cgroup)
        except OSError as error:
            if error.errno not in _GONE:
                self.complain(f"{cgroup} cannot be ended: {error.strerror}")
                return None
        return killed

    async def _emptied(self, events: int, cgroup: str, vassal: str, uid: int | None) -> None:
        """Return when its ``events`` say that nothing lives in it."""
        since, told = trio.current_time(), False
        with select.epoll() as news:
            news.register(events, select.EPOLLPRI)
            while files.populated(events):
                with trio.move_on_after(_AGAIN) as waited:
                    await trio.lowlevel.wait_readable(news.fileno())
                if waited.cancelled_caught:
                    await self._shares.run_sync(uid, self.kill, cgroup)
                if not told and trio.current_time() - since > _LONG:
                    log.warning("%s: processes in %s do not die", vassal, cgroup)
                    told = True

    def discard(self, cgroup: str) -> None:
        """End and remove one of a start that failed. Blocks for a moment."""
        try:
            _end(cgroup)
        except OSError as error:
            log.debug("%s: %s", cgroup, error)  # the next daemon tries again

    def sweep(self, identity: str | None, keep: set[str], time_of: Callable[[int], int]) -> None:
        """End what former daemons left in the base, but for the cgroups to ``keep``. Blocks.

        ``time_of`` gives the ``at`` of an event of the journal, 0 where it has none. An attempt
        that the journal does not know is unjournaled (``unjournaled.py``), and none is touched.
        """
        if self.base is None or identity is None:
            return
        try:
            names = files.names_in(self.base)
        except OSError as error:
            self.complain(f"{self.base} cannot be listed: {error.strerror}")
            return
        for name in names:
            path = os.path.join(self.base, name)
            if path not in keep:
                try:
                    _sweep(path, identity, time_of)
                except OSError as error:
                    log.warning("%s: it cannot be ended: %s", path, error.strerror)

    # Daemon and keeper

    def move_in(self, keeper: int | None) -> None:
        """Move daemon and keeper into a leaf, where the base is their own cgroup. Blocks.

        A cgroup with processes cannot give controllers to those below it (the kernel's rule of no
        internal processes).
        """
        if self.base is None:
            return
        leaf = os.path.join(self.base, f"{cgroup_base.LEAF}{keeper or os.getpid()}")
        movers = {keeper or os.getpid(), os.getpid()}
        try:
            for pid in movers:
                if self._directory_of(pid) == self.base:
                    os.makedirs(leaf, exist_ok=True)
                    files.put(pid, leaf)
        except OSError as error:
            log.warning("%s: the daemon cannot move there: %s", leaf, error.strerror)

    def move_out(self) -> None:
        """Move them back at the end, and remove the leaf. Blocks."""
        if self.base is None:
            return
        leaf = None
        try:
            leaf = self._directory_of(os.getpid())
            if leaf in (None, self.base) or cgroup_base.outside_leaf(leaf) != self.base:
                return
            for pid in files.members(leaf):
                files.put(pid, self.base)
            os.rmdir(leaf)
        except OSError as error:  # the base has controllers: systemd removes all of it
            log.debug("%s: %s", leaf, error)


def entering(cgroup: str) -> list[str]:
    """The command that executes a program in this cgroup; the program follows it."""
    return world.entering(os.path.join(cgroup, "cgroup.procs"))


def is_entering(pid: int) -> bool:
    """Whether a process is still on its way into its cgroup."""
    return world.ENTER in procfs.arguments(pid)


def name_of(identity: str, mark: str) -> str | None:
    """The name of an attempt's cgroup; None for a mark that is none."""
    attempt, at, vassal = [*mark.split(".", 2), "", ""][:3]
    if not (attempt.isascii() and attempt.isdigit() and at.isascii() and at.isdigit() and vassal):
        return None
    digest = hashlib.blake2b(vassal.encode(errors="surrogateescape"), digest_size=8)
    return f"{identity}.{attempt}.{at}.{digest.hexdigest()}"


def _preferring(base: str) -> list[files.Mount]:
    """The mounts, that in which the base is first: paths are compared as texts."""
    return sorted(
        files.mounts(), key=lambda mount: base.startswith(mount.point) * -len(mount.point)
    )


def _sweep(cgroup: str, identity: str, time_of: Callable[[int], int]) -> None:
    """End a cgroup of a former daemon of this journal, and remove what others left empty."""
    name = os.path.basename(cgroup)
    _, _, pid = name.partition(".")
    known = _NAME.fullmatch(name)
    if known is None:
        ours = name.startswith((cgroup_base.LEAF, cgroup_base.PROBE)) and pid.isdigit()
        if ours and procfs.start_time(int(pid)) is None and not files.is_populated(cgroup):
            files.remove(cgroup)
    elif known["identity"] == identity:
        if time_of(int(known["attempt"])) == int(known["at"]):
            _end(cgroup)
        elif files.is_populated(cgroup):
            log.warning("%s: this journal does not know of the processes in it", cgroup)
        else:
            files.remove(cgroup)


def _is_over(cgroup: str, killed: set[int]) -> bool:
    """Remove it if nothing lives in it, as is usual; else kill what does. Raises OSError."""
    if files.is_populated(cgroup):
        killed |= files.all_members(cgroup)
        files.kill(cgroup)
        return False
    files.remove(cgroup)
    return True


def _end(cgroup: str) -> None:
    """The same, and wait for it a while. Raises OSError."""
    until = time.monotonic() + _LONG
    while not _is_over(cgroup, set()):
        if time.monotonic() > until:
            raise OSError(errno.EBUSY, "processes in it do not die", cgroup)
        time.sleep(0.005)
