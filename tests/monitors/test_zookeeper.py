"""zoo:// on a real ZooKeeper: what is a vassal, what races, what is lost, what is announced."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import trio
from emperord.monitors.contract import Failed, Listing
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zookeeper import monitor as zookeeper
from emperord.monitors.zookeeper.announcer import Announcement, Announcer
from emperord.monitors.zookeeper.client import Client
from emperord.monitors.zookeeper.monitor import ZooKeeper, open_url
from kazoo.exceptions import NoNodeError  # type: ignore[import-untyped]
from kazoo.security import make_acl, make_digest_acl  # type: ignore[import-untyped]
from support.waiting import until
from support.zookeeper import UNREADABLE, ZooSource, put, shared, talk, talking

from .watching import NEVER, OFTEN, Watching, watching

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)
TYRANT = MonitorOptions(freq=NEVER, tyrant=True)
SECRET = "s3cr3t:&?%/@ x"  # noqa: S105
QUOTED = "s3cr3t:%26?%25/@ x"
EXPIRED = (
    "the session expired, as ZooKeeper had not heard of us in time; it is begun anew, and all is"
    " read again"
)


@pytest.fixture
def source() -> ZooSource:
    return ZooSource()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [each.name for each in threading.enumerate() if each.name == "kazoo"] == []


async def listing_of(monitor: ZooKeeper) -> Listing:
    async with watching(monitor) as watch:
        (told,) = watch.told
        assert isinstance(told, Listing), told
        return told


async def failure_of(monitor: ZooKeeper) -> str:
    async with watching(monitor) as watch:
        assert watch.kinds()[0] == "Failed"
        return watch.failures()[0]


def fields_of(watch: Watching, name: str) -> tuple[int | None, int | None, str | None]:
    spec = watch.seen[name].spec
    return spec.uid, spec.gid, spec.socket


# Znodes that are vassals


async def test_ts_is_the_mzxid_and_attrs_have_the_version(source: ZooSource) -> None:
    source.put("a.ini", "one")
    source.put("a.ini", "two")
    told = await listing_of(open_url(source.url[6:], SELDOM))
    stat = talk().exists(f"{source.path}/a.ini")
    assert told.seen["a.ini"].spec.ts == stat.mzxid
    assert told.seen["a.ini"].spec.attrs == {"version": "1"}
    assert told.seen["a.ini"].content == b"two"


async def test_the_same_data_set_again_is_another_ts(source: ZooSource) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        before = watch.seen["a.ini"].spec
        source.put("a.ini", "one")
        await watch.until(lambda: watch.seen["a.ini"].spec != before)
        assert watch.seen["a.ini"].spec.config == before.config
        assert watch.seen["a.ini"].spec.ts > before.ts


async def test_fields_come_change_and_go(source: ZooSource) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(TYRANT)) as watch:
        assert fields_of(watch, "a.ini") == (None, None, None)
        for field, value in (("uid", "33"), ("gid", " 34\n"), ("socket", "/run/a\n")):
            source.put(f"a.ini/{field}", value)
        await watch.until(lambda: fields_of(watch, "a.ini") == (33, 34, "/run/a"))
        source.put("a.ini/uid", "35")
        await watch.until(lambda: fields_of(watch, "a.ini") == (35, 34, "/run/a"))
        source.remove("a.ini/socket")
        await watch.until(lambda: fields_of(watch, "a.ini") == (35, 34, None))
        source.put("a.ini/gid", "")
        await watch.until(lambda: fields_of(watch, "a.ini") == (35, None, None))
        source.put("a.ini/other", "x")
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
        assert fields_of(watch, "a.ini") == (35, None, None)


async def test_whose_it_is_counts_in_tyrant_mode_only(source: ZooSource) -> None:
    source.put("a.ini", "one")
    source.put("a.ini/uid", "33")
    async with watching(source.monitor(SELDOM)) as watch:
        assert fields_of(watch, "a.ini") == (None, None, None)


LONG = "n" * 251


@pytest.mark.parametrize(
    ("bad", "label", "reason"),
    [
        pytest.param({"bad": "c"}, "bad", "no extension", id="no extension"),
        pytest.param({f"{LONG}.ini": "c"}, f"{LONG}.ini", "255 bytes", id="long name"),
        pytest.param({"bad.ini": ""}, "bad.ini", "the config is empty", id="no data"),
        pytest.param({"bad.ini": "x" * 65536}, "bad.ini", "65536 bytes", id="long data"),
        pytest.param({"bad.ini": "a\0b"}, "bad.ini", "NUL", id="NUL"),
        pytest.param({"bad.ini": "c", "bad.ini/uid": "root"}, "bad.ini", "the uid is no", id="uid"),
        pytest.param({"bad.ini": "c", "bad.ini/uid": "-1"}, "bad.ini", "the uid is -1", id="-1"),
        pytest.param({"bad.ini": "c", "bad.ini/gid": "4294967295"}, "bad.ini", "gid", id="gid"),
        pytest.param({"bad.ini": "c", "bad.ini/gid": "\xff"}, "bad.ini", "gid", id="no ASCII"),
        pytest.param({"bad.ini": "c", "bad.ini/socket": "a\nb"}, "bad.ini", "socket", id="socket"),
    ],
)
async def test_a_bad_znode_stops_no_good_one(
    source: ZooSource, bad: dict[str, str], label: str, reason: str
) -> None:
    for name, content in {"a.ini": "one", **bad, "z.ini": "x" * 65535}.items():
        source.put(name, content)
    told = await listing_of(open_url(source.url[6:], SELDOM))
    assert {name: len(seen.content or b"") for name, seen in told.seen.items()} == {
        "a.ini": 3,
        "z.ini": 65535,
    }
    assert list(told.refused) == [label]
    assert reason in told.refused[label]


async def test_a_znode_that_goes_bad_is_not_gone_and_may_be_mended(source: ZooSource) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        source.put("a.ini", "")
        await watch.until(lambda: "a.ini" in watch.refused)
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
        assert watch.refused == {}


async def test_the_root_is_a_path(source: ZooSource) -> None:
    put(talk(), f"{source.path}.ini", "one")
    told = await listing_of(open_url(f"{shared().where['hosts']}/", SELDOM))
    assert told.seen[f"{source.path[1:]}.ini"].content == b"one"
    talk().delete(f"{source.path}.ini")


@pytest.mark.parametrize(
    ("constant", "value", "reason"),
    [("MOST_ZNODES", 3, "more than 3 znodes"), ("MOST_BYTES", 1 << 20, "more than 1 MiB of data")],
)
async def test_too_much_fails(
    source: ZooSource, monkeypatch: pytest.MonkeyPatch, constant: str, value: int, reason: str
) -> None:
    monkeypatch.setattr(zookeeper, constant, value)
    for count in range(value if value < 9 else 16):
        source.put(f"{count}.ini", "c" * 65535)
    assert reason not in str(await listing_of(open_url(source.url[6:], SELDOM)))
    for count in range(2):
        source.put(f"more{count}.ini", "c" * 65535)
    assert reason in await failure_of(open_url(source.url[6:], SELDOM))


# The path


async def test_a_path_is_waited_for(source: ZooSource) -> None:
    talk().delete(source.path)
    async with watching(source.monitor(SELDOM)) as watch:
        assert watch.failures() == [
            f"there is no znode {source.path}; it is waited for until it is made"
        ]
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")
        talk().delete(source.path, recursive=True)
        await watch.until(lambda: isinstance(watch.told[-1], Failed))
        kept = list(watch.seen)
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
        assert kept in ([], ["a.ini"])  # its znode is deleted first, which may have been seen


# Races, made to happen


class Meddler:
    """Does something before a znode's data is asked for, or before it is ``listed``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clients: list[Client] = []
        self.deeds: Mapping[str, Callable[[], object]] = {}
        meddler = self

        class Meddled(Client):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                meddler.clients.append(self)

            async def get(self, path: str) -> tuple[bytes | None, Any]:
                await self.meddle(path)
                return await super().get(path)

            async def children(self, path: str) -> tuple[list[str], Any]:
                await self.meddle(f"{path} listed")
                return await super().children(path)

            async def meddle(self, key: str) -> None:
                if (deed := meddler.deeds.get(key)) is not None:
                    await trio.to_thread.run_sync(deed)

        monkeypatch.setattr(zookeeper, "Client", Meddled)


