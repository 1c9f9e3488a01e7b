"""Tyrant mode: directories are listed with the tenant's rights."""

import os
from pathlib import Path

import pytest
from emperord.monitors.registry import open_monitor
from support.tyrant import ALICE, ALICES, BOB

from ..watching import watching
from .files import TYRANT, closed, file_of, listed


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("over", ["link", "over/vassals"])
@pytest.mark.parametrize(
    ("whose", "mode", "lists"), [(ALICE, 0o755, True), (ALICE, 0o700, False), (0, 0o700, True)]
)
def test_a_directory_behind_a_link(
    ground: Path, whose: int, mode: int, lists: bool, over: str
) -> None:
    """Alice's leads only to what she can list; root's to anything."""
    (ground / "theirs").mkdir(mode=mode)
    (ground / "theirs").chmod(mode)
    (ground / "theirs" / "vassals").mkdir()
    (ground / "link").symlink_to("theirs/vassals" if over == "link" else "theirs")
    (ground / "over").symlink_to("theirs")
    for link in ("link", "over"):
        os.lchown(ground / link, whose, whose)
    path = ground / over
    denied = f"tyrant mode: uid {ALICE} may not read {path}/"
    assert listed(path) == ([] if lists else denied)


@pytest.mark.usefixtures("kernel")
def test_a_directory_without_links_is_roots_to_list(ground: Path) -> None:
    """Alice's mistake with her own directory does not end what runs."""
    closed(ground)
    os.chown(ground / "closed", ALICE, ALICES)
    (ground / "closed").chmod(0)
    assert listed(ground / "closed") == []


async def test_a_pattern_over_anothers_directory(ground: Path) -> None:
    """Its names are not told, and the others' vassals are."""
    for name, uid in (("alice", ALICE), ("bob", BOB)):
        home = ground / "home" / name
        (home / "vassals").mkdir(parents=True)
        file_of(home / "vassals" / "own.ini", uid, uid)
        os.chown(home / "vassals", uid, uid)
        os.chown(home, uid, uid)
    file_of(closed(ground) / "secret-name.ini", 0, 0, 0o600)
    (ground / "home" / "alice" / "vassals").rename(ground / "home" / "alice" / "aside")
    link = ground / "home" / "alice" / "vassals"
    link.symlink_to(ground / "closed")
    os.lchown(link, ALICE, ALICES)
    monitor = open_monitor(f"glob://{ground}/home/*/vassals/*.ini", TYRANT)
    async with watching(monitor) as watch:
        assert list(watch.seen) == [f"{ground}/home/bob/vassals/own.ini"]
        denied = f"tyrant mode: uid {ALICE} may not read {link}/"
        assert watch.refused == {f"{link}/": denied}
        link.unlink()
        link.symlink_to("aside")
        os.lchown(link, ALICE, ALICES)
        await watch.until(lambda: len(watch.seen) == 2)
