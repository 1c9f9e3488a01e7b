"""Tyrant mode: a tenant's symlinks lead over no more components than a daemon follows in a moment.

The kernel allows 40 symlinks on a path, and 4 KiB for each.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.daemon.host import command
from emperord.monitors import listing
from emperord.monitors.amqp import paths as amqp_paths
from emperord.monitors.files import file_state as files
from emperord.monitors.files.links import trail
from emperord.monitors.files.reader import Reader
from emperord.monitors.path_owners import PathWalker
from emperord.monitors.resolving import COMPONENTS, TooManyComponents
from support.tyrant import ALICE, ALICES

from .files import ME, PLAIN, TYRANT, file_of

DEEP = 60  # directories, one in the other
TOO_MANY = f"it has more than {COMPONENTS} components, with those of its symlinks"

# Each symlink leads over this to the next one. The number is that of the symlinks.
LONG = {
    "up and down": ("d/../" * 60, 4),
    "down, and all the way up": ("d/" * DEEP + "../" * DEEP, 4),
    "nothing between slashes": ("." + "/" * 100, 4),
    "as long as the kernel allows": ("d/../" * 800, 30),
}
USUAL = {
    "forty symlinks": ("", 39),
    "two hundred components": ("d/../" * 50, 2),
}


def lead(ground: Path, unit: str, number: int) -> Path:
    """Alice's symlink among the vassals. It leads to her file ``end`` over so many others."""
    os.makedirs(ground / ("d/" * DEEP))
    file_of(ground / "end", ALICE, ALICES, 0o700)
    link = ground / "vassals" / "a.ini"
    link.symlink_to("../s1")
    links = [link, *(ground / f"s{each}" for each in range(1, number))]
    for at, each in enumerate(links[1:], 2):
        each.symlink_to(unit + ("end" if at == number else f"s{at}"))
    for each in links:
        os.lchown(each, ALICE, ALICES)
    return link


def by_glob(link: Path) -> files.FileState:
    directory = os.open(link.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        step = (directory, str(link.parent), link.name)
        return Reader(TYRANT, None).look(str(link), step, None, lambda _: None)
    finally:
        os.close(directory)


def by_amqp(link: Path) -> files.FileState:
    return amqp_paths.look(Reader(TYRANT, None), str(link))


@pytest.mark.parametrize("see", [by_glob, by_amqp])
@pytest.mark.parametrize(("unit", "number"), LONG.values(), ids=LONG)
def test_a_config_behind_too_many_is_not_read(
    ground: Path, unit: str, number: int, see: Callable[[Path], files.FileState]
) -> None:
    assert see(lead(ground, unit, number)) == files.Unreadable(TOO_MANY)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("see", [by_glob, by_amqp])
@pytest.mark.parametrize(("unit", "number"), USUAL.values(), ids=USUAL)
def test_a_usual_one_is_read(
    ground: Path, unit: str, number: int, see: Callable[[Path], files.FileState]
) -> None:
    sight = see(lead(ground, unit, number))
    assert isinstance(sight, files.Found)
    assert (sight.content, sight.record.seen.spec.bar) == (PLAIN.encode(), None)


def list_directory(link: Path) -> None:
    os.close(listing.open_directory(str(link), tyrant=True))


def take_status(link: Path) -> None:
    listing.status(str(link), tyrant=True, follow=True)


def walk(link: Path) -> None:
    PathWalker().walk(str(link))


@pytest.mark.parametrize("use", [list_directory, take_status, walk])
@pytest.mark.parametrize(("unit", "number"), LONG.values(), ids=LONG)
def test_every_look_at_a_path_ends(
    ground: Path, unit: str, number: int, use: Callable[[Path], None]
) -> None:
    with pytest.raises(TooManyComponents, match=TOO_MANY):
        use(lead(ground, unit, number))


def test_a_watched_way_ends(ground: Path) -> None:
    """Each symlink has 121 components, so the third one is not followed to its end."""
    link = lead(ground, *LONG["up and down"])
    assert [name for _, name in trail(str(link.parent), link.name)] == ["a.ini", "s1", "s2", "s3"]


def test_a_program_behind_too_many_is_refused(ground: Path) -> None:
    link = lead(ground, *LONG["up and down"])
    with pytest.raises(OSError, match="File name too long"):
        command.check_program(str(link), "/", ME)


@pytest.mark.parametrize(
    ("directories", "is_told"),
    [
        pytest.param(command.SEARCHED, True, id="as many as are looked at"),
        pytest.param(command.SEARCHED + 1, False, id="more, which the process searches by itself"),
    ],
)
def test_a_long_path_of_programs(ground: Path, directories: int, is_told: bool) -> None:
    search = ":".join(str(ground / f"none{number}") for number in range(directories))
    try:
        command.check_program("none", "/", ME, search)
    except FileNotFoundError:
        told = True
    else:
        told = False
    assert told == is_told
