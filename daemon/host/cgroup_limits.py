"""Limits of a vassal's cgroup: memory, share of the processors, number of tasks.

They need *controllers* of cgroup v2 (the kernel's Documentation/admin-guide/cgroup-v2.rst). A
controller works in a cgroup if ``cgroup.subtree_control`` of the cgroup above names it. The daemon
writes it there when the first vassal asks for it. It can be had if ``cgroup.controllers`` names it,
which systemd or another hierarchy decides. A vassal runs without a limit that cannot be set, and
the log says so once.
"""

import os
from collections.abc import Mapping
from typing import Final

from ...monitors.settings import amount
from ...monitors.world import CGROUP_LIMITS
from . import cgroup_files as files

_CONTROLLERS: Final = {"memory-max": "memory", "cpu-weight": "cpu", "tasks-max": "pids"}
_FILES: Final = {"memory-max": "memory.max", "cpu-weight": "cpu.weight", "tasks-max": "pids.max"}


def wanted(settings: Mapping[str, str]) -> dict[str, int]:
    """The limits that the settings ask for, by key."""
    found = {key: amount(settings[key]) for key in CGROUP_LIMITS if key in settings}
    return {key: number for key, number in found.items() if number is not None}


def limit(cgroup: str | None, settings: Mapping[str, str]) -> str | None:
    """Set the limits of an attempt's cgroup. Returns why some are not set. Blocks."""
    missing = [
        reason
        for key, number in wanted(settings).items()
        if (reason := _set(cgroup, key, number)) is not None
    ]
    return "; ".join(dict.fromkeys(missing)) or None


def _set(cgroup: str | None, key: str, number: int) -> str | None:
    if cgroup is None:
        return f"{key} is not set, because vassals have no cgroups here"
    try:
        if not os.path.exists(os.path.join(cgroup, _FILES[key])):
            _enable(os.path.dirname(cgroup), _CONTROLLERS[key])
        files.write(cgroup, _FILES[key], str(number))
    except OSError as error:
        return f"{key} is not set: {error.filename}: {error.strerror}"
    except LookupError as error:
        return f"{key} is not set: {error.args[0]}"
    return None


def _enable(base: str, controller: str) -> None:
    """Have a controller work in the cgroups of a base. Raises OSError, LookupError."""
    with open(os.path.join(base, "cgroup.controllers")) as file:
        if controller not in file.read().split():
            raise LookupError(f"{base} has no controller {controller}")
    files.write(base, "cgroup.subtree_control", f"+{controller}")
