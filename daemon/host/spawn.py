"""How a vassal's process is started: its user, its limits, its descriptors, its mark."""

import contextlib
import errno
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, Final

from ...journal.events import Fault, Spec
from ...journal.policy import Policy
from ..core.fleet import Vassal
from ..keeper.link import KeeperLink
from ..keeper.refusals import PASSING
from . import altered, cgroups, command, descriptors, leftovers, procfs
from .cgroups import Cgroups
from .listeners import Listeners
from .process import Process, kept_name
from .reap import kill_group
from .users import User, user_of
from .vassal_log import LogDirectory, log_file

_RESERVE: Final = 32  # descriptors that vassals leave to the daemon


class _Child(subprocess.Popen[bytes]):
    """A child that is in ``begun`` before it starts: Popen may fail when there is a process."""

    def __init__(self, begun: list["_Child"], argv: list[str], **how: Any) -> None:
        begun.append(self)
        self.held: Process | None = None
        super().__init__(argv, **how)

    @property
    def left(self) -> bool:
        """Whether there is a process, and nobody has waited for it."""
        started = getattr(self, "pid", None) is not None
        return started and (self.held is not None or self.returncode is None)


class Starter:
    """Starts vassals, one at a time. ``config_frame`` gives an inline config by its digest."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        logs: LogDirectory | None,
        config_frame: Callable[[str | None], bytes],
        environ: Mapping[str, str],
        nofile: tuple[int, int] | None,
        keeper: KeeperLink,
        listeners: Listeners,
        identity: Callable[[], str | None] = lambda: None,
        attempts: Cgroups | None = None,
    ) -> None:
        self._cgroups = Cgroups() if attempts is None else attempts
        self._identity = identity  # of the journal that orders the starts
        self._policy = policy
        self._logs = logs
        self._config_frame = config_frame
        self._environ = dict(environ)  # os.environ decodes all of it at each look
        self._nofile = nofile  # limits that vassals get back, where the daemon raised its own
        self._keeper = keeper
        self._listeners = listeners

    def start(self, vassal: Vassal, at: int) -> Process:
        """Start the process that was ordered ``at`` that time. Blocks, for a worker thread.

        Raises CannotRun and NoAccount for what cannot be, OSError for what failed.
        """
        assert vassal.attempt is not None
        assert vassal.running is not None
        user = user_of(vassal.running, self._policy())
        mark = procfs.mark(vassal.attempt, at, vassal.name)
        # What runs as another user may not make cgroups, so none is delegated to it.
        cgroup = self._cgroups.make(self._identity(), mark, delegated=user is None)
        try:
            running = self._start(vassal, mark, user, cgroup)
        except BaseException:
            if cgroup is not None:
                self._cgroups.discard(cgroup)
            raise
        running.cgroup = cgroup
        return running

    def _start(self, vassal: Vassal, mark: str, user: User | None, cgroup: str | None) -> Process:
        assert vassal.attempt is not None
        assert vassal.running is not None
        spec, policy = vassal.running, self._policy()
        argv = command.limited(
            command.argv(vassal.name, spec, policy),
            self._nofile,
            spec.cwd,
            spec.settings,
            brand=procfs.brand(mark) if procfs.can_brand() else None,
            user=user,
            enter=() if cgroup is None else cgroups.entering(cgroup),
        )
        log_start = self._logs.size(vassal.name) if self._logs is not None else 0
        opened: list[socket.socket] = []
        begun: list[_Child] = []
        stdin = self._stdin(vassal.name, spec)
        owner = None if user is None else (user.uid, user.gid)
        out = self._logs.open(vassal.name, owner) if self._logs is not None else None
        try:
            ours, theirs = _pair(opened)
            _check_room(theirs.fileno())
            config_ours, config_theirs = _pair(opened) if spec.path is None else (None, None)
            # Before there is a child: its sockets must not close, whenever we die.
            entrusted = [end.fileno() for end in (ours, config_ours) if end is not None]
            told = leftovers.about(mark, spec)
            self._keeper.keep(kept_name(vassal.name, vassal.attempt), entrusted, told)
            # uWSGI waits for its config from the first, so that is there before there is a child,
            # whenever we die.
            unsent = (
                b""
                if config_ours is None
                else self._first_config(spec, config_ours, vassal.monitor)
            )
            child = _Child(
                begun,
                argv,
                env=command.environment(
                    self._environ,
                    vassal.name,
                    spec,
                    mark,
                    theirs.fileno(),
                    None if config_theirs is None else config_theirs.fileno(),
                    user,
                    self._identity(),
                ),
                cwd=spec.cwd,
                stdin=stdin,
                stdout=out,
                stderr=out,
                # All our descriptors close on exec, and not a moment sooner: the journal's lock
                # must outlive the way from fork to exec.
                close_fds=False,
                start_new_session=True,
            )
            child.held = running = _hold(vassal, child)
            running.log_file = None if out is None else log_file(out)
            running.tell_keeper(self._keeper, pid=running.pid, start=running.started)
            theirs.close()
            if config_theirs is not None:
                config_theirs.close()
        except BaseException:
            self._keeper.drop(kept_name(vassal.name, vassal.attempt))
            for end in opened:
                with contextlib.suppress(OSError):  # it is closed nevertheless, as below
                    end.close()
            for child in begun:
                if child.left:
                    _end(child)
                if child.held is not None:
                    os.close(child.held.pidfd)
            raise
        finally:
            if out is not None:
                with contextlib.suppress(OSError):
                    os.close(out)
        running.mark, running.log_start = mark, log_start
        running.hold(ours, config_ours)
        running.unsent = unsent
        return running

    def _first_config(self, spec: Spec, end: socket.socket, source: str) -> bytes:
        """Send what a vassal reads first; what does not fit into the socket yet.

        Raises CannotRun where there is no config: uWSGI would wait for it for ever. A program that
        a ``command`` names needs none.
        """
        frame = self._config_frame(spec.config)
        if not frame and "command" not in spec.settings:
            raise command.CannotRun(f"{altered.NOT_THERE}; {altered.advice(source)}")
        return frame[end.send(frame) :]

    def _stdin(self, name: str, spec: Spec) -> int:
        """What is its standard input: its socket on demand, else nothing. Raises OSError."""
        if spec.socket is None:
            return subprocess.DEVNULL
        listener = self._listeners.get(name)
        if listener is None or listener.address != spec.socket:
            raise OSError(errno.ENOTCONN, "its socket on demand is not there")
        return listener.socket.fileno()


def _pair(opened: list[socket.socket]) -> tuple[socket.socket, socket.socket]:
    """Our end, which does not block, and the vassal's, which it inherits."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    opened += (ours, theirs)
    ours.setblocking(False)
    descriptors.refuse(ours)  # before there is a child that could send one
    theirs.set_inheritable(True)
    return ours, theirs


