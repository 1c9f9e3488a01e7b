"""The request ``why``: for a client that may ask the daemon, and may not read its journal.

A story is told by ``emperor-replay`` in a process of its own, one at a time. So a long one keeps
neither the event loop nor the interpreter of the daemon from its work.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import trio

from ...monitors import children
from ...monitors.names import shown
from ..host import threads
from .server import Refused

_PATIENCE: Final = 20.0  # seconds for a story
_MOST: Final = 100  # names of one request
_PREFIX: Final = "emperor-replay: "
_DAMAGED: Final = 3
_one_at_a_time: Final = trio.CapacityLimiter(1)


async def why(journal: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer: ``lines``, or with ``"json": true`` the ``story``. Raises Refused."""
    names = request.get("names", [request.get("name")])
    if isinstance(names, list) and not 0 < len(names) <= _MOST:
        raise Refused(f"names: 1 to {_MOST}")
    if not isinstance(names, list) or not all(map(_is_name, names)):
        raise Refused("name: a text is needed, or names: a list of texts")
    told = request.get("json") is True
    return await threads.run_sync(_tell, journal, names, told, limiter=_one_at_a_time)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and "\0" not in name


def _tell(journal: str, names: list[str], as_json: bool) -> dict[str, Any]:
    form = ("--json",) if as_json else ()
    argv = [
        *(sys.executable, "-P", "-m", "emperord.replay.main", "--journal", journal, "why"),
        *("--live", *form, "--", *names),
    ]
    environ = {key: each for key, each in os.environ.items() if not key.startswith("EMPEROR")}
    try:
        quiet = subprocess.DEVNULL
        done = children.run(argv, timeout=_PATIENCE, env=environ, stdin=quiet)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Refused(f"the journal's story cannot be told: {shown(str(error))}") from None
    said = done.stderr.decode(errors="replace").strip().removeprefix(_PREFIX)
    if done.returncode not in (0, _DAMAGED) or not done.stdout:
        raise Refused(said or f"the journal's story ended with code {done.returncode}")
    complaint = {"complaint": said} if done.returncode == _DAMAGED else {}
    if as_json:
        return {"story": msgspec.json.decode(done.stdout), **complaint}
    return {"lines": done.stdout.decode(errors="replace").splitlines(), **complaint}
