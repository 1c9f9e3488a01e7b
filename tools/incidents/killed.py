"""A loyal vassal is killed again and again; others are killed by the emperor.

``shop.ini`` serves requests, and a stranger kills it nine times. ``deaf.ini`` takes no stop, so its
mercy runs out. ``mute.ini`` stops sending heartbeats. ``calm.ini`` runs through.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

from support.kept import Emperor
from support.vassals import speaker_path

_TEXTS = {
    "calm.ini": "; release 1\nsay 1 5 17\n",
    "deaf.ini": "; release 1\nsay 1 5 17\ndeaf\n",
    "mute.ini": "; release 1\nsay 1 5 17 26\n",
    "shop.ini": "; release 1\nsay 1 5 17\n",
}
_OPTIONS = (
    *("--freq", "0.2", "--throttle", "50", "--mercy", "0.5"),
    *("--required-heartbeat", "1", "--start-patience", "5"),
)


def make(folder: Path) -> dict[str, Any]:
    """Make the incident in a folder."""
    kills = []
    with Emperor(folder, *_OPTIONS, "--uwsgi", speaker_path(folder)) as emperor:
        for name, text in _TEXTS.items():
            (emperor.vassals / name).write_text(text)
        emperor.start()
        for name in _TEXTS:
            emperor.event("vassal_loyal", name)
        after = emperor.last_seq()
        deployed = time.time()
        (emperor.vassals / "shop.ini").write_text("; release 2\nsay 1 5 17\n")
        emperor.event("vassal_accepting", "shop.ini", after=after)
        for _ in range(9):
            after = emperor.last_seq()
            pid = emperor.pid_of("shop.ini")
            kills.append({"pid": pid, "at": time.time()})
            os.kill(pid, signal.SIGKILL)
            emperor.event("vassal_loyal", "shop.ini", after=after)
        emperor.ctl("stop", "deaf.ini")
        emperor.event("exited", "mute.ini")
        emperor.phase("mute.ini", "accepting")
        emperor.kill()
    return {"kills": kills, "deployed": deployed}
