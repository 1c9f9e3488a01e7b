"""A bad deploy crash-loops, and the third edit fixes it.

``shop.ini`` and nine others run release 1. Release 2 of ``shop.ini`` reads a module that is not
there, and dies at its start. Two edits do not help, and an operator says retry between them. The
third edit does. ``blog.ini`` has the bad line, too, and nothing has reloaded it yet: it is held.
The program notes its own deaths.
"""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from support.kept import Emperor
from support.vassals import shell

_OTHERS = [f"app{number}.ini" for number in range(8)]
_PROOF = 1.0  # seconds


class _Texts:
    """Configs of a program that dies at once where its module is one that is not there."""

    def __init__(self, folder: Path) -> None:
        self.died = folder / "died"  # a line for each death: pid and time
        self.good = self.of("shop.checkout")
        self.bad = self.of("shop.checkout2", "release 2")

    def of(self, module: str, comment: str = "release 1") -> str:
        checks = (
            f"case {module} in *2) echo $$ $(date +%s.%N) >> {self.died};"
            ' echo "Traceback (most recent call last):" >&2;'
            f' echo "ModuleNotFoundError: {module}" >&2; exit 1;; esac; exec sleep 1000'
        )
        return f"; {comment}\n{shell(checks)}"


def make(folder: Path) -> dict[str, Any]:
    """Make the incident in a folder."""
    texts = _Texts(folder)
    options = ("--freq", "0.2", "--throttle", "500")
    edits = []
    with Emperor(folder, *options) as emperor:
        for name in ("blog.ini", "shop.ini", *_OTHERS):
            (emperor.vassals / name).write_text(texts.good)
        emperor.start()
        emperor.up("blog.ini", "shop.ini", *_OTHERS)
        assert emperor.ctl("stop", "blog.ini").returncode == 0
        emperor.event("exited", "blog.ini")
        for name in ("app0.ini", "app1.ini"):
            emperor.put(name, texts.of("shop.checkout", "worker limit raised"))
        emperor.put("blog.ini", texts.bad)
        edits.append(_edit(emperor, texts.bad))
        _dies(emperor, 2)
        edits.append(_edit(emperor, texts.of("shop.checkout2", "cache off")))
        _dies(emperor, 3)  # it waits 2 s now, and the retry must not find it started again
        assert emperor.ctl("retry", "shop.ini", "--no-wait").returncode == 0
        _dies(emperor, 1)
        edits.append(_edit(emperor, texts.of("shop.checkout2", "cache on, more workers")))
        _dies(emperor, 2)
        after = emperor.last_seq()
        edits.append(_edit(emperor, texts.of("shop.checkout", "release 2, repaired")))
        emperor.event("spawned", "shop.ini", after=after)
        repaired = time.time()
        # It counts as up when it has run twice as long as any that died; a busy machine is slow.
        emperor.until(lambda: time.time() > repaired + _PROOF, "the repaired one has run")
        for name in _OTHERS[2:]:
            after = emperor.last_seq()
            emperor.put(name, texts.of("shop.checkout", "worker limit raised"))
            emperor.event("spawned", name, after=after)
        emperor.kill()
    deaths = [line.split() for line in texts.died.read_text().splitlines()]
    return {
        "deaths": [{"pid": int(pid), "at": float(at)} for pid, at in deaths],
        "edits": edits,
        "good": _digest(texts.good),
        "repaired": repaired,
        "uid": os.getuid(),
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _edit(emperor: Emperor, text: str) -> dict[str, Any]:
    after = emperor.last_seq()
    at = time.time()
    emperor.put("shop.ini", text)
    emperor.event("vassal_changed", "shop.ini", after=after)
    return {"at": at, "config": _digest(text)}


def _dies(emperor: Emperor, times: int) -> None:
    for _ in range(times):
        emperor.event("exited", "shop.ini", after=emperor.last_seq())
