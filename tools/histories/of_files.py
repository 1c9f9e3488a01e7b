"""Runs whose vassals are files: dir:// and glob://."""

import os
from pathlib import Path

from support.kept import Emperor
from support.vassals import SLEEPER, shell

QUICK = ("--freq", "0.2", "--throttle", "100")


def text(release: int) -> str:
    """The config of a program that runs until it is stopped."""
    return shell(f": release {release}; exec sleep 1000")


def put(folder: Path, name: str, content: str) -> None:
    """Write a config so that no daemon reads half of it."""
    made = folder.parent / f"{name}.new"
    made.write_text(content)
    os.replace(made, folder / name)


def dir_changes(folder: Path) -> None:
    """A directory: added, changed, touched, removed, added again."""
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "shop.ini", text(1))
        emperor.start()
        emperor.up("shop.ini")
        put(emperor.vassals, "mail.ini", text(1))
        emperor.up("mail.ini")
        put(emperor.vassals, "shop.ini", text(2))
        emperor.event("spawned", "shop.ini", count=2)
        os.utime(emperor.vassals / "mail.ini", (1, 1))
        emperor.event("spawned", "mail.ini", count=2)
        (emperor.vassals / "mail.ini").unlink()
        emperor.gone("mail.ini")
        put(emperor.vassals, "mail.ini", text(3))
        emperor.event("spawned", "mail.ini", count=3)
        emperor.stop()


def dir_formats(folder: Path) -> None:
    """A directory with a config of each format, and names that are no vassals."""
    contents = {
        "a.ini": SLEEPER,
        "b.yml": "emperor:\n  command: sleep 1000\n",
        "c.yaml": "emperor: {command: [sleep, 1000], stop-signal: INT}\n",
        "d.json": '{"emperor": {"command": "sleep 1000", "nofile": 64}}',
        "e.js": '{"emperor": {"command": "sleep 1000"}}',
        "f.xml": "<uwsgi><emperor><command>sleep 1000</command></emperor></uwsgi>",
    }
    with Emperor(folder, *QUICK) as emperor:
        for name, content in contents.items():
            put(emperor.vassals, name, content)
        put(emperor.vassals, "large.ini", "#" * ((1 << 20) + 1))
        put(emperor.vassals, "odd.ini", "[emperor]\nnonsense = 1\n")
        put(emperor.vassals, "signal.ini", "[emperor]\ncommand = sleep 9\nreload-signal = NO\n")
        emperor.start()
        emperor.up(*contents)
        put(emperor.vassals, "odd.ini", SLEEPER)
        emperor.up("odd.ini")
        emperor.stop()


def dir_outage(folder: Path) -> None:
    """A directory is not mounted for a while; its vassals run on."""
    with Emperor(folder, *QUICK) as emperor:
        put(emperor.vassals, "shop.ini", text(1))
        put(emperor.vassals, "mail.ini", text(1))
        emperor.start()
        emperor.up("shop.ini", "mail.ini")
        away = folder / "away"
        emperor.vassals.rename(away)
        emperor.event("monitor_failed")
        put(away, "mail.ini", text(2))
        away.rename(emperor.vassals)
        emperor.event("monitor_recovered")
        emperor.event("spawned", "mail.ini", count=2)
        emperor.stop()


def dir_doubted(folder: Path) -> None:
    """A listing lacks five of six vassals: it is doubted, and the next one is believed."""
    names = [f"shop{number}.ini" for number in range(6)]
    with Emperor(folder, *QUICK) as emperor:
        for name in names:
            put(emperor.vassals, name, text(1))
        emperor.start()
        emperor.up(*names)
        empty = folder / "empty"
        empty.mkdir()
        put(empty, names[0], text(1))
        emperor.vassals.rename(folder / "away")
        empty.rename(emperor.vassals)
        for name in names[1:]:
            emperor.gone(name)
        emperor.stop()


def glob_changes(folder: Path) -> None:
    """A pattern over two directories: added, changed, and gone with its directory."""
    for tenant in ("north", "south"):
        (folder / "tenants" / tenant).mkdir(parents=True)
    north, south = folder / "tenants/north/app.ini", folder / "tenants/south/app.ini"
    with Emperor(folder, *QUICK, monitors=[f"{folder}/tenants/*/app.ini"]) as emperor:
        put(north.parent, north.name, text(1))
        emperor.start()
        emperor.up(str(north))
        put(south.parent, south.name, text(1))
        emperor.up(str(south))
        put(north.parent, north.name, text(2))
        emperor.event("spawned", str(north), count=2)
        south.unlink()
        south.parent.rmdir()
        emperor.gone(str(south))
        emperor.stop()


def two_sources(folder: Path) -> None:
    """Two directories have one name: the one given first takes it over, and lets it go."""
    first = folder / "first"
    first.mkdir()
    with Emperor(folder, *QUICK) as emperor:
        emperor.monitors.insert(0, first)
        put(emperor.vassals, "app.ini", text(1))
        emperor.start()
        emperor.up("app.ini")
        put(first, "app.ini", text(2))
        emperor.event("spawned", "app.ini", count=2)
        put(emperor.vassals, "app.ini", text(3))
        emperor.event("observation_rejected")
        (first / "app.ini").unlink()
        emperor.event("spawned", "app.ini", count=3)
        emperor.stop()


RUNS = (dir_changes, dir_formats, dir_outage, dir_doubted, glob_changes, two_sources)
