"""Whatever happens to files, in whatever order: in the end what is seen is what is there."""

import os
import random
from pathlib import Path

import pytest
import trio
from emperord.journal.chain import digest

from ..sources import Files
from ..watching import watching
from .test_changes import KINDS, SEEN_BY, make, put_over, switch

NAMES = ("a.ini", "b.yml", "c.json", "d.ini")


def is_shared(path: Path) -> bool:
    """Whether the file has another hard link: inotify tells of a write only where it was opened."""
    return path.exists() and path.stat().st_nlink > 1


def happen(chance: random.Random, folder: Path, outside: Path, *, rescans: bool) -> None:
    """One thing that people and programs do to a directory of configs.

    Only a rescan finds what a write through one hard link does to another one.
    """
    path = folder / chance.choice(NAMES)
    text = str(chance.random())
    target = outside / chance.choice("xyz")
    match chance.randrange(9):
        case 0 | 1 if rescans or not is_shared(path):
            path.write_text(text)
        case 0 | 1 | 2:
            put_over(path, text, 10**18)
        case 3:
            path.unlink(missing_ok=True)
        case 4 if rescans or not is_shared(target):
            target.write_text(text)
        case 5:
            switch(path, target)
        case 6:
            path.unlink(missing_ok=True)
            path.symlink_to(target)
        case 7:
            if rescans or not is_shared(target):
                target.touch()
            path.unlink(missing_ok=True)
            os.link(target, path)
        case 8:
            other = folder / chance.choice(NAMES)
            if os.path.lexists(path) and other != path:
                path.rename(other)


def what_is_there(source: Files) -> dict[str, tuple[int, str]]:
    """Base name -> time and digest, by plain means."""
    return {
        path.name: (path.stat().st_mtime_ns, digest(path.read_bytes()))
        for path in source.folder.iterdir()
        if path.is_file()
    }


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
async def test_convergence(seed: int, kind: str, seen_by: str, tmp_path: Path) -> None:
    chance = random.Random(f"{seed}{kind}{seen_by}")
    source, options = make(kind, seen_by, tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    async with watching(source.monitor(options)) as watch:
        for _ in range(300):
            happen(chance, source.folder, outside, rescans=seen_by == "rescans")
            for _ in range(chance.randrange(4)):
                await trio.lowlevel.checkpoint()
        expected = what_is_there(source)
        assert expected

        def seen() -> dict[str, tuple[int, str | None]]:
            return {
                os.path.basename(name): (seen.spec.ts, seen.spec.config)
                for name, seen in watch.seen.items()
            }

        with trio.move_on_after(20):
            await watch.until(lambda: seen() == expected)
        assert seen() == expected
