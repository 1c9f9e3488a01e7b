"""zoo:// announces the vassals that run, in a znode of its own."""

import contextlib

import pytest
import trio
from emperord.monitors.zookeeper import announcer
from emperord.monitors.zookeeper.announcer import Announcement, Announcer
from emperord.monitors.zookeeper.client import Client
from emperord.monitors.zookeeper.monitor import open_url
from kazoo.security import make_acl  # type: ignore[import-untyped]
from support.zookeeper import ALL, ZooSource, shared, talk, talking

from ..watching import watching
from .announcements import OURS, announced, soon
from .readings import QUOTED, SELDOM, Meddler, expire

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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


@pytest.mark.parametrize("below", [(), ("x",)], ids=["empty", "with one below"])
async def test_a_znode_that_stays_is_never_ours(source: ZooSource, below: tuple[str, ...]) -> None:
    folder = f"{source.path}-emperors"
    for path in (folder, f"{folder}/{OURS}", *(f"{folder}/{OURS}/{each}" for each in below)):
        talk().create(path, b"precious")
    async with watching(open_url(f"{source.url[6:]}?announce={folder}/", SELDOM)) as watch:
        await announced(f"{folder}/{OURS}.2", source, 0)
        assert watch.failures() == []
    assert talk().get(f"{folder}/{OURS}")[0] == b"precious"


async def test_another_words_in_ours_are_mended(source: ZooSource) -> None:
    path = f"{source.path}-emperor"
    async with watching(open_url(f"{source.url[6:]}?announce={path}", SELDOM)):
        await announced(path, source, 0)
        talk().set(path, b"{}")
        await announced(path, source, 0)


async def test_a_place_below_one_that_ends_is_no_failure(
    source: ZooSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(announcer, "_PAUSE", 0.1)
    folder = f"{source.path}-emperors"
    with talking(shared().where["hosts"]) as another:
        another.create(folder, b"{}", ephemeral=True)
        async with watching(open_url(f"{source.url[6:]}?announce={folder}/", SELDOM)) as watch:
            await soon(lambda: caplog.messages)
            another.delete(folder)
            await announced(f"{folder}/{OURS}", source, 0)
            assert watch.failures() == []
    assert [each.rpartition("no announcement: ")[2] for each in caplog.messages] == [
        "the znode above it ends with a session, so none can be below it"
    ]


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


async def test_a_right_to_write_is_noticed_though_nothing_tells_of_it(
    source: ZooSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(announcer, "_PAUSE", 0.1)
    folder = f"{source.path}-emperors"
    talk().create(folder, acl=[make_acl("world", "anyone", read=True, admin=True)])
    async with watching(open_url(f"{source.url[6:]}?announce={folder}/x", SELDOM)):
        await soon(lambda: caplog.messages)
        talk().set_acls(folder, ALL)
        await announced(f"{folder}/x", source, 0)


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
