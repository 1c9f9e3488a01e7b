"""Names and files that are not what they should be: none stops the others from being seen."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.monitors.config_file import LARGEST
from emperord.monitors.contract import Refused
from emperord.monitors.files.watches import Watches
from emperord.monitors.names import shown
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor

from .watching import NEVER, watching

SELDOM = MonitorOptions(freq=NEVER)

GOOD_NAMES = {
    "spaces": b" a b .ini",
    "colon": b"a:b.ini",
    "shell": b"$(rm -rf ..);`x`.ini",
    "placeholder": b"%n$(VAR).ini",
    "dots": b"...ini",
    "two dots": b"..x.ini",
    "extension only": b".ini",
    "option": b"--ini.ini",
    "url": b"http:..x.ini",
    "quotes": b"a'\"b.ini",
    "backslash": b"a\\nb.ini",
    "UTF-8": "ä€𝄞.ini".encode(),
    "wildcard": b"*[a]?.ini",
    "long": b"a" * 250 + b".ini",
}
BAD_NAMES = {
    "newline": (b"a\nb.ini", "control character"),
    "escape": (b"a\x1b[31m.ini", "control character"),
    "delete": (b"a\x7f.ini", "control character"),
    "C1": (b"a\xc2\x9b.ini", "control character"),
    "not UTF-8": (b"a\xff.ini", "not UTF-8"),
    "surrogate": (b"a\xed\xa0\x80.ini", "not UTF-8"),
    "too long": (b"a" * 251 + b".ini", "has 255 bytes"),
}


@pytest.mark.parametrize("late", [False, True], ids=["at first", "later"])
@pytest.mark.parametrize("raw", GOOD_NAMES.values(), ids=GOOD_NAMES)
async def test_odd_names_are_names(raw: bytes, late: bool, tmp_path: Path) -> None:
    name = os.fsdecode(raw)
    if not late:
        (tmp_path / name).write_text("one")
    async with watching(open_monitor(f"dir://{tmp_path}", SELDOM)) as watch:
        if late:
            (tmp_path / name).write_text("one")
        await watch.shows(name, "one")
        assert watch.refused == {}
        (tmp_path / name).unlink()
        await watch.until(lambda: not watch.seen)


@pytest.mark.parametrize("late", [False, True], ids=["at first", "later"])
@pytest.mark.parametrize(("raw", "reason"), BAD_NAMES.values(), ids=BAD_NAMES)
async def test_bad_names_are_refused(raw: bytes, reason: str, late: bool, tmp_path: Path) -> None:
    name = os.fsdecode(raw)
    (tmp_path / "good.ini").write_text("one")
    if not late:
        (tmp_path / name).write_text("one")
    async with watching(open_monitor(f"dir://{tmp_path}", SELDOM)) as watch:
        if late:
            (tmp_path / name).write_text("one")
        await watch.until(lambda: shown(name) in watch.refused)
        assert reason in watch.refused[shown(name)]
        assert list(watch.refused) == [shown(name)]
        assert shown(name).isprintable()
        assert list(watch.seen) == ["good.ini"]


async def test_the_path_of_a_pattern_is_held_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "a\nb").mkdir()
    (tmp_path / "a\nb/x.ini").write_text("one")
    async with watching(open_monitor(f"glob://{tmp_path}/*/*.ini", SELDOM)) as watch:
        assert "control character" in watch.refused[f"{tmp_path}/a\\nb/x.ini"]


def fifo_behind_symlink(path: Path) -> None:
    os.mkfifo(path.with_name("x"))
    path.symlink_to("x")


NO_FILES: dict[str, Callable[[Path], None]] = {
    "directory": lambda path: path.mkdir(),
    "FIFO": lambda path: os.mkfifo(path),
    "symlink to a directory": lambda path: path.symlink_to(path.parent),
    "symlink to a device": lambda path: path.symlink_to("/dev/zero"),
    "symlink to nothing": lambda path: path.symlink_to("nothing"),
    "symlink to a FIFO": fifo_behind_symlink,
    "bad name of a directory": lambda path: path.with_name("a\n.ini").mkdir(),
    "other extension": lambda path: path.with_name("a.txt").touch(),
}


@pytest.mark.parametrize("nofollow", [False, True], ids=["follow", "nofollow"])
@pytest.mark.parametrize("put", NO_FILES.values(), ids=NO_FILES)
async def test_what_is_no_file_is_not_looked_at(
    put: Callable[[Path], None], nofollow: bool, tmp_path: Path
) -> None:
    options = MonitorOptions(freq=NEVER, nofollow=nofollow)
    for folder in (tmp_path / "early", tmp_path / "late"):
        folder.mkdir()
        (folder / "good.ini").write_text("one")
    put(tmp_path / "early/a.ini")
    async with watching(open_monitor(f"dir://{tmp_path}/early", options)) as watch:
        assert list(watch.seen) == ["good.ini"]
        assert watch.refused == {}
    async with watching(open_monitor(f"dir://{tmp_path}/late", options)) as watch:
        put(tmp_path / "late/a.ini")
        (tmp_path / "late/good.ini").write_text("two")
        await watch.shows("good.ini", "two")
        assert list(watch.seen) == ["good.ini"]
        assert watch.refused == {}


# Files that are there but cannot be read, for root as well.
UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "loop": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "I/O error": (lambda path: path.symlink_to("/proc/self/mem"), "Input/output error"),
}


@pytest.mark.parametrize(("put", "reason"), UNREADABLE.values(), ids=UNREADABLE)
async def test_an_unreadable_file_is_refused(
    put: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    put(tmp_path / "a.ini")
    async with watching(open_monitor(f"dir://{tmp_path}", SELDOM)) as watch:
        assert watch.seen == {}
        assert watch.refused == {"a.ini": f"it cannot be read: {reason}"}


@pytest.mark.parametrize(("put", "reason"), UNREADABLE.values(), ids=UNREADABLE)
async def test_a_known_file_that_becomes_unreadable_stays(
    put: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "a.ini").write_text("one")
    async with watching(open_monitor(f"dir://{tmp_path}", MonitorOptions(freq=0.05))) as watch:
        before = watch.seen["a.ini"].spec
        put(tmp_path / "new")
        if reason.startswith("Too many"):
            (tmp_path / "new").unlink()
            (tmp_path / "new").symlink_to("a.ini")  # a loop once it is in place
        (tmp_path / "new").rename(tmp_path / "a.ini")
        await watch.until(lambda: "a.ini" in watch.refused)
        for listing in await watch.listings(2):
            assert listing.seen["a.ini"].spec is before
            assert listing.refused == {"a.ini": f"it cannot be read: {reason}"}
        said = [each for each in watch.told if isinstance(each, Refused)]
        assert len(said) <= 1
        (tmp_path / "a.ini").unlink()
        (tmp_path / "a.ini").write_text("two")
        await watch.shows("a.ini", "two")


SIZES = {
    "one byte more than is kept": LARGEST + 1,
    "10 MB": 10_000_000,
}
TOO_LARGE = "it cannot be read: it has more than 1 MiB, the most that a config may have"


async def test_the_largest_file_is_kept(tmp_path: Path) -> None:
    text = b"[emperor]\nstop-signal = INT\n".rjust(LARGEST, b"\n")
    (tmp_path / "a.ini").write_bytes(text)
    async with watching(open_monitor(f"dir://{tmp_path}", SELDOM)) as watch:
        assert watch.seen["a.ini"].content == text
        assert watch.seen["a.ini"].spec.settings == {"stop-signal": "INT"}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_a_larger_file_is_refused_and_its_vassal_goes_on(size: int, tmp_path: Path) -> None:
    # Its section [emperor] would be ignored without a word.
    (tmp_path / "a.ini").write_bytes(b"#")
    (tmp_path / "b.ini").write_bytes(b"#" * size)
    often = MonitorOptions(freq=0.05)
    async with watching(open_monitor(f"dir://{tmp_path}", often)) as watch:
        before = watch.seen["a.ini"].spec
        assert watch.refused == {"b.ini": TOO_LARGE}
        (tmp_path / "a.ini").write_bytes(b"#" * size)
        await watch.until(lambda: "a.ini" in watch.refused)
        (listing,) = await watch.listings(1)
        assert listing.seen["a.ini"].spec is before
        assert listing.refused == {"a.ini": TOO_LARGE, "b.ini": TOO_LARGE}
        (tmp_path / "a.ini").write_bytes(b"# smaller")
        await watch.shows("a.ini", "# smaller")


def test_a_system_without_inotify_is_said_once(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    watches = Watches("dir:///x")
    watches.open()
    watches.close()  # modules that it loads once are loaded
    watches = Watches("dir:///x")
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        watches.open()
        watches.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "max_user_watches" in caplog.text
    watches.add(str(tmp_path), 1)
    assert watches.read() == []
    watches.close()