@pytest.fixture
def meddler(monkeypatch: pytest.MonkeyPatch) -> Meddler:
    return Meddler(monkeypatch)


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


# Sessions


async def expire(client: Client) -> None:
    """End a client's session behind its back."""
    identity = client._kazoo.client_id
    with talking(shared().where["hosts"], client_id=identity) as thief:
        assert thief.client_id[0] == identity[0]


async def test_a_session_that_expires_is_replaced(source: ZooSource, meddler: Meddler) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        (client,) = meddler.clients
        session = client.session
        await expire(client)
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
        source.put("a.ini", "three")
        await watch.shows("a.ini", "three")
        assert client.session not in (None, session)
        assert watch.failures() == [EXPIRED]
        assert watch.kinds()[-1] == "Listing"
        assert len(meddler.clients) == 1


# Credentials


def digest(*users: str, **permissions: bool) -> list[Any]:
    return [make_digest_acl(user, SECRET, **permissions) for user in users]


async def test_digest_credentials(source: ZooSource) -> None:
    source.put("a.ini", "one")
    for path in (source.path, f"{source.path}/a.ini"):
        talk().set_acls(
            path, [*digest("deployer", read=True), make_acl("world", "anyone", admin=True)]
        )
    monitor = open_url(f"{source.url[6:]}?auth=digest:deployer:{QUOTED}", SELDOM)
    assert (await listing_of(monitor)).seen["a.ini"].content == b"one"
    assert monitor.url == f"{source.url}?auth=digest:deployer:***"
    for wrong in ("", "?auth=digest:deployer:s3cr3t-no"):
        reason = await failure_of(open_url(source.url[6:] + wrong, SELDOM))
        assert reason == f"ZooKeeper does not let us list {source.path}; check its ACL"


