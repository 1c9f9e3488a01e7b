"""Keys of ``[Service]`` that become settings of a vassal.

Each function takes a line of its key, with specifiers expanded. Those of ``COMMANDS`` take all.
"""

import os
import pwd
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from ...monitors.settings import signal_number
from .found import Vassal
from .unit_words import DAY, duration, seconds

_KILL: Final = re.compile(
    r"(?:/usr)?(?:/bin/)?kill\s+(?:-s\s*|-)?(?:SIG)?([A-Z]+[0-9]*|[0-9]+)\s+\$\{?MAINPID\}?"
)
_RESTARTS: Final = {
    "no": ("no", ""),
    "always": ("always", ""),
    "on-failure": ("on-failure", ""),
    "on-success": ("always", "after a failure it is started again, too"),
    **dict.fromkeys(
        ("on-abnormal", "on-abort", "on-watchdog"),
        ("on-failure", "after an exit code that is no success it is started again, too"),
    ),
}
_STATUS: Final = {
    name.removeprefix("EX_"): getattr(os, name) for name in dir(os) if name.startswith("EX_")
}

_UP: Final = "its program counts as up once it runs; see ready"
Setter = Callable[[Vassal, str, str], None]


def _restart(vassal: Vassal, line: str, value: str) -> None:
    if value not in _RESTARTS:
        vassal.name_unfinished(line, "systemd has no such value")
    else:
        setting, says = _RESTARTS[value]
        vassal.take(line, ("restart", setting), says=says)


def _codes(vassal: Vassal, line: str, value: str, says: str = "") -> None:
    """Exit codes of an end that is none of a failure, beside 0."""
    words = value.split()
    codes = [str(_STATUS.get(word, word)) for word in words]
    numbers = [code for code in codes if code.isdigit()]
    if rest := [word for word, code in zip(words, codes, strict=True) if not code.isdigit()]:
        vassal.name_line(line, f"{', '.join(rest)}: an end by a signal is a failure here")
    before = vassal.value("success-exit-codes")
    both = dict.fromkeys((*(before or "0").split(), *numbers))
    if numbers:
        vassal.drop("success-exit-codes")
        vassal.take(line, ("success-exit-codes", " ".join(both)), says=says)


def _prevent(vassal: Vassal, line: str, value: str) -> None:
    _codes(vassal, line, value, "an end with one of these codes is no failure here")


def _timeouts(*keys: str) -> Setter:
    """The time of a start, of a stop, or of both, where no later line has given it."""

    def take(vassal: Vassal, line: str, value: str) -> None:
        has_ready = vassal.value("ready") is not None
        wanted = [key for key in keys if key != "ready-timeout" or has_ready]
        says = [] if len(wanted) == len(keys) else [_UP]
        amount = seconds(value) if wanted else Decimal(0)
        if amount is None:
            vassal.name_unfinished(line, "it is no time span")
            return
        time = duration(amount or Decimal(DAY))
        pairs = [(key, time) for key in wanted if vassal.value(key) is None]
        lost = [key for key in wanted if vassal.value(key) not in (None, time)]
        says += [f"a later line has the {key}" for key in lost]
        says += ["a day is the longest time"] if pairs and amount == DAY else []
        if lost and not pairs:
            vassal.name_line(line, "; ".join(says))
        else:
            vassal.take(line, *pairs, says="; ".join(says))

    return take


def _kill_mode(vassal: Vassal, line: str, value: str) -> None:
    if value == "mixed":
        vassal.take(line)
    elif value == "control-group":
        vassal.take(
            line,
            says="the stop signal goes to the program alone; what it leaves behind is killed when"
            " it has ended",
        )
    else:
        vassal.name_line(line, "all that a vassal leaves behind is killed when it has ended")


def _user(vassal: Vassal, line: str, value: str) -> None:
    if value in ("root", "0"):
        vassal.take(line, says="it runs as the daemon does")
    else:
        vassal.take(line, ("user", value))


def _group(vassal: Vassal, line: str, value: str) -> None:
    if vassal.value("user") is None:
        vassal.name_unfinished(line, "a group needs a user as well")
    else:
        vassal.take(line, ("group", value))


def _directory(vassal: Vassal, line: str, value: str) -> None:
    path = value.removeprefix("-")
    if path == "~":
        user = vassal.value("user")
        try:
            path = pwd.getpwnam(user or "root").pw_dir
        except KeyError:
            vassal.name_unfinished(line, f"there is no account {user} here; write its home")
            return
        vassal.take(line, ("directory", path), says="the home of its account here")
    elif value.startswith("-"):
        vassal.take(line, ("directory", path), says="it has to be there")
    else:
        vassal.take(line, ("directory", path))


def _limit(key: str) -> Setter:
    """A resource limit; of a soft and a hard one the hard one counts."""

    def take(vassal: Vassal, line: str, value: str) -> None:
        _, colon, hard = value.rpartition(":")
        if hard == "infinity":
            vassal.name_line(line, "a vassal has the limit of the daemon; give that one more")
        else:
            vassal.take(line, (key, hard), says="one limit for both" if colon else "")

    return take


def _of_cgroup(key: str) -> Setter:
    def take(vassal: Vassal, line: str, value: str) -> None:
        if value == "infinity":
            vassal.take(line)
        elif value.endswith("%") or not value[:1].isdigit():
            vassal.name_line(line, f"write a number, as {key} has no share of the machine")
        else:
            _once(vassal, line, (key, value), "MemoryMax= counts in its place, as for systemd")

    return take


