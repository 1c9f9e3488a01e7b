"""The world of a vassal's program: what is executed before it, and the settings for that.

``enter.py`` applies them as the vassal's user, just before the program. Root executes other
programs before that, so no variable of the vassal is in the environment of those.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ...monitors import world
from ...monitors.tenant import Tenant

ENTER: Final = Path(__file__).with_name("enter.py").read_text()
_VARIABLE: Final = "EMPERORD_WORLD"


def entering(step: str) -> list[str]:
    """The command that takes a step of ``enter.py`` and executes the program that follows it."""
    return [sys.executable, "-I", "-S", "-c", ENTER, step]


def is_set(settings: Mapping[str, str]) -> bool:
    """Whether a program with these settings has a world of its own."""
    return any(key in settings for key in (*world.FIXED, "listen"))


def before(tenant: Tenant | None, setpriv: str) -> list[str]:
    """The arguments that go before a program with a world, and have it become the tenant."""
    if tenant is None:
        return entering("world")
    groups = ",".join(map(str, tenant.groups))
    return [
        setpriv, "--no-new-privs", "--", *entering(f"world:{tenant.uid}:{tenant.gid}:{groups}")
    ]  # fmt: skip


def variable(
    settings: Mapping[str, str],
    sockets: Sequence[int] = (),
    names: Sequence[str] = (),
    hooks: Sequence[str] = (),
) -> dict[str, str]:
    """The variable that has the settings, for the command of ``before``.

    ``sockets`` are descriptors that the program gets, with their ``names``. ``hooks`` are lines
    with commands that run before it (``hooks.py``).
    """
    lines = [*_lines(settings), *hooks]
    if sockets:
        # uWSGI would add each socket by itself, beside fd://3 of its config.
        letter = "l" if "command" in settings else "L"
        lines.append(f"{letter}{','.join(map(str, sockets))}:{':'.join(names)}")
    return {_VARIABLE: "\n".join(lines)} if lines else {}


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables that the settings themselves give."""
    return world.variables(settings.get("environment", ""))


def files(settings: Mapping[str, str]) -> list[str]:
    """The paths of the files with further variables; one that may be missing has a dash before."""
    return world.files(settings["environment-file"]) if "environment-file" in settings else []


def _lines(settings: Mapping[str, str]) -> Iterator[str]:
    for name, value in variables(settings).items():
        yield f"e{name}={value}"
    for path in files(settings):
        yield f"f{path}"
    for letter, key in (("u", "umask"), ("d", "directory")):
        if key in settings:
            yield letter + settings[key]