@pytest.mark.parametrize("hidden", ["a.ini", "a.ini/uid"])
async def test_what_may_not_be_read_is_refused_and_not_gone(source: ZooSource, hidden: str) -> None:
    source.put("a.ini", "one")
    source.put("a.ini/uid", "33")
    source.put("b.ini", "one")
    async with watching(source.monitor(MonitorOptions(freq=OFTEN, tyrant=True))) as watch:
        talk().set_acls(f"{source.path}/{hidden}", UNREADABLE)
        await watch.until(lambda: watch.refused)
        assert watch.refused == {
            "a.ini": "ZooKeeper does not let us read all of it; check the ACLs"
        }
        assert list(watch.seen) == ["b.ini"]


async def test_what_may_not_be_listed_stays_a_failure_whatever_else_may_be_read(
    source: ZooSource, meddler: Meddler
) -> None:
    def fail() -> None:
        meddler.deeds = {}
        source.fail()

    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        meddler.deeds = {f"{source.path} listed": fail}
        source.put("b.ini", "one")
        await watch.until(watch.failures)
        start = len(watch.told)
        source.put("a.ini", "two")
        await watch.until(lambda: len(watch.told) > start)
        assert watch.kinds()[start:] == ["Failed"]
        source.mend()
        source.put("a.ini", "three")
        await watch.shows("a.ini", "three")
        assert sorted(watch.seen) == ["a.ini", "b.ini"]


# The announcement

OURS = f"{socket.gethostname()}:{os.getpid()}"


async def soon(condition: Callable[[], object]) -> None:
    """Wait for what happens elsewhere, while the monitor runs."""
    await trio.to_thread.run_sync(until, condition, "what happens elsewhere")


async def announced(path: str, source: ZooSource, vassals: int, but_by: int | None = None) -> int:
    """Wait until that is announced, not by the session ``but_by``; the session that does."""
    expected = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "path": source.path,
        "vassals": vassals,
    }
    owner = 0

    def is_there() -> bool:
        nonlocal owner
        stat = talk().exists(path)
        owner = 0 if stat is None else stat.ephemeralOwner
        if owner in (0, but_by):
            return False
        with contextlib.suppress(NoNodeError):
            return bool(json.loads(talk().get(path)[0]) == expected)
        return False

    await soon(is_there)
    return owner


async def test_it_is_announced_while_it_runs(source: ZooSource, meddler: Meddler) -> None:
    path = f"{source.path}-emperors/web/1"
    source.put("a.ini", "one")
    monitor = open_url(f"{source.url[6:]}?announce={path}", SELDOM)
    assert monitor.url == f"{source.url}?announce={path}"
    async with watching(monitor):
        (client,) = meddler.clients
        await announced(path, source, 1)
        source.put("b.ini", "one")
        await announced(path, source, 2)
        session = client.session
        await expire(client)
        await announced(path, source, 2, but_by=session)
        talk().delete(path)
        await announced(path, source, 2)
        source.remove("a.ini")
        await announced(path, source, 1)
    assert talk().exists(path) is None


