"""The command of a vassal: argv, environment and signals, from its spec and the policy.

``emperor-ctl explain`` shows it, so nothing here starts a process.
"""

import errno
import functools
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ...journal.events import Spec
from ...journal.locked_files import NO_JOURNAL
from ...journal.policy import Policy
from ...monitors import shell_words
from ...monitors.names import instance as instance_of
from ...monitors.regular_file import Denied, NotRegular, located, reopened
from ...monitors.settings import LIMITS, LONGEST_COMMAND, amount, signal_number
from ...monitors.tenant import Tenant, become, passed
from ..keeper import stdio
from ..keeper.protocol import CHANNEL
from . import cgroups, magic, world
from .confinement import NONE, Confinement
from .procfs import IDENTITY, MARK
from .users import User

SEARCHED: Final = 32  # directories of a PATH that are looked at before a start
_LOADERS: Final = {
    ".xml": "--xml",
    ".ini": "--ini",
    ".yml": "--yaml",
    ".yaml": "--yaml",
    ".js": "--json",
    ".json": "--json",
}
# Why a config is given as it is.
_ORIGINS: Final = {
    "socket": "its config, over a socket",
    "file": "its name",
    "copy": "the copy of the text that may run",
}
# Variables of the daemon's environment that are meant for the daemon alone.
_PRIVATE: Final = frozenset(
    (
        "UWSGI_RELOADS",
        "UWSGI_EMPEROR_FD",
        "UWSGI_EMPEROR_FD_CONFIG",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "LISTEN_PID",
        # The unit's directories that the daemon has its own files in. An emperor that is a vassal
        # would take this daemon's journal for its own. RUNTIME_DIRECTORY gets through: vassals may
        # have sockets there, and each of our files there has a journal's identity as its name.
        "STATE_DIRECTORY",
        "LOGS_DIRECTORY",
        "CONFIGURATION_DIRECTORY",
        CHANNEL,
        stdio.FILE,
        stdio.FORM,
        stdio.FOLLOWED,
    )
)


class CannotRun(Exception):
    """There is no program to run; the text says which and what to do."""


def given_uwsgis(uwsgi: str) -> list[str]:
    """The paths that ``--uwsgi`` names: one, or several with a colon between them.

    They are relative to the daemon's working directory; the vassal's is another.
    """
    several = [] if os.path.exists(uwsgi) else uwsgi.split(":")
    return [os.path.abspath(path) for path in several or [uwsgi] if path]


def find_uwsgi(policy: Policy) -> str:
    """The uWSGI binary: as told, else beside the running Python, else on PATH."""
    if policy.uwsgi is not None:
        for path in given_uwsgis(policy.uwsgi):
            if is_program(path):
                return path
        raise CannotRun(f"--uwsgi {policy.uwsgi}: there is no such program")
    beside = os.path.join(os.path.dirname(sys.executable), "uwsgi")
    found = beside if os.access(beside, os.X_OK) else shutil.which("uwsgi")
    if found is None:
        raise CannotRun("uwsgi is neither beside Python nor on PATH; install it or give --uwsgi")
    return found


