"""An operator stops vassals and forgets two of them, while changes come.

``web.ini`` is stopped, then changed twice. ``mail.ini`` is stopped, changed, and started again.
``cron.ini`` is stopped. ``shop.ini`` is changed, removed, and comes back with its first text. The
daemon is replaced meanwhile.
"""

from pathlib import Path

from support.kept import Emperor
from support.vassals import shell

_NAMES = ("cron.ini", "mail.ini", "shop.ini", "web.ini")


def _text(release: int) -> str:
    return shell(f": release {release}; exec sleep 1000")


def make(folder: Path) -> None:
    """Make the incident in a folder."""
    with Emperor(folder, "--freq", "0.2") as emperor:
        for name in _NAMES:
            (emperor.vassals / name).write_text(_text(1))
        emperor.start()
        emperor.up(*_NAMES)
        for name in ("web.ini", "mail.ini", "cron.ini"):
            assert emperor.ctl("stop", name).returncode == 0
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
        assert emperor.ctl("start", "mail.ini").returncode == 0
        emperor.kill()


def _change(emperor: Emperor, name: str, release: int) -> None:
    after = emperor.last_seq()
    (emperor.vassals / name).write_text(_text(release))
    emperor.event("vassal_changed", name, after=after)
