"""How a vassal's process is started: its user, its limits, its descriptors, its mark.

A start has several steps, and the daemon may be killed between any two of them. The order makes
each of these moments harmless:

- The keeper gets our ends of the socket pairs before there is a child. uWSGI ends when its
  emperor's socket closes, so the death of the daemon must not close it.
- The first frame of an inline config is in the socket before the child reads. uWSGI waits for it
  from its first moment.
- The tag of its mark is the child's from the fork on (``monitors/children.py``).
- The mark is in the child's environment from its exec on. So a daemon that died between fork and
  ``spawned`` leaves a process that the next one finds (``recovery.py``).
- The child is in a list before Popen makes it, because Popen may raise when the process exists
  already. Whatever fails, all that began is ended.

The lock of the journal has to outlive the way from fork to exec, so no descriptor of it is closed
before (``monitors/start_thread.py``). All descriptors of the daemon have close-on-exec.
"""

import contextlib
import errno
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from ...journal.events import Fault, Spec
from ...journal.policy import Policy
from ...monitors.children import Child
from ...monitors.defaults import lowered
from ...monitors.start_thread import Start
from ..core.fleet import Vassal
from ..keeper.refusals import PASSING
from . import altered, command, descriptors, notify_socket, procfs, unjournaled
from .context import HostContext
from .kept_sockets import names_of
from .notify_socket import NotifySocket
from .on_demand import OnDemand
from .process import Process, kept_name
from .reap import kill_group
from .users import User
from .uwsgi_choice import Choice
from .vassal_log import NoLog

_Begun = TypeVar("_Begun", bound=Child)

_RESERVE: Final = 32  # descriptors that vassals leave to the daemon


class _Child(Child):
    """A child that is in ``begun`` before it starts: Popen may fail when there is a process."""

    def __init__(self, begun: list["_Child"], argv: list[str], **how: Any) -> None:
        begun.append(self)
        self.process: Process | None = None
        super().__init__(argv, **how)

    @property
    def is_unreaped(self) -> bool:
        """Whether there is a process that was not waited for."""
        started = getattr(self, "pid", None) is not None
        return started and (self.process is not None or self.returncode is None)