def is_program(path: str) -> bool:
    """Whether a file is there that may be executed."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def program(policy: Policy) -> str:
    """The program of vassals that name none: the wrapper, if there is one, else uWSGI.

    Raises CannotRun.
    """
    wrapper = policy.wrapper
    if wrapper is None:
        return find_uwsgi(policy)
    # Relative to the daemon's working directory, as everything on its command line.
    path = os.path.abspath(wrapper) if "/" in wrapper else shutil.which(wrapper)
    if path is None or not is_program(path):
        raise CannotRun(f"--wrapper {wrapper}: there is no such program")
    return path


def loader(name: str, policy: Policy) -> str:
    """The uWSGI option that reads a config of this name."""
    if name.endswith(policy.extra_extension):
        return "--config"
    return _LOADERS.get(os.path.splitext(name)[1], "--inherit")


class Argument(NamedTuple):
    """One argument of a command line, and the setting that put it there."""

    text: str
    origin: str


def arguments(
    name: str, spec: Spec, policy: Policy, copy: str | None = None, *, uwsgi: str | None = None
) -> list[Argument]:
    """The command line of a vassal, each argument with its origin. Raises CannotRun.

    ``copy`` is the path of the copy of its config that it is to run from. ``uwsgi`` is a binary
    that was chosen in place of the usual one.
    """
    command = spec.settings.get("command")
    if command is not None:
        return [Argument(word, "command in its [emperor] section") for word in _split(command)]
    return _uwsgi(name, spec, policy, copy, uwsgi)


def _split(command: str) -> list[str]:
    """The words of a command. Raises CannotRun for one that a former version let through."""
    if len(command) > LONGEST_COMMAND:
        raise CannotRun(f"its command has {len(command)} characters, {LONGEST_COMMAND} are allowed")
    return shell_words.split(command)


def _uwsgi(
    name: str, spec: Spec, policy: Policy, copy: str | None, uwsgi: str | None
) -> list[Argument]:
    """argv of a vassal that uWSGI runs, as upstream builds it. Raises CannotRun."""

    def options(option: str, values: tuple[str, ...], origin: str) -> Iterator[Argument]:
        for value in values:
            yield Argument(option, origin)
            yield Argument(value, origin)

    config = f"emperor://{name}" if spec.path is None else copy or name
    if ":" in config.removeprefix("emperor://"):
        # uWSGI takes what follows the last colon for a section, of an inline config too.
        config += ":uwsgi"
    which = "--wrapper" if policy.wrapper else "--uwsgi" if policy.uwsgi else "uWSGI as found"
    if uwsgi is not None:
        which = "the uWSGI that has its plugins"
    return [
        Argument(uwsgi or program(policy), which),
        *options("--inherit", policy.vassals_inherit_before, "--vassals-inherit-before"),
        *options("--include", policy.vassals_include_before, "--vassals-include-before"),
        *options("--set", policy.vassal_set, "--vassal-set"),
        Argument(loader(name, policy), "the ending of its name"),
        Argument(config, _ORIGINS["socket" if spec.path is None else "copy" if copy else "file"]),
        *options("--inherit", policy.vassals_inherit, "--vassals-inherit"),
        *options("--include", policy.vassals_include, "--vassals-include"),
    ]


def argv(
    name: str, spec: Spec, policy: Policy, copy: str | None = None, *, uwsgi: str | None = None
) -> list[str]:
    """The command line of a vassal. Raises CannotRun."""
    return [argument.text for argument in arguments(name, spec, policy, copy, uwsgi=uwsgi)]


def of_attempt(
    argv: list[str],
    spec: Spec,
    nofile: tuple[int, int] | None,
    user: User | None,
    cgroup: str | None,
    *,
    hooks: bool = False,
    confinement: Confinement = NONE,
    looked: set[str] | None = None,
) -> list[str]:
    """argv and all that is executed before it: limits, the user, the cgroup.

    ``hooks``: its environment has hooks that run before it. ``looked`` are programs of which the
    daemon knows that they can be executed, by absolute path. It adds to them.

    A vassal's program and its checks are started by it. Raises OSError as ``limited`` does.
    """
    within = _located(confinement.entering())
    return limited(
        argv,
        nofile,
        spec.cwd,
        spec.settings,
        user=user,
        enter=[*([] if cgroup is None else cgroups.entering(cgroup)), *within],
        last=_located(confinement.bounding()) if user is None else (),
        hooks=hooks,
        looked=looked,
    )


def limited(
    argv: list[str],
    nofile: tuple[int, int] | None,
    cwd: str | None,
    settings: Mapping[str, str] | None = None,
    *,
    user: User | None = None,
    enter: Sequence[str] = (),
    last: Sequence[str] = (),
    hooks: bool = False,
    looked: set[str] | None = None,
) -> list[str]:
    """argv that starts the program, in ``cwd``, with these limits of open files, soft and hard.

    ``settings`` may have limits of the vassal's own. A vassal of another ``user`` becomes that one
    first (see ``users.py``), after what has to ``enter`` a cgroup (see ``cgroups.py``). The words
    of ``last`` come after all that.

    The daemon may need more descriptors than a program should get. uWSGI closes every possible one
    at its start, and programs that use select(2) break past 1024.

    Raises the OSError that executing the program would raise. The exit code of a program before it
    would not name the cause. Without one, the daemon holds the interpreter's lock until the exec. A
    file system that does not answer holds up this look first, which is made without the lock.
    """
    limits = {} if nofile is None else {"nofile": f"{nofile[0]}:{nofile[1]}"}
    settings = settings or {}
    for key in LIMITS:
        if key in settings:
            limits[key] = str(amount(settings[key]))
    before, rights = list(enter), None if user is None else user.rights
    if hooks or world.is_set(settings):
        # The program's own PATH holds from there on.
        before += world.before(rights, _tool("setpriv"))
    elif rights is not None:
        before += become(rights, _tool("setpriv"))
        if not limits:
            # setpriv looks for its program while it still has root's capabilities.
            before += _plainly()
    if limits:
        before += [_tool("prlimit"), *(f"--{key}={value}" for key, value in limits.items()), "--"]
    before += last
    known = looked if rights is None and os.path.isabs(argv[0]) else None
    if known is None or argv[0] not in known:
        check(argv[0], cwd, settings, rights)
    if known is not None:
        known.add(argv[0])
    return before + argv


def for_shell(argv: Sequence[str]) -> list[str]:
    """argv by which the shell runs a program that the kernel cannot execute (ENOEXEC).

    So does execvp(3), by which each program that comes before another one executes it.
    """
    return [*_plainly(), *argv]


def _plainly() -> list[str]:
    """A program that changes nothing, and executes another one by execvp(3)."""
    return [_tool("nice"), "-n", "0", "--"]


def check(
    name: str, cwd: str | None, settings: Mapping[str, str], tenant: Tenant | None = None
) -> None:
    """Raise the OSError with which executing a program with these settings would fail.

    Only its process reads an ``environment-file``, which may have another PATH.
    """
    if "/" in name:
        name = os.path.join(settings.get("directory", ""), name)
    elif "environment-file" in settings:
        return
    check_program(name, cwd or "", tenant, world.variables(settings).get("PATH"))


def _located(words: list[str]) -> list[str]:
    """The command with the absolute path of its program, a tool of the system."""
    return [_tool(words[0]), *words[1:]] if words else []


def _tool(name: str) -> str:
    """The absolute path of a program of the system, because it runs in another directory."""
    path = _found(name, os.environ.get("PATH"))
    if path is None or not os.path.exists(path):
        _found.cache_clear()
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return path


@functools.cache
def _found(name: str, path: str | None) -> str | None:
    """Where a program is on this PATH. Each start asks for one, so the answer is kept."""
    found = shutil.which(name, path=path)
    return None if found is None else os.path.abspath(found)


def check_program(
    name: str, cwd: str, tenant: Tenant | None = None, search: str | None = None
) -> None:
    """Raise the OSError with which executing a program in ``cwd`` would fail.

    It is looked for on the PATH ``search``; None: on that which vassals get from the daemon.
    In tyrant mode the tenant names the program, so the tenant's rights decide what is told of it.
    If the first ``SEARCHED`` directories of a longer PATH lack the program, nothing is raised. Its
    process searches the others, because other starts wait for this look.
    """
    paths = [name]
    if "/" not in name:  # as execvp(3)
        environment = passed(os.environ) if search is None else {"PATH": search}
        paths = [os.path.join(each, name) for each in os.get_exec_path(environment)]
    at = os.open(cwd or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    obstacle = errno.ENOENT
    try:
        for path in paths[:SEARCHED]:
            found = _obstacle(path, at, tenant)
            if found == 0:
                return
            if found not in (errno.ENOENT, errno.ENOTDIR):
                obstacle = found
    finally:
        os.close(at)
    if len(paths) > SEARCHED:
        return
    raise OSError(obstacle, os.strerror(obstacle), name)


def _obstacle(path: str, at: int, tenant: Tenant | None) -> int:
    """The errno with which the tenant's execve(2) in the directory ``at`` would fail, or 0."""
    try:
        # The files of a journal (0600) are no programs, so none is read here.
        with located(path, tenant, locked=NO_JOURNAL, at=at) as place:
            if not os.access(f"/proc/self/fd/{place}", os.X_OK, effective_ids=tenant is not None):
                return errno.EACCES
            start = _start_of(place)
            words = start.partition(b"\n")[0][2:].split() if start.startswith(b"#!") else []
            if words:
                os.stat(words[0], dir_fd=at)
    except (Denied, NotRegular):
        return errno.EACCES
    except OSError as error:
        return error.errno or errno.EACCES
    return 0


