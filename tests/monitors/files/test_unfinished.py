"""Files that are being written: their new state is not taken until it is complete."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from emperord.journal.chain import digest
from emperord.journal.events import Spec
from emperord.journal.locked_files import LockedFiles
from emperord.monitors.contract import Listing, Seen
from emperord.monitors.files import reader
from emperord.monitors.files.file_state import Record
from emperord.monitors.options import MonitorOptions

from ..sources import DirSource
from ..watching import NEVER, OFTEN, watching

FREQS = {"events": NEVER, "events and rescans": OFTEN}


@pytest.mark.parametrize("freq", FREQS.values(), ids=FREQS)
async def test_a_new_file_is_not_listed_before_it_is_closed(freq: float, tmp_path: Path) -> None:
    source = DirSource(tmp_path)
    async with watching(source.monitor(MonitorOptions(freq=freq))) as watch:
        with (source.folder / "a.ini").open("w") as file:
            file.write("on")
            file.flush()
            (source.folder / "b.ini").write_text("other")
            await watch.shows("b.ini", "other")
            if freq == OFTEN:
                await watch.listings(2)
            assert "a.ini" not in watch.seen
            file.write("e")
        await watch.shows("a.ini", "one")
        assert watch.contents["a.ini"] == b"one"


@pytest.mark.parametrize("freq", FREQS.values(), ids=FREQS)
async def test_a_known_file_stays_as_it_was_until_it_is_closed(freq: float, tmp_path: Path) -> None:
    source = DirSource(tmp_path)
    source.put("a.ini", "one")
    async with watching(source.monitor(MonitorOptions(freq=freq))) as watch:
        before = watch.seen["a.ini"].spec
        with (source.folder / "a.ini").open("w") as file:  # it is empty now
            (source.folder / "b.ini").write_text("other")
            await watch.shows("b.ini", "other")
            if freq == OFTEN:
                await watch.listings(2)
            os.utime(source.folder / "a.ini")
            assert watch.seen["a.ini"].spec is before
            file.write("two")
        await watch.shows("a.ini", "two")
        assert "Vanished" not in watch.kinds()


async def test_a_symlinks_target_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    source = DirSource(tmp_path)
    target = tmp_path / "target"
    target.write_text("one")
    (source.folder / "a.ini").symlink_to(target)
    async with watching(source.monitor(MonitorOptions(freq=OFTEN))) as watch:
        before = watch.seen["a.ini"].spec
        with target.open("w") as file:
            await watch.listings(2)
            assert watch.seen["a.ini"].spec is before
            file.write("two")
        await watch.shows("a.ini", "two")


@pytest.mark.parametrize("is_known", [False, True], ids=["new", "a vassal's"])
async def test_a_refused_file_that_is_written_all_the_time_stays_refused(
    is_known: bool, tmp_path: Path
) -> None:
    """Here it is the journal's: a refusal that is told anew would be written to it."""
    source = DirSource(tmp_path)
    log = tmp_path / "journal.db-wal"
    log.touch()
    if is_known:
        source.put("a.ini", "one")
    locked = LockedFiles.of(str(tmp_path / "journal.db"))
    async with watching(source.monitor(MonitorOptions(freq=OFTEN, locked=locked))) as watch:
        (tmp_path / "link").symlink_to(log)
        (tmp_path / "link").rename(source.folder / "a.ini")
        await watch.until(lambda: watch.refused)
        with log.open("w") as file:
            file.write("more")
            file.flush()
            before = len(watch.told)
            await watch.listings(3)
        told = watch.told[before:]
        assert all(isinstance(each, Listing) and "a.ini" in each.refused for each in told)


async def test_a_file_left_open_is_taken_when_it_has_been_quiet(tmp_path: Path) -> None:
    source = DirSource(tmp_path)
    async with watching(source.monitor(MonitorOptions(freq=OFTEN))) as watch:
        with (source.folder / "a.ini").open("w") as file:
            file.write("one")
            file.flush()
            start = trio.current_time()
            await watch.shows("a.ini", "one")
            assert trio.current_time() - start > 2.9


async def test_one_written_while_the_first_listing_is_made_is_not_said_to_be_gone(
    tmp_path: Path,
) -> None:
    # Nothing is known of it yet, but who remembers it must not take it for gone.
    source = DirSource(tmp_path)
    source.put("a.ini", "one")
    monitor = source.monitor(MonitorOptions(freq=NEVER))
    original = monitor._place.survey  # type: ignore[attr-defined]

    def survey(survey: object) -> Iterator[None]:
        yield from original(survey)
        with (source.folder / "a.ini").open("w") as file:
            file.write("two")

    monitor._place.survey = survey  # type: ignore[attr-defined]
    async with watching(monitor) as watch:
        assert watch.told[0] == Listing({}, {"a.ini": "it is being written"})
        await watch.shows("a.ini", "two")


async def test_a_deleted_one_is_gone_even_if_it_was_being_written(tmp_path: Path) -> None:
    source = DirSource(tmp_path)
    source.put("a.ini", "one")
    async with watching(source.monitor(MonitorOptions(freq=NEVER))) as watch:
        with (source.folder / "a.ini").open("w"):
            source.remove("a.ini")
            await watch.until(lambda: not watch.seen)
        assert watch.kinds() == ["Listing", "Vanished"]


# Where no event says that a file is being written


async def test_an_emptied_file_that_nobody_spoke_of_is_waited_for(tmp_path: Path) -> None:
    source = DirSource(tmp_path, blind=True)
    source.put("a.ini", "one")
    async with watching(source.monitor(MonitorOptions(freq=OFTEN))) as watch:
        before = watch.seen["a.ini"].spec
        with (source.folder / "a.ini").open("w") as file:  # it is empty now
            await watch.listings(3)
            assert watch.seen["a.ini"].spec is before
            file.write("two")
        await watch.shows("a.ini", "two")
        assert b"" not in watch.contents.values()


async def test_a_file_that_stays_empty_is_empty(tmp_path: Path) -> None:
    source = DirSource(tmp_path, blind=True)
    source.put("a.ini", "one")
    async with watching(source.monitor(MonitorOptions(freq=OFTEN))) as watch:
        os.truncate(source.folder / "a.ini", 0)
        os.utime(source.folder / "a.ini", (1_000_000, 1_000_000))
        await watch.until(lambda: watch.seen["a.ini"].spec.config == digest(b""))


NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
OLD = NOW - 3600 * SECOND


@pytest.mark.parametrize(
    ("mtime", "ctime", "known_ctime", "scanning", "waited_for"),
    [
        pytest.param(OLD, OLD, OLD, False, True, id="old times: in the middle of it"),
        pytest.param(OLD, NOW, OLD, False, False, id="times put back: it is done"),
        pytest.param(NOW, NOW, OLD, False, False, id="new times, and an event said so"),
        pytest.param(NOW, NOW, OLD, True, True, id="new times, and no event yet"),
        pytest.param(NOW - 5 * SECOND, NOW, OLD, True, False, id="empty for a while"),
    ],
)
def test_an_empty_file_is_believed(
    mtime: int, ctime: int, known_ctime: int, scanning: bool, waited_for: bool
) -> None:
    known = Record((OLD, known_ctime, 1, 1, 3), Seen(Spec(ts=OLD, config=digest(b"one"))))
    fields = {"st_mtime_ns": mtime, "st_ctime_ns": ctime}
    status = os.stat_result([0o100644, 1, 1, 1, 0, 0, 0, 0, 0, 0], fields)
    assert reader._being_emptied(status, known, NOW, scanning) is waited_for
