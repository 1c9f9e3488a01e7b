"""Enters a cgroup, or a vassal's world, and executes a program: STEP PROGRAM [ARGUMENT]...

A vassal's process runs this (``python -c``) on its way to its program. STEP is one of two:

- A path: the file ``cgroup.procs`` of its cgroup. That is the first step, as the daemon's user. So
  each program that a tenant chooses begins within the cgroup.
- ``world``, or ``world:UID:GID:GROUPS``: it becomes that user first, without capabilities, as
  setpriv(1) does. The user may not be able to execute this Python, which root can. The variable
  EMPERORD_WORLD has the settings, a letter and a value each line (``world.py``). So the vassal's
  rights decide which files are read, and root runs nothing with its variables (LD_PRELOAD).
  There are hooks as well, which it runs one after the other (``hooks.py``).

A shell would be shorter, but dash drops variables such as ``a.b`` and adds ``PWD``. A function of
ours between fork and exec (``preexec_fn``) is not safe in a process with threads. ``posix`` and
``_signal`` stand for ``os`` and ``signal``, which take as long to import as Python to start.
"""

import _signal  # type: ignore[import-not-found]
import fcntl
import posix
import sys

_LONGEST = 1 << 22  # bytes of an environment; the kernel allows less (execve(2))
_EINVAL, _ENOEXEC = 22, 8
_FIRST = 3  # the first descriptor that sd_listen_fds(3) names
_HOOK_LIMIT = 30  # seconds that a hook may run
_DAEMONS = (b"EMPERORD_", b"UWSGI_EMPEROR_FD")  # variables that no setting changes


def main() -> None:
    """Take the step and execute the program."""
    step, argv = sys.argv[1], sys.argv[2:]
    environment = _environment()
    if step.startswith("/"):
        _enter_cgroup(step)
    else:
        _become(step.split(":")[1:])
        environment = _world(environment)
    for ignored in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python does; the program may need them
        _signal.signal(ignored, _signal.SIG_DFL)
    obstacle = _execute(argv, environment)
    _say(argv[0], obstacle.strerror)
    posix._exit(127 if isinstance(obstacle, FileNotFoundError) else 126)


def _enter_cgroup(procs: str) -> None:
    """Without its cgroup the program runs all the same: the daemon looks and says so."""
    try:
        descriptor = posix.open(procs, posix.O_WRONLY | posix.O_CLOEXEC)
        posix.write(descriptor, b"0")
    except OSError as error:
        _say(procs, error.strerror)


def _become(user: list[str]) -> None:
    """Take on group, groups and user. An error ends the process: it must not go on as root."""
    if user:
        uid, gid = int(user[0]), int(user[1])
        posix.setgroups([int(group) for group in user[2].split(",")])
        posix.setresgid(gid, gid, gid)
        posix.setresuid(uid, uid, uid)


