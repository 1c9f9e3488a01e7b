"""zoo:// when znodes change while it reads them, and under floods of changes."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from emperord.monitors.contract import Listing
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zookeeper import monitor as zookeeper
from emperord.monitors.zookeeper.client import Client
from kazoo.exceptions import NoNodeError  # type: ignore[import-untyped]
from support.zookeeper import ZooSource, talk

from ..watching import OFTEN, watching
from .readings import SELDOM, TYRANT, Meddler, expire, fields_of

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


BUSY = MonitorOptions(freq=OFTEN)


async def test_what_is_deleted_and_made_again_is_not_lost(
    source: ZooSource, meddler: Meddler
) -> None:
    def delete() -> None:
        meddler.deeds = {f"{source.path} listed": make}
        source.remove("a.ini")

    def make() -> None:
        meddler.deeds = {}
        source.put("a.ini", "three")

    source.put("a.ini", "one")
    source.put("b.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        meddler.deeds = {f"{source.path}/a.ini": delete}
        source.put("a.ini", "two")
        await watch.shows("a.ini", "three")
        assert all(len(each.seen) == 2 for each in watch.told if isinstance(each, Listing))


async def test_what_is_made_again_beside_much_that_is_new_is_not_lost(
    source: ZooSource, meddler: Meddler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New configs are told in parts: those that come first leave no room for the others."""
    monkeypatch.setattr(zookeeper, "MOST_HELD", 100)
    monkeypatch.setattr(zookeeper, "_READERS", 1)

    def delete() -> None:
        meddler.deeds = {f"{source.path} listed": make}
        source.remove("a.ini")

    def make() -> None:
        meddler.deeds = {}
        source.put("a.ini", "three")
        for count in range(3):
            source.put(f"{count}.ini", "x" * 200)

    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        meddler.deeds = {f"{source.path}/a.ini listed": delete}
        await expire(meddler.clients[0])  # so that nothing is watched any more
        await watch.shows("a.ini", "three")
        await watch.until(lambda: len(watch.seen) == 4)
        assert watch.seen.keys() == {"a.ini", "0.ini", "1.ini", "2.ini"}
        assert all("a.ini" in each.seen for each in watch.told if isinstance(each, Listing))


async def test_a_vassal_that_always_comes_and_goes_stays_while_it_is_listed(
    source: ZooSource, meddler: Meddler
) -> None:
    path = f"{source.path}/a.ini"
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        read_as_absent = 0

        class Absent(NoNodeError):  # type: ignore[misc]
            """As if it had been deleted just now and made again at once."""

        def vanish() -> None:
            nonlocal read_as_absent
            read_as_absent += 1
            if read_as_absent > 12:
                meddler.deeds = {}
            raise Absent

        meddler.deeds = {path: vanish}
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
        assert read_as_absent > 12
        assert all("a.ini" in each.seen for each in watch.told if isinstance(each, Listing))


async def test_what_is_deleted_before_it_is_read_is_gone(
    source: ZooSource, meddler: Meddler
) -> None:
    def delete() -> None:
        meddler.deeds = {}
        source.remove("a.ini")

    source.put("a.ini", "one")
    source.put("b.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        meddler.deeds = {f"{source.path}/a.ini": delete}
        source.put("a.ini", "two")
        await watch.until(lambda: list(watch.seen) == ["b.ini"])
        assert watch.failures() == []


@pytest.mark.parametrize("before", ["a.ini", "a.ini/uid", "a.ini/gid"])
@pytest.mark.parametrize("was_known", [True, False])
async def test_a_vassal_is_told_as_it_was_at_one_moment(
    source: ZooSource, meddler: Meddler, before: str, was_known: bool
) -> None:
    def change(value: str) -> None:
        meddler.deeds = {}
        with talk().transaction() as all_at_once:
            all_at_once.set_data(f"{source.path}/a.ini", value.encode())
            all_at_once.set_data(f"{source.path}/a.ini/uid", value.encode())
            all_at_once.set_data(f"{source.path}/a.ini/gid", value.encode())

    for name in ("a.ini", "a.ini/uid", "a.ini/gid"):
        source.put(name, "1")
    deed: dict[str, Callable[[], object]] = {f"{source.path}/{before}": lambda: change("3")}
    meddler.deeds = {} if was_known else deed
    async with watching(source.monitor(TYRANT)) as watch:
        if was_known:
            change("2")
            meddler.deeds = deed
        await watch.shows("a.ini", "3")
        told = [each.seen["a.ini"] for each in watch.told if isinstance(each, Listing)]
    texts = {seen.spec.config: seen.content for seen in told if seen.content is not None}
    for seen in told:
        content = texts[seen.spec.config]
        assert content is not None
        assert seen.spec.uid == seen.spec.gid == int(content)


async def test_what_no_watch_tells_is_found(
    source: ZooSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "_change", lambda *_: None)
    monkeypatch.setattr(zookeeper, "_SHARE", 3)
    for count in range(10):
        source.put(f"{count}.ini", "one")
        source.put(f"{count}.ini/socket", "/run/one")
    async with watching(source.monitor(BUSY)) as watch:
        source.put("9.ini", "two")
        await watch.shows("9.ini", "two")
        source.put("8.ini/socket", "/run/two")
        await watch.until(lambda: fields_of(watch, "8.ini")[2] == "/run/two")
        source.remove("7.ini")
        await watch.until(lambda: "7.ini" not in watch.seen)


# Many


def fill(source: ZooSource, count: int, content: str) -> None:
    """Make znodes, or set their data."""
    results: list[Any] = []
    for number in range(count):
        path = f"{source.path}/{number}.ini"
        order = talk().set_async if content != "one" else talk().create_async
        results.append(order(path, content.encode()))
        if len(results) == 100 or number == count - 1:
            for result in results:
                result.get(20)
            results.clear()


STORM = 500  # znodes


async def test_a_storm_of_changes(source: ZooSource, meddler: Meddler) -> None:
    fill(source, STORM, "one")
    most = 0
    async with watching(source.monitor(SELDOM)) as watch:
        (client,) = meddler.clients
        storm = trio.Event()

        async def count_requests() -> None:
            nonlocal most
            while not storm.is_set():
                kazoo = client._kazoo
                most = max(most, len(kazoo._queue) + len(kazoo._pending))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_requests)
            await trio.to_thread.run_sync(fill, source, STORM, "two")
            last = watch.contents
            await watch.until(lambda: all(last[f"{n}.ini"] == b"two" for n in range(STORM)))
            storm.set()
        assert len(watch.told) < 100
        assert 1 < most <= 64
        assert watch.failures() == []


async def test_a_flood_of_changes_of_one_znode_is_coalesced(source: ZooSource) -> None:
    source.put("a.ini", "one")
    source.put("a.ini/uid", "1")

    def flood() -> None:
        results = [
            talk().set_async(f"{source.path}/a.ini", f"{count}".encode()) for count in range(2000)
        ]
        assert all(result.get(20) for result in results)

    async with watching(source.monitor(SELDOM)) as watch:
        await trio.to_thread.run_sync(flood)
        await watch.shows("a.ini", "1999")
        assert len(watch.told) < 400
