"""Which changes of files are seen: all, whatever the times say, with inotify and without."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from emperord.monitors.files import changes as sorting
from emperord.monitors.files import fair_queue
from emperord.monitors.files.file_state import Found
from emperord.monitors.files.reader import Reader
from emperord.monitors.files.watches import Watches
from emperord.monitors.options import MonitorOptions
from support.root import need_root
from support.tyrant import common_ground

from ..sources import DirSource, GlobSource
from ..watching import NEVER, OFTEN, watching

YEAR_2000 = 946_684_800_000_000_000


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


def edit(path: Path, content: str, mtime: int | None = None) -> None:
    path.write_text(content)
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime))


def edited_twice(path: Path) -> None:
    edit(path, "six")
    edit(path, "two")


def put_over(path: Path, content: str, mtime: int | None = None) -> None:
    """As rsync and careful editors do."""
    new = path.with_name(".temp.1x2")
    edit(new, content, mtime)
    new.rename(path)


def linked(path: Path, content: str) -> None:
    """A hard link takes the place."""
    other = path.parent.parent / "other"
    other.write_text(content)
    path.unlink()
    os.link(other, path)


def linked_over(path: Path, content: str) -> None:
    """A hard link is renamed over it: a file that is not closed any more."""
    other = path.parent.parent / "other"
    other.write_text(content)
    os.link(other, path.with_name("new"))
    path.with_name("new").rename(path)


def recreated(path: Path, content: str) -> None:
    path.unlink()
    path.write_text(content)


def moved_away_first(path: Path, content: str) -> None:
    """As vim does with backups."""
    path.rename(path.with_name("a.ini~"))
    path.write_text(content)


def symlinked(path: Path, content: str) -> None:
    target = path.parent.parent / "target"
    target.write_text(content)
    path.with_name("new").symlink_to(target)
    path.with_name("new").rename(path)


def symlinked_slowly(path: Path, content: str) -> None:
    target = path.parent.parent / "target"
    target.write_text(content)
    path.unlink()
    path.symlink_to(target)


CHANGES: dict[str, Callable[[Path], None]] = {
    "edited": lambda path: edit(path, "two two"),
    "same size": lambda path: edit(path, "two"),
    "older mtime": lambda path: edit(path, "two", YEAR_2000),
    "mtime restored": lambda path: edit(path, "two", stamp(path)),
    "mtime in the future": lambda path: edit(path, "two", 4 * YEAR_2000),
    "two edits in a tick": edited_twice,
    "appended": lambda path: edit(path, path.read_text() + "two"),
    "emptied": lambda path: edit(path, ""),
    "renamed over": lambda path: put_over(path, "two"),
    "renamed over, same mtime": lambda path: put_over(path, "two", stamp(path)),
    "renamed over, older mtime": lambda path: put_over(path, "two", YEAR_2000),
    "hard link": lambda path: linked(path, "two"),
    "hard link renamed over": lambda path: linked_over(path, "two"),
    "recreated": lambda path: recreated(path, "two"),
    "moved away first": lambda path: moved_away_first(path, "two"),
    "became a symlink": lambda path: symlinked(path, "two"),
    "became a symlink, slowly": lambda path: symlinked_slowly(path, "two"),
}

KINDS: dict[str, type[DirSource] | type[GlobSource]] = {"dir": DirSource, "glob": GlobSource}
SEEN_BY = {"events": (NEVER, False), "rescans": (OFTEN, True)}


def make(
    kind: str, seen_by: str, folder: Path, options: MonitorOptions | None = None
) -> tuple[DirSource | GlobSource, MonitorOptions]:
    freq, blind = SEEN_BY[seen_by]
    return KINDS[kind](folder, blind=blind), msgspec.structs.replace(
        options or MonitorOptions(), freq=freq
    )


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_is_seen(
    change: Callable[[Path], None], kind: str, seen_by: str, tmp_path: Path
) -> None:
    source, options = make(kind, seen_by, tmp_path)
    path = source.folder / "a.ini"
    path.write_text("one")
    async with watching(source.monitor(options)) as watch:
        change(path)
        await watch.shows(source.name("a.ini"), path.read_text())
        spec = watch.seen[source.name("a.ini")].spec
        assert spec.ts == stamp(path)
        assert watch.contents[source.name("a.ini")] == path.read_bytes()
        # With events it was never seen as gone, so it is reloaded rather than stopped.
        assert seen_by == "rescans" or "Vanished" not in watch.kinds()


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("mtime", [YEAR_2000, 2 * YEAR_2000], ids=["older", "newer"])
async def test_a_touch_is_seen(mtime: int, seen_by: str, tmp_path: Path) -> None:
    source, options = make("dir", seen_by, tmp_path)
    path = source.folder / "a.ini"
    edit(path, "one", YEAR_2000 * 3 // 2)
    async with watching(source.monitor(options)) as watch:
        os.utime(path, ns=(mtime, mtime + 1))
        await watch.until(lambda: watch.seen["a.ini"].spec.ts == mtime + 1)


async def test_an_edit_within_the_same_timestamps_is_seen_again_and_again(tmp_path: Path) -> None:
    source, options = make("dir", "events", tmp_path)
    path = source.folder / "a.ini"
    edit(path, "000", YEAR_2000)
    async with watching(source.monitor(options)) as watch:
        for content in ("001", "002", "003"):
            edit(path, content, YEAR_2000)
            await watch.shows("a.ini", content)


async def test_what_differs_in_nothing_that_matters_is_not_told(tmp_path: Path) -> None:
    source, options = make("dir", "events", tmp_path)
    path = source.folder / "a.ini"
    path.write_text("one")
    async with watching(source.monitor(options)) as watch:
        path.chmod(0o600)
        (source.folder / "b.ini").write_text("two")
        await watch.shows("b.ini", "two")
        assert watch.kinds() == ["Listing", "Touched"]


async def test_a_burst_is_told_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "PIECE", 60)  # a batch is full before its time is over
    source, options = make("dir", "events", tmp_path)
    async with watching(source.monitor(options)) as watch:
        # No checkpoint in between: the monitor sees all of them at once.
        for number in range(100):
            (source.folder / f"{number}.ini").write_text("one")
        await watch.until(lambda: len(watch.seen) == 100)
        assert watch.calls == 2


# Symlinks


def release(tmp_path: Path, name: str, content: str) -> Path:
    folder = tmp_path / "releases" / name
    folder.mkdir(parents=True)
    (folder / "app.conf").write_text(content)
    return folder


def switch(link: Path, target: Path) -> None:
    """As ``ln -sfn`` does."""
    link.with_name("tmp-link").symlink_to(target)
    link.with_name("tmp-link").rename(link)


SWITCHES: dict[str, Callable[[Path, Path], None]] = {
    "the target is edited": lambda top, vassal: edit(top / "releases/1/app.conf", "two"),
    "the target is renamed over": lambda top, vassal: put_over(top / "releases/1/app.conf", "two"),
    "the link is switched": lambda top, vassal: switch(vassal, top / "releases/2/app.conf"),
    "a directory on the way is switched": lambda top, vassal: switch(
        top / "current", top / "releases/2"
    ),
}


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", SWITCHES.values(), ids=SWITCHES)
async def test_a_symlinked_vassal_follows(
    change: Callable[[Path, Path], None], kind: str, seen_by: str, tmp_path: Path
) -> None:
    source, options = make(kind, seen_by, tmp_path)
    release(tmp_path, "1", "one")
    release(tmp_path, "2", "two")
    (tmp_path / "current").symlink_to("releases/1")
    vassal = source.folder / "a.ini"
    vassal.symlink_to("../current/app.conf")
    async with watching(source.monitor(options)) as watch:
        change(tmp_path, vassal)
        await watch.shows(source.name("a.ini"), "two")
        # And again from where it leads to now.
        edit(vassal.resolve(), "three")
        await watch.shows(source.name("a.ini"), "three")
        assert watch.seen[source.name("a.ini")].spec.ts == stamp(vassal)


@pytest.mark.parametrize("seen_by", SEEN_BY)
async def test_a_symlink_appears_and_dangles(seen_by: str, tmp_path: Path) -> None:
    source, options = make("dir", seen_by, tmp_path)
    vassal, target = source.folder / "a.ini", tmp_path / "later"
    vassal.symlink_to(target)
    async with watching(source.monitor(options)) as watch:
        assert not watch.seen
        assert not watch.refused
        target.write_text("one")
        await watch.shows("a.ini", "one")
        target.unlink()
        await watch.until(lambda: not watch.seen)


@pytest.mark.parametrize("seen_by", SEEN_BY)
async def test_with_nofollow_only_the_link_itself_counts(seen_by: str, tmp_path: Path) -> None:
    source, options = make("dir", seen_by, tmp_path, MonitorOptions(nofollow=True))
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("one")
    second.write_text("two")
    vassal = source.folder / "a.ini"
    vassal.symlink_to(first)
    async with watching(source.monitor(options)) as watch:
        before = watch.seen["a.ini"].spec
        assert before.ts == vassal.lstat().st_mtime_ns
        first.write_text("edited")
        (source.folder / "b.ini").write_text("later")
        await watch.shows("b.ini", "later")
        if seen_by == "rescans":
            await watch.listings(2)
        assert watch.seen["a.ini"].spec is before
        switch(vassal, second)
        await watch.shows("a.ini", "two")


async def test_tyrant_tells_who_owns_the_file(tmp_path: Path) -> None:
    need_root("give files away")
    source, options = make("dir", "events", tmp_path, MonitorOptions(tyrant=True))
    path = source.folder / "a.ini"
    path.write_text("one")
    own = path.stat()
    async with watching(source.monitor(options)) as watch:
        spec = watch.seen["a.ini"].spec
        assert (spec.uid, spec.gid) == (own.st_uid, own.st_gid)
        os.chown(path, 4711, 4712)
        await watch.until(lambda: watch.seen["a.ini"].spec.uid == 4711)
        assert watch.seen["a.ini"].spec.gid == 4712


@pytest.mark.parametrize(("nofollow", "uid"), [(False, 1001), (True, 1002)], ids=["file", "link"])
async def test_tyrant_nofollow_tells_who_owns_the_link(nofollow: bool, uid: int) -> None:
    tyrant = MonitorOptions(tyrant=True, tyrant_nofollow=nofollow)
    with common_ground() as ground:
        source, options = make("dir", "events", ground, tyrant)
        target, vassal = ground / "target", source.folder / "a.ini"
        target.write_text("one")
        vassal.symlink_to(target)
        os.chown(target, 1001, 1001)
        os.chown(vassal, 1002, 1002, follow_symlinks=False)
        async with watching(source.monitor(options)) as watch:
            assert watch.seen["a.ini"].spec.uid == uid


async def test_a_file_missing_for_a_moment_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "GRACE", NEVER)
    source, options = make("dir", "events", tmp_path)
    path = source.folder / "a.ini"
    path.write_text("one")
    async with watching(source.monitor(options)) as watch:
        path.rename(path.with_name("a.ini~"))
        (source.folder / "b.ini").write_text("other")
        await watch.shows("b.ini", "other")  # so it was seen that the other is missing
        path.write_text("two")
        await watch.shows("a.ini", "two")
        assert "Vanished" not in watch.kinds()


def test_each_of_thousands_of_missing_files_is_looked_at_once() -> None:
    """The time that 20,000 deletions took grew with the square of their number."""
    changes = sorting.Changes(MonitorOptions(), Watches("dir://"), lambda _: "turn")
    names = [f"{number}.ini" for number in range(3 * fair_queue.MOST)]
    assert not [name for name in names if changes.is_gone(name, now=1.0)]
    looked: list[str] = []
    for _ in range(4):
        changes.expire(now=2.0)
        looked += changes.pending.take()
    assert looked == names
    changes.look_again(lambda name: name != "0.ini")  # a rescan came between
    changes.expire(now=2.0)
    assert [name for name in names if changes.is_gone(name, now=2.0)] == names[1:]


def test_the_signature_of_a_file_that_just_changed_is_not_trusted(tmp_path: Path) -> None:
    # Another edit within the same tick of the file system's clock would leave it as it is.
    (tmp_path / "a.ini").write_text("one")
    old = Path(os.__file__)  # changed when Python was installed
    for path, trusted in ((tmp_path / "a.ini", False), (old, True)):
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            step = (directory, str(path.parent), path.name)
            reader = Reader(MonitorOptions(), None)
            sight = reader.look(path.name, step, None, lambda way: None)
        finally:
            os.close(directory)
        assert isinstance(sight, Found)
        assert (sight.record.signature is not None) == trusted