def _start_of(place: int) -> bytes:
    """The first bytes of a program; none if it cannot be read. Raises OSError."""
    try:
        descriptor = reopened(place)
    except PermissionError:
        return b""
    try:
        return os.read(descriptor, 256)
    finally:
        os.close(descriptor)


class Inherited:
    """The daemon's environment ``own``, as programs of vassals get it. It is sorted out once."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self.passed = for_others(own)
        self.settings = {key: value for key, value in own.items() if key.startswith(magic.PREFIX)}


def inherited_variables(
    own: Inherited, name: str, spec: Spec, user: User | None = None
) -> dict[str, str]:
    """The part of the daemon's environment ``own`` that programs of the vassal get. May block.

    ``UWSGI_VASSAL_X`` becomes ``UWSGI_X`` (see ``magic.py``); the daemon's own settings do not get
    through. A vassal of another ``user`` gets little else.
    """
    passed = dict(own.passed) if user is None else user.environment(own.passed)
    if own.settings:
        for its, (value, _) in magic.inherited(own.settings, name, spec, user).items():
            if its not in _PRIVATE:
                passed[its] = value
    return passed


def for_others(own: Mapping[str, str]) -> dict[str, str]:
    """The part of the daemon's environment ``own`` that is not meant for itself."""
    return {
        key: value
        for key, value in own.items()
        if key not in _PRIVATE and not key.startswith((magic.PREFIX, "EMPEROR_"))
    }


