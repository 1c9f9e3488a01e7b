"""The part of a config that is ours: ``[emperor]`` in .ini, a top-level ``emperor`` elsewhere.

uWSGI ignores it, so one file can hold both. ``sections.py`` finds it. Placeholders (``%n``,
``$(VAR)``) are not expanded. A section that cannot be read is a flaw, as an unknown key is. A flaw
bars the vassal, because without its section it could run as another user, or unchecked.

| key | |
|---|---|
| `command` | the program to run instead of uWSGI, split as a shell would |
| `reload` | how a change gets to it: `auto`, `signal`, `restart`, `replace` or `none` |
| `restart` | after which ends it is started again: `always`, `on-failure` or `no` |
| `success-exit-codes` | the exit codes of an end that is none of a failure, 0 to 255 |
| `canary` | whether it changes before others in a rollout: `no` or `yes` |
| `reload-signal` | what makes it reload: a signal's name, with or without SIG, or number |
| `stop-signal` | what makes it stop, likewise |
| `nofile`, `nproc` | how many files it may have open, and processes its user may have |
| `as` | how much memory each of its processes may address: bytes, or as `64M`, `1GiB` |

``world.py`` has the settings about the program's user, directory, variables, cgroup and stop.
``readiness.py`` has those about its start, ``listening.py`` those about its sockets,
``health.py`` those about its health.
``preflight.py`` has those about the check before a change, ``rollback.py`` that about one that
failed, ``replacing.py`` that about a new instance beside the old one.
"""

import functools
import re
import shlex
import signal
import unicodedata
from typing import Any, Final

from ..journal import quantities
from . import (
    health,
    internal_error,
    listening,
    names,
    preflight,
    readiness,
    replacing,
    rollback,
    sections,
    shell_words,
    world,
)
from .sections import Flaw, brief

LONGEST_COMMAND: Final = 32 << 10  # characters
LONGEST_VALUE: Final = 4 << 10  # characters of any other setting
MOST: Final = 1000  # settings of one config, repeated ones included
LIMITS: Final = ("nofile", "nproc", "as")
MARK: Final = "[emperor] "  # begins each flaw
_REMEMBERED: Final = 256  # texts of signals
# Settings that are one of a few words; the first is the default.
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "reload": ("auto", "signal", "restart", "replace", "none"),
    "restart": ("always", "on-failure", "no"),
    "canary": ("no", "yes"),
}
KEYS: Final = (
    "command", *CHOICES, "success-exit-codes", "reload-signal", "stop-signal", *LIMITS, *world.KEYS,
    *readiness.KEYS, *listening.KEYS, *preflight.KEYS, *health.KEYS, *rollback.KEYS,
    *replacing.KEYS,
)  # fmt: skip

_INSTANCE: Final = re.compile(r"[\w.:+-]+", re.ASCII)
_ADD_UP: Final = ("environment", "environment-file", "listen")  # the values of several lines

Settings = dict[str, str]


def read(name: str, content: bytes, *, whole: bool = True) -> tuple[Settings, str | None]:
    """The settings in the config ``content`` of the file ``name``, and what is wrong with them.

    The flaw is one printable line that names the key; with a flaw there are no settings. Settings
    that are not the ``whole`` ones of a vassal may lack those that they have to go with.
    """
    settings: Settings = {}
    instance = names.instance(name)
    try:
        for number, (key, value) in enumerate(sections.pairs(name, content)):
            if number == MOST:
                raise Flaw(f"has more than {MOST} settings")
            text = _checked(key, value, instance)
            if key in _ADD_UP and key in settings:
                text = f"{settings[key]} {text}"
                _check_length(key, len(text))
            settings[key] = text
        if whole:
            _check_together(settings)
    except Flaw as flaw:
        return {}, f"{MARK}{flaw}"
    except Exception as error:
        return {}, f"{MARK}{internal_error.log_and_describe(names.shown(name), error)}"
    return settings, None


@functools.lru_cache(_REMEMBERED)
def signal_number(text: str) -> int | None:
    """The number of a signal given as ``HUP``, ``SIGHUP`` or ``1``; None if there is none such."""
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) < 4 else 0
        return number if 0 < number < signal.NSIG else None
    wanted = text.upper()
    found = signal.Signals.__members__.get(wanted if wanted.startswith("SIG") else f"SIG{wanted}")
    return None if found is None else int(found)


def amount(text: str) -> int | None:
    """How much ``100``, ``64M`` and the like are; None if that is nothing to be limited to."""
    number = quantities.size(text)
    return number if number and number < 1 << 63 else None