def _watchdog(vassal: Vassal, line: str, value: str) -> None:
    if seconds(value):
        vassal.take(line, says="the time is the daemon's --required-heartbeat")
    else:
        vassal.take(line)


def _reload_signal(vassal: Vassal, line: str, value: str) -> None:
    if vassal.value("reload") is None:
        vassal.name_line(line, "it has no effect without Type=notify-reload")
    else:
        vassal.take(line, ("reload-signal", value))


def _kill_signal(vassal: Vassal, line: str, value: str) -> None:
    says = "ExecStop= sends another signal first, and that one counts"
    _once(vassal, line, ("stop-signal", value), says)


def _once(vassal: Vassal, line: str, pair: tuple[str, str], says: str) -> None:
    """Take a line, unless another one has given its setting. ``says`` which, if it differs."""
    before = vassal.value(pair[0])
    if before is None:
        vassal.take(line, pair)
    elif _same(before, pair[1]):
        vassal.take(line)
    else:
        vassal.name_line(line, says)


def _same(one: str, other: str) -> bool:
    """Whether two values are the same, or the same signal."""
    number = signal_number(one)
    return one == other or (number is not None and number == signal_number(other))


def _reload(vassal: Vassal, lines: Sequence[tuple[str, str]]) -> None:
    """Take the first line that sends a signal to the program, and no other beside it."""
    if vassal.value("reload") is not None:
        _after_signal(vassal, lines)
        return
    at = _first_kill(lines)
    for number, (line, value) in enumerate(lines):
        found = _kill(value)
        if at is None:
            pairs = [("reload", "restart")] if number == 0 else []
            vassal.take(line, *pairs, says="no command reloads a vassal; a change restarts it")
        elif found is not None and number == at:
            vassal.take(line, ("reload-signal", found[1]), ("reload", "signal"))
        else:
            vassal.name_line(
                line, "a reload is one signal, and no command; a preflight can check a change"
            )


def _after_signal(vassal: Vassal, lines: Sequence[tuple[str, str]]) -> None:
    """Name lines that systemd runs after the signal of Type=notify-reload."""
    own = vassal.value("reload-signal") or "HUP"
    for line, value in lines:
        found = _kill(value)
        if found is not None and _same(own, found[1]):
            vassal.take(line)
        else:
            vassal.name_line(line, f"a reload is the signal of Type=notify-reload alone ({own})")


def _stop(vassal: Vassal, lines: Sequence[tuple[str, str]]) -> None:
    """Take the first line that sends a signal to the program."""
    at = _first_kill(lines)
    for number, (line, value) in enumerate(lines):
        found = _kill(value)
        if found is not None and number == at:
            vassal.take(line, ("stop-signal", found[1]))
        elif found is not None:
            vassal.name_line(line, "one signal stops a vassal, and SIGKILL after stop-timeout")
        else:
            vassal.name_line(line, "the stop signal is sent instead; let the program end by that")


def _kill(value: str) -> re.Match[str] | None:
    return _KILL.fullmatch(value.lstrip("-@:+!|"))


def _first_kill(lines: Sequence[tuple[str, str]]) -> int | None:
    return next((at for at, (_, value) in enumerate(lines) if _kill(value)), None)


def _setting(name: str) -> Setter:
    return lambda vassal, line, value: vassal.take(line, (name, value))


# In the order in which they are taken: some look at settings of those before them.
SETTINGS: Final[dict[str, Setter]] = {
    "WorkingDirectory": _directory,
    "UMask": _setting("umask"),
    "Restart": _restart,
    "SuccessExitStatus": _codes,
    "RestartPreventExitStatus": _prevent,
    "ReloadSignal": _reload_signal,
    "KillMode": _kill_mode,
    "WatchdogSec": _watchdog,
    "LimitNOFILE": _limit("nofile"),
    "LimitNPROC": _limit("nproc"),
    "LimitAS": _limit("as"),
    "MemoryMax": _of_cgroup("memory-max"),
    "MemoryLimit": _of_cgroup("memory-max"),
    "CPUWeight": _of_cgroup("cpu-weight"),
    "TasksMax": _of_cgroup("tasks-max"),
}
NO_SPECIFIERS: Final = ("MemoryMax", "MemoryLimit", "TasksMax", "CPUWeight")
ADD_UP: Final = ("SuccessExitStatus", "RestartPreventExitStatus")  # all lines count
# From the last line to the first one, as TimeoutSec gives both times.
TIMEOUTS: Final[dict[str, Setter]] = {
    "TimeoutSec": _timeouts("ready-timeout", "stop-timeout"),
    "TimeoutStartSec": _timeouts("ready-timeout"),
    "TimeoutStopSec": _timeouts("stop-timeout"),
}
# All lines of one key at once, after the settings.
COMMANDS: Final[dict[str, Callable[[Vassal, Sequence[tuple[str, str]]], None]]] = {
    "ExecReload": _reload,
    "ExecStop": _stop,
}
# After the commands: systemd sends it when those of ExecStop have run.
LAST: Final[dict[str, Setter]] = {"KillSignal": _kill_signal}
USERS: Final[dict[str, Setter]] = {"User": _user, "Group": _group}