class Starter:
    """Starts vassals, one at a time. ``config_frame`` gives an inline config by its digest."""

    def __init__(
        self,
        context: HostContext,
        config_frame: Callable[[str | None], bytes],
        environ: Mapping[str, str],
        nofile: tuple[int, int] | None,
        most: Mapping[str, str],
        on_demand: OnDemand,
    ) -> None:
        self._cgroups = context.cgroups
        self._identity = context.identity
        self._policy = context.policy
        self._logs = context.logs
        self._config_frame = config_frame
        self._inherited = command.Inherited(environ)
        self._nofile = nofile  # limits that vassals get back, where the daemon raised its own
        self._most = most  # the limits of all vassals, which a former config may exceed
        self._keeper = context.keeper
        self._listeners = on_demand.listeners
        self._kept_sockets = on_demand.kept
        self._copies = context.copies
        self._hooks = context.hooks
        self._starts = context.starts
        self._choice = Choice(context.config_text)
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._looked: set[str] = set()
        self._usual: str | None = None  # the program of vassals that name none

    def begin_run(self) -> None:
        """Starts follow, within a moment: each program is looked at once for all of them."""
        self._looked.clear()
        self._usual = None

    def start(self, vassal: Vassal, at: int, user: User | None) -> Process:
        """Start the process that was ordered ``at`` that time. Blocks, for a worker thread.

        ``user`` is whom it runs as, None for the daemon's own: all starts would wait for a lookup
        here (``accounts.py``). Raises CannotRun for what cannot be, OSError for what failed.
        """
        assert vassal.attempt is not None
        assert vassal.running is not None
        mark = procfs.mark(vassal.attempt, at, vassal.name)
        # A program of another user may not make cgroups, so none is delegated to it.
        cgroup = self._cgroups.make(self._identity(), mark, delegated=user is None)
        notify = None
        try:
            self._cgroups.limit(cgroup, lowered(vassal.running, self._most).settings)
            if notify_socket.is_wanted(vassal.running):
                notify = NotifySocket.make(self._keeper, mark, self._identity(), user)
            process = self._start(vassal, mark, user, cgroup, notify)
        except BaseException:
            self._copies.release((vassal.name, vassal.attempt))
            if cgroup is not None:
                self._cgroups.discard(cgroup)
            if notify is not None:
                notify.discard(self._keeper)
            raise
        process.cgroup, process.notify = cgroup, notify
        return process

    def _start(
        self,
        vassal: Vassal,
        mark: str,
        user: User | None,
        cgroup: str | None,
        notify: NotifySocket | None,
    ) -> Process:
        assert vassal.attempt is not None
        assert vassal.running is not None
        spec, name = vassal.running, kept_name(vassal.name, vassal.attempt)
        argv = self._argv(vassal, spec, user, cgroup)
        pairs = _Pairs()
        begun: list[_Child] = []
        stdin = self._stdin(vassal.name, spec)
        owner = None if user is None else (user.uid, user.gid)
        out = self._logs.open(vassal.name, owner) if self._logs is not None else None
        try:
            log = None if out is None or self._logs is None else self._logs.end(out)
            pairs.open(with_config=spec.path is None)
            # Before there is a child: its sockets must not close, whenever this daemon dies.
            self._keeper.keep(name, pairs.our_fds, unjournaled.about(mark, spec))
            # uWSGI waits for its config from the first. So the config, too, is there before.
            unsent = self._first_config(spec, pairs.config_ours, vassal.monitor)
            with self._starts.start() as start:
                environ = self._environ(vassal.name, spec, mark, user, pairs, start)
                if notify is not None:
                    environ |= notify.variables(self._policy().required_heartbeat)
                child = start.begin(
                    partial(
                        execute,
                        partial(_Child, begun),
                        argv,
                        tag=procfs.settable_tag(mark),
                        env=environ,
                        cwd=spec.cwd,
                        stdin=start.copy(stdin),
                        stdout=start.copy(1 if out is None else out),
                        stderr=start.copy(2 if out is None else out),
                        close_fds=False,  # they close on exec, and the locks not a moment sooner
                        start_new_session=True,
                    )
                )
            child.process = process = attach(vassal, child)
            if log is not None:
                process.log_file, process.log_start = log
            process.tell_keeper(self._keeper, pid=process.pid, start=process.started)
            pairs.close_theirs()
        except BaseException:
            self._keeper.drop(name)
            pairs.close()
            _end_all(begun)
            raise
        finally:
            if out is not None:
                with contextlib.suppress(OSError):
                    os.close(out)
        process.use_sockets(pairs.ours, pairs.config_ours)
        process.mark, process.unsent_frame = mark, unsent
        return process

    def _environ(
        self,
        name: str,
        spec: Spec,
        mark: str,
        user: User | None,
        pairs: "_Pairs",
        start: Start,
    ) -> dict[str, str]:
        """Its environment, with the numbers of the sockets that it inherits. Raises OSError."""
        config = pairs.config_theirs
        kept = self._kept_sockets.of(name, spec)
        return command.environment(
            self._inherited,
            name,
            spec,
            mark,
            start.inherit(pairs.theirs.fileno()),
            None if config is None else start.inherit(config.fileno()),
            user,
            self._identity(),
            ([start.inherit(each.socket.fileno()) for each in kept], list(names_of(kept))),
            self._hooks.before(name),
        )

    def _argv(self, vassal: Vassal, spec: Spec, user: User | None, cgroup: str | None) -> list[str]:
        """The program and all that is executed before it: limits, the user, the cgroup."""
        copy = None
        if spec.copy and vassal.attempt is not None:
            copy = self._copies.make((vassal.name, vassal.attempt), spec.config, user, to_run=True)
        policy = self._policy()
        argv = command.argv(vassal.name, spec, policy, copy, uwsgi=self._uwsgi(spec, policy))
        spec = lowered(spec, self._most)
        return command.of_attempt(
            argv,
            spec,
            self._nofile,
            user,
            cgroup,
            hooks=self._hooks.any_before,
            confinement=self._hooks.confinement,
            looked=self._looked,
        )

    def _uwsgi(self, spec: Spec, policy: Policy) -> str | None:
        """The program that uWSGI's vassals get; None where a command names one. CannotRun."""
        if "command" in spec.settings:
            return None
        chosen = self._choice.of(spec, policy)
        if chosen is None and self._usual is None:
            self._usual = command.program(policy)
        return chosen or self._usual

    def _first_config(self, spec: Spec, end: socket.socket | None, source: str) -> bytes:
        """Send the config that a vassal reads first; the rest that does not fit into the socket.

        Without a config socket (``end``) nothing is sent. Raises CannotRun where there is no
        config: uWSGI would wait for it for ever. A program that a ``command`` names needs none.
        """
        if end is None:
            return b""
        frame = self._config_frame(spec.config)
        if not frame and "command" not in spec.settings:
            raise command.CannotRun(f"{altered.NOT_THERE}; {altered.advice(source)}")
        return frame[end.send(frame) :]

    def _stdin(self, name: str, spec: Spec) -> int:
        """Its standard input: its socket on demand, else /dev/null. Raises OSError."""
        if spec.socket is None:
            return self._null
        listener = self._listeners.get(name)
        if listener is None or listener.address != spec.socket:
            raise OSError(errno.ENOTCONN, "its socket on demand is not there")
        return listener.socket.fileno()


