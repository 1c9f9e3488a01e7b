"""What a vassal runs: argv, environment and signals, from its spec and the policy.

Pure, so that what would be run can be shown without running it.
"""

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from ..journal.events import Spec
from ..journal.policy import Policy
from .fleet import Vassal
from .process import MARK

_LOADERS: Final = {
    ".xml": "--xml",
    ".ini": "--ini",
    ".yml": "--yaml",
    ".yaml": "--yaml",
    ".js": "--json",
    ".json": "--json",
}
# Of the daemon's environment, what is the daemon's business alone.
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
    )
)


class CannotRun(Exception):
    """There is no program to run; the text says which and what to do."""


def find_uwsgi(policy: Policy) -> str:
    """The uWSGI binary: as told, else beside the running Python, else on PATH."""
    if policy.uwsgi is not None:
        if os.access(policy.uwsgi, os.X_OK):
            return policy.uwsgi
        raise CannotRun(f"--uwsgi {policy.uwsgi}: there is no such program")
    beside = os.path.join(os.path.dirname(sys.executable), "uwsgi")
    found = beside if os.access(beside, os.X_OK) else shutil.which("uwsgi")
    if found is None:
        raise CannotRun("uwsgi is neither beside Python nor on PATH; install it or give --uwsgi")
    return found


def loader(name: str, policy: Policy) -> str:
    """The uWSGI option that reads a config of this name."""
    if name.endswith(policy.extra_extension):
        return "--config"
    return _LOADERS.get(os.path.splitext(name)[1], "--inherit")


def uwsgi_argv(name: str, spec: Spec, policy: Policy) -> list[str]:
    """argv of a vassal that uWSGI runs, as upstream builds it. Raises CannotRun."""

    def options(option: str, values: tuple[str, ...]) -> Iterator[str]:
        for value in values:
            yield option
            yield value

    config = f"emperor://{name}" if spec.path is None else name
    if ":" in name and spec.path is not None:
        # uWSGI takes what follows the last colon for a section of the file.
        config += ":uwsgi"
    return [
        policy.wrapper or find_uwsgi(policy),
        *options("--inherit", policy.vassals_inherit_before),
        *options("--include", policy.vassals_include_before),
        *options("--set", policy.vassal_set),
        loader(name, policy),
        config,
        *options("--inherit", policy.vassals_inherit),
        *options("--include", policy.vassals_include),
    ]


def argv(name: str, spec: Spec, policy: Policy) -> list[str]:
    """What is executed for a vassal. Raises CannotRun."""
    command = spec.settings.get("command")
    return shlex.split(command) if command is not None else uwsgi_argv(name, spec, policy)


def limited(argv: list[str], nofile: tuple[int, int] | None) -> list[str]:
    """argv that starts the program with these limits of open files, soft and hard.

    The daemon may need more descriptors than a program should get: uWSGI closes every possible
    one at its start, and who uses select(2) breaks past 1024. Raises FileNotFoundError for a
    program that is not there, as executing it would have.
    """
    if nofile is None:
        return argv
    if shutil.which(argv[0]) is None:
        raise FileNotFoundError(2, "No such file or directory", argv[0])
    return ["prlimit", f"--nofile={nofile[0]}:{nofile[1]}", "--", *argv]


def environment(
    own: Mapping[str, str],
    name: str,
    mark: str,
    control_fd: int | None,
    config_fd: int | None,
) -> dict[str, str]:
    """The vassal's environment, from the daemon's ``own``.

    ``UWSGI_VASSAL_X`` becomes ``UWSGI_X``; the daemon's own settings do not get through.
    """
    passed = {
        key: value
        for key, value in own.items()
        if key not in _PRIVATE and not key.startswith(("UWSGI_VASSAL_", "EMPEROR_"))
    }
    for key, value in own.items():
        if key.startswith("UWSGI_VASSAL_"):
            passed["UWSGI_" + key.removeprefix("UWSGI_VASSAL_")] = value
    if control_fd is not None:
        passed["UWSGI_EMPEROR_FD"] = str(control_fd)
    if config_fd is not None:
        passed["UWSGI_EMPEROR_FD_CONFIG"] = str(config_fd)
    passed[MARK] = mark
    passed["EMPERORD_VASSAL"] = name
    return passed


def _signal(text: str) -> signal.Signals:
    if text.isdigit():
        return signal.Signals(int(text))
    return signal.Signals["SIG" + text.upper().removeprefix("SIG")]


def reload_signal(vassal: Vassal) -> signal.Signals:
    """What reloads it where no byte can."""
    assert vassal.running is not None
    return _signal(vassal.running.settings.get("reload-signal", "HUP"))


def stop_signal(vassal: Vassal) -> signal.Signals:
    """What stops it where no byte can. uWSGI reloads on TERM, so it gets QUIT."""
    assert vassal.running is not None
    return _signal(vassal.running.settings.get("stop-signal", "QUIT" if vassal.speaks else "TERM"))
