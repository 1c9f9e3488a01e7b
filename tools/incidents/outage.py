"""A source is unreadable, then lists almost nothing.

Twelve vassals run from one directory, two from another. The first directory goes away, and what is
mounted in its place has one file of the twelve. The daemon doubts that listing, and believes the
next one. Then most files come back: one of them with an older text, one with a new one.
"""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from support.kept import Emperor
from support.vassals import shell

_SHOPS = [f"shop{number:02}.ini" for number in range(12)]
_TOOLS = ("cron.ini", "mail.ini")


def _text(release: int) -> str:
    return shell(f": release {release}; exec sleep 1000")


def make(folder: Path) -> dict[str, Any]:
    """Make the incident in a folder."""
    tools = folder / "tools"
    tools.mkdir(parents=True)
    with Emperor(folder, "--freq", "0.2") as emperor:
        emperor.monitors.append(tools)
        for name in _SHOPS:
            (emperor.vassals / name).write_text(_text(1))
        for name in _TOOLS:
            (tools / name).write_text(_text(1))
        emperor.start()
        emperor.up(*_SHOPS, *_TOOLS)
        after = emperor.last_seq()
        emperor.put(_SHOPS[3], _text(2))
        emperor.event("spawned", _SHOPS[3], after=after)
        away = folder / "away"
        gone = time.time()
        os.rename(emperor.vassals, away)
        emperor.event("monitor_failed")
        empty = folder / "empty"
        empty.mkdir()
        (empty / _SHOPS[0]).write_text(_text(1))
        os.rename(empty, emperor.vassals)
        back = time.time()
        for name in _SHOPS[1:]:
            emperor.gone(name)
        after = emperor.last_seq()
        for number, name in enumerate(_SHOPS[1:9], 1):
            emperor.put(name, _text({4: 3}.get(number, 1)))  # shop03 had release 2
        for name in _SHOPS[1:9]:
            emperor.event("spawned", name, after=after)
        emperor.kill()
    configs = [hashlib.sha256(_text(release).encode()).hexdigest() for release in (1, 2, 3)]
    return {"gone": gone, "back": back, "left": _SHOPS[1:], "configs": configs}