def _checked(key: str, value: Any, instance: str) -> str:
    """The value as text, or Flaw if this key cannot have it."""
    if key not in KEYS:
        raise Flaw(f"{brief(key)}: no such setting, there are {', '.join(KEYS)}")
    text = _text(key, value)
    if instance and "%i" in text:
        text = _with_instance(key, text, instance)
    if not text:
        raise Flaw(f"{key}: has no value")
    _check_length(key, len(text))
    if any(
        unicodedata.category(character) in ("Cc", "Cs") for character in text if character != "\t"
    ):
        raise Flaw(f"{key}: has a control character or is not UTF-8")
    if key == "command":
        _check_command(text)
    elif key in CHOICES:
        if text not in CHOICES[key]:
            raise Flaw(f"{key}: {brief(text)} is none of {', '.join(CHOICES[key])}")
    elif key == "success-exit-codes":
        _check_codes(key, text)
    elif key in LIMITS:
        counts = key != "as"
        if amount(text) is None or (counts and not text.isdigit()):
            write = "a whole number" if counts else quantities.SIZES
            raise Flaw(f"{key}: {brief(text)} is no such limit; write {write}")
    elif key in world.KEYS:
        if (flaw := world.flaw(key, text)) is not None:
            raise Flaw(f"{key}: {flaw}")
    elif key in preflight.KEYS:
        if (flaw := preflight.flaw(key, text)) is not None:
            raise Flaw(f"{key}: {brief(text)} {flaw}")
    elif key in rollback.KEYS:
        if (flaw := rollback.flaw(text)) is not None:
            raise Flaw(f"{key}: {brief(text)} {flaw}")
    elif key in replacing.KEYS:
        if (flaw := replacing.flaw(text)) is not None:
            raise Flaw(f"{key}: {brief(text)} {flaw}")
    elif key in readiness.KEYS:
        if (flaw := readiness.flaw(key, text)) is not None:
            raise Flaw(f"{key}: {brief(text)} {flaw}")
    elif key in health.KEYS:
        if (flaw := health.flaw(key, text)) is not None:
            raise Flaw(f"{key}: {brief(text)} {flaw}")
    elif key in listening.KEYS:
        if (flaw := listening.flaw(key, text)) is not None:
            raise Flaw(f"{key}: {flaw}")
    elif signal_number(text) is None:
        raise Flaw(f"{key}: no signal is called {brief(text)}")
    return text


def _with_instance(key: str, text: str, instance: str) -> str:
    """The text with ``%i`` replaced by the instance of its name; ``%%i`` stands for ``%i``."""
    text, count = re.subn("(?<!%)%i", instance, text)
    if count and not _INSTANCE.fullmatch(instance):
        raise Flaw(f"{key}: %i is {brief(instance)}; it may have letters, digits and . : + _ -")
    return text.replace("%%i", "%i")


def _check_together(settings: Settings) -> None:
    """Raise Flaw for a setting that another one has to go with."""
    if "directory" in settings and "command" not in settings:
        raise Flaw("directory: is for a command; write chdir in [uwsgi] for uWSGI")
    if "ready" in settings and "command" not in settings:
        raise Flaw("ready: is for a command; uWSGI says by itself when it accepts")
    replaces = settings.get("reload") == replacing.REPLACE
    if "ready-timeout" in settings and "ready" not in settings and not replaces:
        raise Flaw("ready-timeout: needs ready as well")
    if "health" not in settings:
        for key in health.KEYS:
            if key in settings:
                raise Flaw(f"{key}: needs health as well")
    if "listen" not in settings:
        for key in listening.KEYS:
            if key in settings:
                raise Flaw(f"{key}: needs listen as well")
    else:
        _check_sum(settings["listen"])
    if "group" in settings and "user" not in settings:
        raise Flaw("group: needs user as well")
    for check in (preflight.flaw_of_all, replacing.flaw_of_all):
        if (flaw := check(settings)) is not None:
            raise Flaw(flaw)


def _check_sum(listen: str) -> None:
    """Raise Flaw for the addresses of several lines that do not go together."""
    if (flaw := listening.flaw("listen", listen)) is not None:
        raise Flaw(f"listen: {flaw}")


def _text(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return _number(key, value)
    if isinstance(value, list) and all(isinstance(word, str | int) for word in value):
        # Python refuses to write out a number of thousands of digits, so it is not written out.
        _check_length(key, sum(len(word) + 1 if isinstance(word, str) else 1 for word in value))
        return shlex.join(_number(key, word) if isinstance(word, int) else word for word in value)
    raise Flaw(f"{key}: has no value" if value is None else f"{key}: must be text")


def _number(key: str, value: int) -> str:
    if value.bit_length() > 64:
        raise Flaw(f"{key}: has a number of more than 64 bits")
    return str(value)


def _check_length(key: str, length: int) -> None:
    """Raise Flaw for a value that is too long to be looked at."""
    most = LONGEST_COMMAND if key == "command" else LONGEST_VALUE
    if length > most:
        raise Flaw(f"{key}: has {length} characters, {most} are allowed")


def _check_command(text: str) -> None:
    try:
        words = shell_words.split(text)
    except ValueError as error:
        raise Flaw(f"command: cannot be split into words: {error}") from None
    if not words or not words[0]:
        raise Flaw("command: names no program")


def _check_codes(key: str, text: str) -> None:
    for code in text.replace(",", " ").split():
        if not re.fullmatch(r"0|[1-9][0-9]{0,2}", code, re.ASCII) or int(code) > 255:
            raise Flaw(f"{key}: {brief(code)} is no exit code; write numbers from 0 to 255")
