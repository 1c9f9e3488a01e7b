"""The daemon is killed midway through a change of fifty vassals, and so is the next one.

Two vassals reload at once (``--max-starting 2``). Each of the first six accepts its new config.
The next two load theirs for as long as the incident takes, so forty-two wait. The daemon is killed,
the next one goes on, and it is killed with its keeper. Five vassals are changed a second time.
"""

import time
from pathlib import Path
from typing import Any

from support.kept import Emperor
from support.vassals import speaker_path

_COUNT = 50
_DONE = 6  # reloads that end


def make(folder: Path) -> dict[str, Any]:
    """Make the incident in a folder."""
    names = [f"app{number:02}.ini" for number in range(_COUNT)]
    options = ("--freq", "0.2", "--max-starting", "2", "--uwsgi", speaker_path(folder))
    with Emperor(folder, *options) as emperor:
        for name in names:
            (emperor.vassals / name).write_text("; release 1\nsay 1 5 17\n")
        emperor.start()
        for name in names:
            emperor.event("vassal_loyal", name)
        after = emperor.last_seq()
        gate = folder / "gate"
        # The first six alone: of more, the daemon may have others reload first.
        for name in names[:_DONE]:
            (emperor.vassals / name).write_text("; release 2\nsay 5\n")
        for name in names[:_DONE]:
            emperor.event("vassal_accepting", name, after=after)
        for name in names[_DONE:]:
            (emperor.vassals / name).write_text(f"; release 2\nawait {gate}\nsay 5\n")
        for name in names[_DONE:]:
            emperor.event("vassal_changed", name, after=after)
        emperor.until(lambda: len(_reloading(emperor)) == 2, "two load their new config")
        before = emperor.last_seq()
        killed = {"pid": emperor.kill_daemon(), "at": time.time()}
        emperor.next_ready(before)
        after = emperor.last_seq()
        for name in names[-5:]:
            (emperor.vassals / name).write_text(f"; release 3\nawait {gate}\nsay 5\n")
        for name in names[-5:]:
            emperor.event("vassal_changed", name, after=after)
        pids = {name: emperor.pid_of(name) for name in names}
        emperor.kill_daemon()
        emperor.kill()
    return {"killed": killed, "done": _DONE, "count": _COUNT, "pids": pids}


def _reloading(emperor: Emperor) -> list[str]:
    vassals = emperor.fleet().vassals.values()
    return [vassal.name for vassal in vassals if vassal.phase == "reloading"]
