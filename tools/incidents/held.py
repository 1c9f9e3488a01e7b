"""An operator stops vassals and forgets two of them, while changes come.

``web.ini`` is stopped, then changed twice. ``mail.ini`` is stopped, changed, and started again.
``cron.ini`` is stopped. ``shop.ini`` is changed, removed, and comes back with its first text. The
daemon is replaced meanwhile.
"""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from support.kept import Emperor
from support.vassals import shell

_NAMES = ("cron.ini", "mail.ini", "shop.ini", "web.ini")


def _text(release: int) -> str:
    return shell(f": release {release}; exec sleep 1000")


def make(folder: Path) -> dict[str, Any]:
    """Make the incident in a folder."""
    stopped = {}
    with Emperor(folder, "--freq", "0.2") as emperor:
        for name in _NAMES:
            (emperor.vassals / name).write_text(_text(1))
        emperor.start()
        emperor.up(*_NAMES)
        for name in ("web.ini", "mail.ini", "cron.ini"):
            stopped[name] = time.time()
            done = emperor.ctl("stop", name, "--reason", f"{name} fills the disk")
            assert done.returncode == 0, done.stderr
        for release in (2, 3):
            _change(emperor, "web.ini", release)
        _change(emperor, "shop.ini", 2)
        _change(emperor, "mail.ini", 2)
        (emperor.vassals / "shop.ini").unlink()
        emperor.gone("shop.ini")
        (emperor.vassals / "shop.ini").write_text(_text(1))
        emperor.event("vassal_added", "shop.ini", after=emperor.event("vassal_removed").seq)
        assert emperor.ctl("retry", "web.ini").returncode == 1  # it is held, which no retry ends
        emperor.restart()
        started = time.time()
        assert emperor.ctl("start", "mail.ini").returncode == 0
        emperor.kill()
    configs = [hashlib.sha256(_text(release).encode()).hexdigest() for release in (1, 2, 3)]
    return {"stopped": stopped, "started": started, "configs": configs, "uid": os.getuid()}


def _change(emperor: Emperor, name: str, release: int) -> None:
    after = emperor.last_seq()
    (emperor.vassals / name).write_text(_text(release))
    emperor.event("vassal_changed", name, after=after)
