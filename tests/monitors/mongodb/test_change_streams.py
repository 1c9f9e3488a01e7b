"""mongodb:// wakes by a change stream, or polls where the server has none."""

import logging
from functools import partial
from pathlib import Path

import pytest
import trio
from emperord.monitors.contract import Listing
from emperord.monitors.registry import open_monitor
from support.mongodb import MongoSource, client_of
from support.services import service

from ..watching import Watching, watching
from .readings import BUSY, HASTE, SELDOM

# Waking


async def test_a_collection_that_is_dropped_and_made_again(source: MongoSource) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        source.vassals.drop()
        await watch.until(lambda: not watch.seen)
        source.put("b.ini", "two")
        await watch.shows("b.ini", "two")
        source.put("b.ini", "three")
        await watch.shows("b.ini", "three")
        assert not watch.failures()


async def test_a_change_stream_that_breaks_is_opened_again(source: MongoSource) -> None:
    lost = {"failCommands": ["getMore"], "errorCode": 286}  # ChangeStreamHistoryLost
    configure = partial(source.client.admin.command, "configureFailPoint", "failCommand")
    async with watching(source.monitor(SELDOM)) as watch:
        configure(mode={"times": 1}, data=lost)
        try:
            for config in ("one", "two", "three"):
                source.put("a.ini", config)
                await watch.shows("a.ini", config)
        finally:
            configure(mode="off")
        assert not watch.failures()


async def test_a_server_without_change_streams_is_polled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with service("mongodb-standalone") as standalone, client_of(standalone) as client:
        source = MongoSource(client=client, hosts=standalone.where["hosts"])
        source.put("a.ini", "one")
        monitor = source.hurried(BUSY, HASTE)
        async with watching(monitor) as watch:
            source.put("a.ini", "two")
            await watch.shows("a.ini", "two")
            standalone("kill")
            await watch.until(lambda: watch.failures())
            standalone("start")
            await watch.until(lambda: isinstance(watch.told[-1], Listing))
            source.put("a.ini", "three")
            await watch.shows("a.ini", "three")
    notes = [each.message for each in caplog.records if "no change stream" in each.message]
    assert len(notes) == 1
    assert notes[0].startswith(f"{monitor.url}: no change stream, so it is polled: ")


@pytest.mark.slow
async def test_a_flood_ends_in_what_the_source_has(source: MongoSource, tmp_path: Path) -> None:
    count = 5000
    vassals = source.vassals
    documents = [{"name": f"{n}.ini", "config": f"{n}", "ts": n} for n in range(count)]

    def flood() -> None:
        for start in range(0, count, 250):
            vassals.insert_many(documents[start : start + 250])
        vassals.update_many({}, {"$set": {"config": "x"}, "$inc": {"ts": 1}})
        vassals.delete_many({"ts": {"$gt": count // 2}})

    other = Watching()

    async def look_elsewhere() -> None:
        for number in range(20):
            (tmp_path / f"{number}.ini").write_text("x")
            with trio.fail_after(5):  # the daemon's own test is stricter
                await other.until(partial(other.seen.__contains__, f"{number}.ini"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(str(tmp_path), SELDOM).run, other.tell, {})
        await other.until(lambda: other.told)
        async with watching(source.monitor(SELDOM)) as watch:
            nursery.start_soon(look_elsewhere)
            await trio.to_thread.run_sync(flood)
            last = {f"{n}.ini": n + 1 for n in range(count // 2)}
            await watch.until(
                lambda: {k: seen.spec.ts // 10**9 for k, seen in watch.seen.items()} == last
            )
            assert all(watch.contents[name] == b"x" for name in last)
            # A flood is read as a whole, again and again, and not once for each change.
            assert watch.calls < count / 10
            await other.until(lambda: len(other.seen) == 20)
        nursery.cancel_scope.cancel()
