"""A bad deploy crash-loops, and the third edit fixes it.

``shop.ini`` and nine others run release 1. Release 2 of ``shop.ini`` reads a module that is not
there, and dies at its start. Two edits do not help, and an operator says retry between them. The
third edit does. ``blog.ini`` has the bad line, too, and nothing has reloaded it yet: it is held.
"""

from pathlib import Path

from support.kept import Emperor
from support.vassals import shell

_OTHERS = [f"app{number}.ini" for number in range(8)]


def _text(module: str, comment: str = "release 1") -> str:
    """A program that dies at once where its module is one that is not there."""
    checks = (
        f'case {module} in *2) echo "Traceback (most recent call last):" >&2;'
        f' echo "ModuleNotFoundError: {module}" >&2; exit 1;; esac; exec sleep 1000'
    )
    return f"; {comment}\n{shell(checks)}"


_GOOD = _text("shop.checkout")
_BAD = _text("shop.checkout2", "release 2")


def make(folder: Path) -> None:
    """Make the incident in a folder."""
    options = ("--freq", "0.2", "--throttle", "500")
    with Emperor(folder, *options) as emperor:
        for name in ("blog.ini", "shop.ini", *_OTHERS):
            (emperor.vassals / name).write_text(_GOOD)
        emperor.start()
        emperor.up("blog.ini", "shop.ini", *_OTHERS)
        assert emperor.ctl("stop", "blog.ini").returncode == 0
        emperor.event("exited", "blog.ini")
        for name in ("app0.ini", "app1.ini"):
            emperor.put(name, _text("shop.checkout", "worker limit raised"))
        emperor.put("blog.ini", _BAD)
        _edit(emperor, _BAD)
        _dies(emperor, 2)
        _edit(emperor, _text("shop.checkout2", "cache off"))
        _dies(emperor, 3)  # it waits 2 s now, and the retry must not find it started again
        assert emperor.ctl("retry", "shop.ini", "--no-wait").returncode == 0
        _dies(emperor, 1)
        _edit(emperor, _text("shop.checkout2", "cache on, more workers"))
        _dies(emperor, 2)
        after = emperor.last_seq()
        _edit(emperor, _text("shop.checkout", "release 2, repaired"))
        emperor.event("spawned", "shop.ini", after=after)
        for name in _OTHERS[2:]:
            after = emperor.last_seq()
            emperor.put(name, _text("shop.checkout", "worker limit raised"))
            emperor.event("spawned", name, after=after)
        emperor.kill()


def _edit(emperor: Emperor, text: str) -> None:
    after = emperor.last_seq()
    emperor.put("shop.ini", text)
    emperor.event("vassal_changed", "shop.ini", after=after)


def _dies(emperor: Emperor, times: int) -> None:
    for _ in range(times):
        emperor.event("exited", "shop.ini", after=emperor.last_seq())