def _world(environment: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The environment of the program; umask and directory are this process's own from now on."""
    given: dict[bytes, bytes] = {}
    of_file: dict[bytes, bytes] = {}
    sockets: dict[bytes, bytes] = {}
    hooks: list[tuple[bytes, list[str]]] = []
    for line in environment.pop(b"EMPERORD_WORLD", b"").split(b"\n"):
        letter, value = line[:1], line[1:]
        try:
            if letter == b"e":
                name, _, given[name] = value.partition(b"=")
            elif letter == b"f":
                of_file.update(_variables(value))
            elif letter == b"u":
                posix.umask(int(value, 8))
            elif letter == b"d":
                posix.chdir(value)
            elif letter in (b"l", b"L"):
                sockets = _sockets(value, environment)
                if letter == b"L":
                    del sockets[b"LISTEN_PID"]
            elif letter in (b"s", b"x"):
                hooks.append((letter, value.decode(errors="surrogateescape").split("\x1f")))
        except OSError as error:
            _say(value.decode(errors="surrogateescape"), error.strerror)
            posix._exit(126)
    kept = {name: environment[name] for name in environment if name.startswith(_DAEMONS)}
    for letter, words in hooks:
        its = {**environment, b"UWSGI_VASSALS_DIR": _directory(), **given, **of_file, **kept}
        flaw = _run_hook(words, {n: its[n] for n in its if not n.startswith(_DAEMONS[1])})
        if flaw is not None:
            _say(f"hook {words[-1] if letter == b'x' else words[0]}", flaw)
            if letter == b"x":
                posix._exit(1)
    return {**environment, **given, **of_file, **kept, **sockets}


def _directory() -> bytes:
    """The working directory; empty where it was removed."""
    try:
        return posix.getcwdb()
    except OSError:
        return b""


def _run_hook(words: list[str], environment: dict[bytes, bytes]) -> str | None:
    """Run a command to its end; what is wrong with that, None for a good one.

    It gets none of the sockets that are the program's, and is killed after its time.
    """
    child = posix.fork()
    if child == 0:
        posix.setpgid(0, 0)
        posix.dup2(posix.open("/dev/null", posix.O_RDONLY), 0)
        posix.closerange(_FIRST, posix.sysconf("SC_OPEN_MAX"))
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
        obstacle = _execute(words, environment)
        _say(words[0], obstacle.strerror)
        posix._exit(127)
    _signal.signal(_signal.SIGALRM, _time_out)
    _signal.alarm(_HOOK_LIMIT)
    try:
        _, status = posix.waitpid(child, 0)
    except TimeoutError:
        posix.kill(-child, _signal.SIGKILL)  # it led its group long ago
        posix.waitpid(child, 0)
        return f"it took longer than {_HOOK_LIMIT} s, so it was killed"
    finally:
        _signal.alarm(0)
        _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
    code = posix.waitstatus_to_exitcode(status)
    return None if code == 0 else f"it ended with status {code}"


def _time_out(*_: object) -> None:
    raise TimeoutError


def _sockets(value: bytes, environment: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Have the sockets at descriptors 3 and on; the variables of sd_listen_fds(3) for them."""
    numbers, _, names = value.partition(b":")
    given = [int(number) for number in numbers.split(b",")]
    after = _FIRST + len(given)
    aside = [fcntl.fcntl(number, fcntl.F_DUPFD, after) for number in given]
    for number in given:
        posix.close(number)
    for variable in (b"UWSGI_EMPEROR_FD", b"UWSGI_EMPEROR_FD_CONFIG"):
        number = int(environment.get(variable, after))
        if _FIRST <= number < after:
            moved = fcntl.fcntl(number, fcntl.F_DUPFD, after)
            environment[variable] = b"%d" % moved
            posix.close(number)
    for number, descriptor in enumerate(aside, _FIRST):
        posix.dup2(descriptor, number)
        posix.close(descriptor)
    return {
        b"LISTEN_FDS": b"%d" % len(given),
        b"LISTEN_PID": b"%d" % posix.getpid(),
        b"LISTEN_FDNAMES": names,
    }


def _variables(path: bytes) -> dict[bytes, bytes]:
    """The variables of an environment-file. No message has a value."""
    found: dict[bytes, bytes] = {}
    try:
        text = _content(path[1:] if path.startswith(b"-") else path)
    except FileNotFoundError:
        if path.startswith(b"-"):
            return {}
        raise
    for number, line in enumerate(text.split(b"\n"), 1):
        line = line.strip()
        if not line or line[:1] in b"#;":
            continue
        name, equals, value = line.partition(b"=")
        name, value = name.strip(), value.strip()
        if not equals or not name.replace(b"_", b"").isalnum() or b"\0" in value:
            raise OSError(_EINVAL, f"line {number} is no NAME=VALUE")
        if not name.startswith(_DAEMONS):
            found[name] = _plain(value)
    return found


def _content(path: bytes) -> bytes:
    """The text of a file. A FIFO is not waited for."""
    file = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    text = b""
    while part := posix.read(file, 1 << 16):
        text += part
        if len(text) > _LONGEST:
            raise OSError(_EINVAL, "it is too long")
    posix.close(file)
    return text


def _plain(value: bytes) -> bytes:
    """A value without the quotes around it. A backslash before a quote or a backslash goes, too."""
    quote = value[:1]
    if len(value) < 2 or quote not in (b"'", b'"') or value[-1:] != quote:
        return value
    inner = value[1:-1]
    if quote == b'"':
        inner = inner.replace(b"\\\\", b"\0").replace(b'\\"', b'"').replace(b"\0", b"\\")
    return inner


def _environment() -> dict[bytes, bytes]:
    """As it was given: Python adds LC_CTYPE to its own where no locale is set (PEP 538)."""
    file = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
    text = b""
    while part := posix.read(file, _LONGEST):
        text += part
    pairs = (entry.partition(b"=") for entry in text.split(b"\0"))
    return {key: value for key, equals, value in pairs if equals}


def _execute(argv: list[str], environment: dict[bytes, bytes]) -> OSError:
    """Execute it as execvpe(3) does; return the error if nothing could be executed.

    A file that the kernel cannot execute is a script for the shell.
    """
    folders = [""]
    if "/" not in argv[0]:
        path = environment.get(b"PATH", b"/bin:/usr/bin").decode(errors="surrogateescape")
        folders = [folder + "/" if folder else "" for folder in path.split(":")]
    obstacle: OSError = FileNotFoundError(2, "there is no such program")
    for folder in folders:
        try:
            posix.execve(folder + argv[0], argv, environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            obstacle = error
            if error.errno == _ENOEXEC:
                shell = ["/bin/sh", folder + argv[0], *argv[1:]]
                posix.execve(shell[0], shell, environment)
    return obstacle


def _say(what: str, flaw: str | None) -> None:
    posix.write(2, f"emperor: {what}: {flaw}\n".encode(errors="surrogateescape"))


if __name__ == "__main__":
    main()
