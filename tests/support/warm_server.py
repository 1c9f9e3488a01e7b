"""Runs as a process of its own: imports a module once, and forks a process for each run of it.

    python -P -W error warm_server.py MODULE SOCKET

Each run is as ``python -m MODULE``: the module's own code is executed anew as ``__main__``. Only
what it imports was imported before, and what it would import late: sources of a daemon, subcommands
of a command. The process has the descriptors, folder, environment and
arguments that were asked for, in ``/proc`` as well. This process is its parent, and tells its end.

A keeper that runs so forks its daemon, where another one would execute it. The daemon has of the
keeper what is left by ``exec``: no handlers of signals, no descriptors that are closed on exec.
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import resource
import runpy
import signal
import socket
import sys
import termios
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from emperord.monitors.urls import MonitorURLError

_PR_SET_MM: Final = 35  # prctl(2)
_PR_SET_MM_MAP: Final = 14
_DAEMON: Final = "emperord.daemon.main"
_KEEPER: Final = "emperord.daemon.keeper"
_kept: list[object] = []  # the memory that the kernel shows as arguments and environment
_execute: Final = os.posix_spawn


def main() -> None:
    """Serve until the socket is closed. In a forked process: become the module, and return."""
    module = sys.argv[1]
    asked = socket.socket(fileno=int(sys.argv[2]))
    if module == _KEEPER:
        importlib.import_module(f"{_KEEPER}.main")
        module = _DAEMON
        vars(os)["posix_spawn"] = _spawn
    _import_all(module)
    asked.send(b"ready")
    while request := _received(asked):
        message, descriptors = request
        answer: Any
        if (pid := message.get("ended")) is not None:
            answer = _status(pid)
        else:
            _import_late(message["modules"])
            answer = os.fork()
            if answer == 0:
                asked.close()
                _become(message, descriptors)
                return
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(json.dumps(answer).encode())
    os._exit(0)


def _import_all(module: str) -> None:
    """Import what a run of the module imports, with all of its subcommands."""
    found = importlib.import_module(module)
    group = getattr(found, "cli", None)
    if isinstance(group, click.Group):
        for name in group.list_commands(context := click.Context(group)):
            group.get_command(context, name)
    del sys.modules[module]  # runpy is to execute it
    gc.freeze()


def _import_late(modules: Sequence[str]) -> None:
    """Import what a run would import late. If that fails, the run itself tells it."""
    for name in modules:
        if name not in sys.modules:
            with contextlib.suppress(ImportError, MonitorURLError):
                importlib.import_module(name)
                gc.freeze()


def _received(asked: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    length, descriptors, _, _ = socket.recv_fds(asked, 8, 3)
    if not length:
        return None
    wanted = int.from_bytes(length, "little")
    raw = bytearray()
    while len(raw) < wanted:
        raw += asked.recv(wanted - len(raw))
    return json.loads(raw), list(descriptors)


def _status(pid: int) -> int | None:
    """The wait status of a run that has ended."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return status if ended else None


def _become(message: dict[str, Any], descriptors: Sequence[int]) -> None:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        if descriptor > 2:
            os.close(descriptor)
    if message["leads"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(message["folder"])
    _have(message["argv"], message["environ"])


def _have(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Have these arguments of ``python -m``, and this environment."""
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = ["-m", *argv[argv.index("-m") + 2 :]]
    sys.orig_argv = list(argv)
    _show(argv, [f"{key}={value}" for key, value in environ.items()])


class _Daemon(BaseException):
    """Raised in the process that a keeper has forked: leaves the keeper's functions."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], mask: Any) -> None:
        self.argv, self.environ, self.mask = argv, environ, mask
        self.limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The keeper's functions close their own while they are left.
        self.inherited = {each: os.dup(each) for each in _open() if os.get_inheritable(each)}

    def become(self) -> None:
        """Have what ``exec`` leaves. Signals were blocked since the fork."""
        for number, duplicate in self.inherited.items():
            os.dup2(duplicate, number)
        for number in _open():
            if not os.get_inheritable(number):
                os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)
        signal.set_wakeup_fd(-1)
        for each in signal.valid_signals():
            if callable(signal.getsignal(each)):
                signal.signal(each, signal.SIG_DFL)
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        vars(os)["posix_spawn"] = _execute
        _have(self.argv, self.environ)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)


def _open() -> list[int]:
    """All open descriptors."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            fcntl.fcntl(int(name), fcntl.F_GETFD)
        except OSError:  # that of the listing itself
            continue
        found.append(int(name))
    return found


def _spawn(path: str, argv: list[str], environ: dict[str, str], **options: Any) -> int:
    """``posix_spawn`` in a keeper: fork its daemon, execute anything else."""
    if argv[:4] != [sys.executable, "-P", "-m", _DAEMON] or options != {"setsid": True}:
        return _execute(path, argv, environ, **options)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid == 0:
        os.setsid()
        raise _Daemon(argv, environ, mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _run(module: str) -> _Daemon | None:
    """Run it to its end. Returns only in a process that is to be a daemon."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except _Daemon as started:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the keeper's sockets are closed
            started.with_traceback(None)
            gc.collect()
        return started
    return None


class _Map(ctypes.Structure):
    """``struct prctl_mm_map`` of the kernel's prctl.h."""

    _fields_ = [
        *((f"of_{n}", ctypes.c_uint64) for n in range(7)),
        *((name, ctypes.c_uint64) for name in ("arg_start", "arg_end", "env_start", "env_end")),
        ("auxv", ctypes.c_uint64),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_int32),
    ]


def _show(argv: Sequence[str], environ: Sequence[str]) -> None:
    """Have the kernel show these as arguments and environment of this process (proc(5), stat)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # startcode to endcode, start_data to end_data, start_brk, brk, startstack
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sbrk.restype = ctypes.c_uint64
    of = [*map(int, (*fields[23:25], *fields[42:45])), libc.sbrk(0), int(fields[25])]
    shown = []
    for words in (argv, environ):
        text = b"".join(os.fsencode(word) + b"\0" for word in words)
        memory = ctypes.create_string_buffer(text, len(text))
        _kept.append(memory)
        shown += [ctypes.addressof(memory), ctypes.addressof(memory) + len(text)]
    wanted = _Map(*of, *shown, 0, 0, -1)
    size = ctypes.c_ulong(ctypes.sizeof(wanted))
    if libc.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.byref(wanted), size, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    main()
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    started = _run(module)
    if started is not None:
        started.become()
        _run(_DAEMON)
