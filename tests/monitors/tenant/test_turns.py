"""Tyrant mode: the files of one directory are looked at in turns of their owners."""

import os
from itertools import count
from pathlib import Path

import msgspec
import pytest
from emperord.monitors.files.directory import Directory
from emperord.monitors.files.file_state import Found
from emperord.monitors.files.reader import Reader
from emperord.monitors.files.watcher import FileMonitor
from emperord.monitors.files.watches import Watches
from support.tyrant import ALICE, ALICES, BOB, BOBS

from ..watching import NEVER, OFTEN, SLOW, Blind, Watching, watching
from .files import TYRANT, file_of

MANY = 20  # files, of which each takes some 50 ms
WATCHES = {"told by events": (NEVER, Watches), "found by rescans": (OFTEN, Blind)}


def monitor_of(vassals: Path, freq: float, make_watches: type[Watches]) -> FileMonitor:
    options = msgspec.structs.replace(TYRANT, freq=freq)
    return FileMonitor("dir://", Directory(str(vassals)), options, make_watches=make_watches)


def of_alice(watch: Watching) -> int:
    """How many of alice's vassals were told."""
    return sum(name.startswith("alice") for name in watch.seen)


def listed_last(vassals: Path) -> Path:
    """A new file of bob's that a listing of the directory has after all others."""
    for number in count():
        path = file_of(vassals / f"bob{number}.ini", BOB, BOBS)
        if os.listdir(vassals)[-1] == path.name:
            return path
        path.unlink()
    raise AssertionError


@pytest.mark.parametrize(("freq", "make_watches"), WATCHES.values(), ids=WATCHES)
async def test_a_new_file_of_another_user_is_looked_at_in_its_turn(
    freq: float, make_watches: type[Watches], ground: Path
) -> None:
    """The owner of a new file is not known from an earlier look."""
    vassals = ground / "vassals"
    async with watching(monitor_of(vassals, freq, make_watches)) as watch:
        for number in range(MANY):
            file_of(vassals / f"alice{number}.yml", ALICE, ALICES, text=SLOW)
        bobs = listed_last(vassals)
        await watch.until(lambda: bobs.name in watch.seen)
        assert of_alice(watch) < MANY / 2
        await watch.until(lambda: of_alice(watch) == MANY)


def test_a_symlink_has_the_turn_of_the_user_who_made_it(ground: Path) -> None:
    """Otherwise the files of the user to whom it leads would wait for it."""
    link = ground / "vassals" / "link.ini"
    link.symlink_to(file_of(ground / "bob.ini", BOB, BOBS))
    os.lchown(link, ALICE, ALICES)
    reader = Reader(TYRANT, str(link.parent))
    directory = os.open(link.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        step = (directory, str(link.parent), link.name)
        sight = reader.look(link.name, step, None, lambda _: None)
    finally:
        os.close(directory)
    assert isinstance(sight, Found)
    assert (sight.record.seen.spec.uid, sight.record.owner) == (BOB, ALICE)