async def test_it_is_announced_that_there_is_nothing(source: ZooSource) -> None:
    path = f"{source.path}-emperor"
    talk().delete(source.path)
    async with watching(open_url(f"{source.url[6:]}?announce={path}", SELDOM)) as watch:
        assert watch.failures()
        await announced(path, source, 0)


@pytest.mark.parametrize("slash", ["/", ""])
async def test_a_folder_has_all_of_them(source: ZooSource, slash: str) -> None:
    folder = f"{source.path}-emperors"
    if not slash:
        talk().create(folder)
    async with watching(open_url(f"{source.url[6:]}?announce={folder}{slash}", SELDOM)):
        await announced(f"{folder}/{OURS}", source, 0)
    assert talk().get_children(folder) == []


async def test_a_daemon_with_two_sources_announces_both_in_one_folder(
    source: ZooSource, caplog: pytest.LogCaptureFixture
) -> None:
    folder, other = f"{source.path}-emperors", ZooSource()
    source.put("a.ini", "one")
    async with watching(open_url(f"{source.url[6:]}?announce={folder}/", SELDOM)):
        await announced(f"{folder}/{OURS}", source, 1)
        async with watching(open_url(f"{other.url[6:]}?announce={folder}/", SELDOM)):
            await announced(f"{folder}/{OURS}.2", other, 0)
            other.put("b.ini", "one")
            await announced(f"{folder}/{OURS}.2", other, 1)
        assert talk().get_children(folder) == [OURS]
    assert not caplog.messages


@pytest.mark.parametrize("name", ["", f"/{OURS}"], ids=["path", "folder"])
async def test_the_znode_of_a_session_before_is_replaced(source: ZooSource, name: str) -> None:
    """A server that hangs is left without a farewell, and may not have missed us yet."""
    path = f"{source.path}-emperor"
    about = Announcement(source.url, f"{path}/" if name else path, source.path)
    host, _, port = shared().where["hosts"].partition(":")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            client = Client([(host, int(port))], (), 10, lambda _: None, lambda: None)
            stack.push_async_callback(client.close)
            client.start()
            await Announcer(client, about).keep(1)
            await announced(f"{path}{name}", source, 1)
            assert talk().exists(f"{path}{name}").ephemeralOwner == client.session
    assert talk().exists(f"{path}{name}") is None


async def test_anothers_place_is_waited_for(
    source: ZooSource, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"{source.path}-emperor"
    with talking(shared().where["hosts"]) as another:
        another.create(path, b"{}", ephemeral=True)
        source.put("a.ini", "one")
        async with watching(open_url(f"{source.url[6:]}?announce={path}", SELDOM)) as watch:
            for content in ("two", "three"):
                source.put("a.ini", content)
                await watch.shows("a.ini", content)
            await soon(lambda: caplog.messages)
            assert talk().get(path)[0] == b"{}"
            await trio.to_thread.run_sync(another.delete, path)
            await announced(path, source, 1)
            assert watch.failures() == []
    assert len(caplog.messages) == 1
    assert "another one's is there" in caplog.messages[0]


async def test_what_may_not_be_announced_is_no_failure(
    source: ZooSource, caplog: pytest.LogCaptureFixture
) -> None:
    folder = f"{source.path}-emperors"
    talk().create(folder, acl=[make_acl("world", "anyone", read=True, admin=True)])
    monitor = open_url(
        f"{source.url[6:]}?announce={folder}/x&auth=digest:deployer:{QUOTED}", SELDOM
    )
    async with watching(monitor) as watch:
        await soon(lambda: caplog.messages)
        source.put("a.ini", "one")
        await watch.shows("a.ini", "one")
        assert watch.failures() == []
    (message,) = caplog.messages
    assert message == f"{monitor.url}: no announcement: ZooKeeper does not let us write there"
    assert "s3cr3t" not in caplog.text


async def test_an_announcement_with_credentials_can_be_seen_by_all_and_changed_by_us(
    source: ZooSource,
) -> None:
    path = f"{source.path}-emperor"
    monitor = open_url(f"{source.url[6:]}?announce={path}&auth=digest:deployer:{QUOTED}", SELDOM)
    async with watching(monitor):
        await announced(path, source, 0)
        acls, _ = talk().get_acls(path)
        assert {(acl.id.scheme, acl.perms) for acl in acls} == {("digest", 31), ("world", 1)}