def _check_room(descriptor: int) -> None:
    """Raise OSError if vassals are about to use up the descriptors that the daemon lives on.

    The kernel gives the lowest free number, so a high one says that few are left.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and descriptor >= soft - _RESERVE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _hold(vassal: Vassal, child: subprocess.Popen[bytes]) -> Process:
    """Take hold of a new child. One that cannot be held is ended: nobody would know of it."""
    try:
        started = procfs.start_time(child.pid, dead_too=True)
        if started is None:
            raise OSError(errno.EMFILE, "its start time cannot be read")
        running = Process(vassal, child.pid, started, os.pidfd_open(child.pid))
    except OSError:
        _end(child)
        raise
    running.child = child
    child.returncode = 0  # it is reaped here; Popen shall neither wait for it nor warn of it
    return running


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child that nobody would know of, if it is not reaped yet."""
    child.returncode = 0  # Popen shall neither wait for it nor warn of it
    with contextlib.suppress(OSError):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # it is ours still
        kill_group(child.pid)
        os.kill(child.pid, signal.SIGKILL)  # it may not lead its group yet
        os.waitpid(child.pid, 0)


def error_text(error: OSError, cwd: str | None = None) -> tuple[str, Fault]:
    """What a failed spawn means: the vassal's own fault, or the machine's.

    ``cwd`` is the source's directory. One that is not there is about to be, or takes its vassals
    with it.
    """
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno == errno.ENOTCONN:
        return what, "interrupted"  # it begins anew, and so listens anew
    if error.errno in PASSING or (cwd is not None and error.filename == cwd):
        return f"cannot start it now: {what}", "resources"
    return f"cannot be executed: {what}", "exec"
