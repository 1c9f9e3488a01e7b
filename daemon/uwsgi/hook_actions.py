"""Hooks and mounts of uWSGI's Emperor as commands, and the namespaces that it makes.

| line | command |
|---|---|
| ``mount-as-vassal = TYPE WHAT WHERE [FLAGS [DATA]]`` | mount(8) |
| ``umount-as-vassal = WHERE [FLAGS]`` | umount(8) |
| ``hook-as-vassal = ACTION:ARGUMENT`` | that of the action, where a command can do it |

uWSGI calls mount(2) itself. Its flags have other names than the options of mount(8).
"""

import shlex
from collections.abc import Callable
from typing import Final

_PROPAGATION: Final = ("private", "shared")
_RECURSIVE: Final = ("rec", "recursive")
_OPTIONS: Final = {
    "dirsync": "dirsync", "mandlock": "mand", "noatime": "noatime", "nodev": "nodev",
    "noexec": "noexec", "nosuid": "nosuid", "rdonly": "ro", "readonly": "ro", "ro": "ro",
    "remount": "remount", "sync": "sync",
}  # fmt: skip
_UMOUNT: Final = {"force": "-f", "detach": "-l", "rec": "-R", "recursive": "-R"}


class NoCommand(Exception):
    """No command can stand for the line. The text says what to do."""


def of_mount(value: str) -> str:
    """The command for ``TYPE WHAT WHERE [FLAGS [DATA]]``. Raises NoCommand."""
    words = value.split(" ", 4)
    if len(words) < 3:
        raise NoCommand("write TYPE WHAT WHERE [FLAGS [DATA]]")
    kind, what, where = words[:3]
    flags = words[3].split(",") if len(words) > 3 else []
    recursive = any(flag in _RECURSIVE for flag in flags)
    moves = [flag for flag in flags if flag in (*_PROPAGATION, "bind", "move")]
    if unknown := [flag for flag in flags if flag not in (*_RECURSIVE, *moves, *_OPTIONS)]:
        raise NoCommand(f"{unknown[0]!r} is no flag of a mount; remove it")
    if len(moves) > 1:
        raise NoCommand(f"write a line each for {' and '.join(moves)}")
    options = [_OPTIONS[flag] for flag in flags if flag in _OPTIONS] + words[4:]
    command = ["mount"]
    if moves and moves[0] in _PROPAGATION:
        return shlex.join([*command, f"--make-{'r' * recursive}{moves[0]}", "--", where])
    if options:
        command += ["-o", ",".join(options)]
    if moves:
        command.append(f"--{'r' * recursive * (moves[0] == 'bind')}{moves[0]}")
    else:
        command += ["-t", kind]
    return shlex.join([*command, "--", what, where])


def of_umount(value: str) -> str:
    """The command for ``WHERE [FLAGS]``. Raises NoCommand."""
    where, _, text = value.partition(" ")
    flags = text.split(",") if text else []
    if unknown := [flag for flag in flags if flag not in _UMOUNT]:
        raise NoCommand(f"{unknown[0]!r} is no flag of an umount; remove it")
    return shlex.join(["umount", *dict.fromkeys(_UMOUNT[flag] for flag in flags), "--", where])


def of_hook(value: str) -> str:
    """The command for ``ACTION:ARGUMENT``. Raises NoCommand."""
    action, colon, argument = value.partition(":")
    if not colon:
        raise NoCommand("write ACTION:ARGUMENT, as exec:COMMAND")
    if action.startswith("!"):  # uWSGI writes its argument to no log
        raise NoCommand("a command that fails is told: keep its secret in a file, and write exec:")
    if action not in _ACTIONS:
        raise NoCommand(_ADVICE.get(action, "no command can do that; write exec:COMMAND"))
    return _ACTIONS[action](argument)


def namespaces(value: str) -> str:
    """The namespaces of ``emperor-use-clone`` that the daemon can make. Raises NoCommand."""
    if others := [each for each in value.split(",") if each.strip() in ("pid", "user")]:
        raise NoCommand(
            f"make the namespace {others[0].strip()} in a wrapper, by unshare(1): the daemon knows"
            " a vassal by its pid and its user"
        )
    return value


def _simple(program: str) -> Callable[[str], str]:
    return lambda argument: f"{program} {shlex.quote(argument)}"


def _two(argument: str, form: str) -> tuple[str, str]:
    first, space, rest = argument.partition(" ")
    if not space:
        raise NoCommand(f"write {form}")
    return shlex.quote(first), rest


def _written(sign: str, end: str) -> Callable[[str], str]:
    def command(argument: str) -> str:
        file, text = _two(argument, "FILE TEXT")
        return f"printf '%s{end}' {shlex.quote(text)} {sign} {file}"

    return command


def _chmod(argument: str) -> str:
    file, mode = _two(argument, "FILE MODE")
    return f"chmod -- {shlex.quote(mode)} {file}"


def _chown(argument: str) -> str:
    """Also for chown2, which does not take a number without an account."""
    file, owner = _two(argument, "FILE USER GROUP")
    user, group = _two(owner, "FILE USER GROUP")
    return f"chown -- {user}:{shlex.quote(group)} {file}"


_ACTIONS: Final[dict[str, Callable[[str], str]]] = {
    "exec": str,
    "safeexec": lambda argument: f"/bin/sh -c {shlex.quote(argument)} || true",
    "mount": of_mount,
    "umount": of_umount,
    "mkdir": _simple("mkdir --"),
    "unlink": _simple("unlink --"),
    "print": _simple("printf '%s\\n'"),
    "log": _simple("printf '%s\\n'"),
    "hostname": _simple("hostname --"),
    "create": _simple(": >"),
    "creat": _simple(": >"),
    "write": _written(">", ""),
    "writen": _written(">", "\\n"),
    "append": _written(">>", ""),
    "appendn": _written(">>", "\\n"),
    "chmod": _chmod,
    "chown": _chown,
    "chown2": _chown,
}
_SETTING: Final = "write {} into [emperor] of a file for vassal-defaults"
_ADVICE: Final = {
    "cd": _SETTING.format("directory"),
    "chdir": _SETTING.format("directory"),
    "putenv": _SETTING.format("environment"),
}
