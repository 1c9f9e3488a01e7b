"""Enters a cgroup and executes a program: PROCS PROGRAM [ARGUMENT]...

A vassal's process runs this first (``python -c``), as the daemon's user. PROCS is the file
``cgroup.procs`` of its cgroup. So each program that a tenant chooses begins within the cgroup.

A shell would be shorter, but dash drops variables such as ``a.b`` and adds ``PWD``. A function of
ours between fork and exec (``preexec_fn``) is not safe in a process with threads. ``posix`` and
``_signal`` stand for ``os`` and ``signal``, which take as long to import as Python to start.
"""

import _signal  # type: ignore[import-not-found]
import posix
import sys

_LONGEST = 1 << 22  # bytes of an environment; the kernel allows less (execve(2))


def main() -> None:
    """Without its cgroup the program runs all the same: the daemon looks and says so."""
    try:
        procs = posix.open(sys.argv[1], posix.O_WRONLY | posix.O_CLOEXEC)
        posix.write(procs, b"0")
    except OSError as error:
        _say(sys.argv[1], error)
    for ignored in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python does; the program may need them
        _signal.signal(ignored, _signal.SIG_DFL)
    argv = sys.argv[2:]
    environment = _environment()
    obstacle = _execute(argv, environment)
    _say(argv[0], obstacle)
    posix._exit(127 if isinstance(obstacle, FileNotFoundError) else 126)


def _environment() -> dict[bytes, bytes]:
    """As it was given: Python adds LC_CTYPE to its own where no locale is set (PEP 538)."""
    file = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
    text = b""
    while part := posix.read(file, _LONGEST):
        text += part
    pairs = (entry.partition(b"=") for entry in text.split(b"\0"))
    return {key: value for key, equals, value in pairs if equals}


def _execute(argv: list[str], environment: dict[bytes, bytes]) -> OSError:
    """Execute it as execvpe(3) does; return the error if nothing could be executed."""
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
    return obstacle


def _say(what: str, error: OSError) -> None:
    posix.write(2, f"emperor: {what}: {error.strerror}\n".encode(errors="surrogateescape"))


if __name__ == "__main__":
    main()