def environment(
    own: Inherited,
    name: str,
    spec: Spec,
    mark: str,
    control_fd: int | None,
    config_fd: int | None,
    user: User | None = None,
    identity: str | None = None,
    sockets: tuple[Sequence[int], Sequence[str]] = ((), ()),
    hooks: Sequence[str] = (),
) -> dict[str, str]:
    """The environment of a vassal, its checks and its preflights, from the daemon's ``own``.

    ``sockets`` are the descriptors that the program gets, and their names. ``hooks`` are those that
    run before it. Blocks where that asks for accounts.
    """
    passed = inherited_variables(own, name, spec, user)
    if control_fd is not None:
        passed["UWSGI_EMPEROR_FD"] = str(control_fd)
    if config_fd is not None:
        passed["UWSGI_EMPEROR_FD_CONFIG"] = str(config_fd)
    passed[MARK] = mark
    passed["EMPERORD_VASSAL"] = name
    passed.pop("EMPERORD_INSTANCE", None)
    if (instance := instance_of(name)) != "":
        passed["EMPERORD_INSTANCE"] = instance
    passed.pop(IDENTITY, None)
    if identity is not None:
        passed[IDENTITY] = identity
    return passed | world.variable(spec.settings, *sockets, hooks)


def _signal(text: str) -> int:
    number = signal_number(text)
    assert number is not None  # the monitor has looked at it
    return number


def reload_signal(spec: Spec) -> int:
    """The signal that reloads it, where no byte can."""
    return _signal(spec.settings.get("reload-signal", "HUP"))


def stop_signal(spec: Spec) -> int:
    """The signal that stops it, where no byte can. uWSGI reloads on TERM, so it gets QUIT."""
    usual = "TERM" if "command" in spec.settings else "QUIT"
    return _signal(spec.settings.get("stop-signal", usual))