class _Pairs:
    """The socket pairs of a new vassal: for orders and bytes, and for its config.

    Our ends do not block. The vassal inherits the others (``Start.inherit``).
    """

    ours: socket.socket
    theirs: socket.socket
    config_ours: socket.socket | None = None
    config_theirs: socket.socket | None = None

    def __init__(self) -> None:
        self._opened: list[socket.socket] = []

    def open(self, *, with_config: bool) -> None:
        """Make the pairs. Raises OSError."""
        self.ours, self.theirs = self._pair()
        _check_room(self.theirs.fileno())
        if with_config:
            self.config_ours, self.config_theirs = self._pair()

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._opened += (ours, theirs)
        ours.setblocking(False)
        descriptors.refuse(ours)  # before there is a child that could send one
        return ours, theirs

    @property
    def our_fds(self) -> list[int]:
        """The descriptors that are entrusted to the keeper."""
        return [end.fileno() for end in (self.ours, self.config_ours) if end is not None]

    def close_theirs(self) -> None:
        """The vassal has its ends."""
        self.theirs.close()
        if self.config_theirs is not None:
            self.config_theirs.close()

    def close(self) -> None:
        """Close all that was opened."""
        for end in self._opened:
            with contextlib.suppress(OSError):  # it is closed nevertheless
                end.close()


def raise_file_limit() -> tuple[int, int] | None:
    """Allow as many open files as may be; the limits to give vassals if that changed them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return None
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def _check_room(descriptor: int) -> None:
    """Raise OSError if vassals are about to use up the descriptors that the daemon lives on.

    The kernel gives the lowest free number, so a high one says that few are left.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and descriptor >= soft - _RESERVE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def execute(begin: Callable[..., _Begun], argv: list[str], **how: Any) -> _Begun:
    """Begin a child; a program that the kernel cannot execute is one for the shell.

    Raises OSError.
    """
    try:
        return begin(argv, **how)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    return begin(command.for_shell(argv), **how)


def attach(vassal: Vassal, child: subprocess.Popen[bytes]) -> Process:
    """Take hold of a new child. One that cannot be held is ended: it would run unknown.

    Raises OSError.
    """
    try:
        started = procfs.start_time(child.pid, dead_too=True)
        if started is None:
            raise OSError(errno.EMFILE, "its start time cannot be read")
        process = Process(vassal, child.pid, started, os.pidfd_open(child.pid))
    except OSError:
        _end(child)
        raise
    process.is_child = True
    child.returncode = 0  # it is reaped here; Popen shall neither wait for it nor warn of it
    return process


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child that was not recorded, if it is not reaped yet."""
    child.returncode = 0  # Popen shall neither wait for it nor warn of it
    with contextlib.suppress(OSError):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # it is ours still
        kill_group(child.pid)
        os.kill(child.pid, signal.SIGKILL)  # it may not lead its group yet
        os.waitpid(child.pid, 0)


def _end_all(begun: list[_Child]) -> None:
    """End what was begun of a start that failed."""
    for child in begun:
        if child.is_unreaped:
            _end(child)
        if child.process is not None:
            os.close(child.process.pidfd)


def error_text(error: OSError, cwd: str | None = None) -> tuple[str, Fault]:
    """The reason of a failed spawn, and its fault: the vassal's own, or the machine's.

    ``cwd`` is the source's directory. One that is not there is about to be, or takes its vassals
    with it.
    """
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if isinstance(error, NoLog):
        return f"cannot start it now: its log cannot be opened: {what}", "resources"
    if error.errno == errno.ENOTCONN:
        return what, "interrupted"  # it begins anew, and so listens anew
    if error.errno in PASSING or (cwd is not None and error.filename == cwd):
        return f"cannot start it now: {what}", "resources"
    return f"cannot be executed: {what}", "exec"
