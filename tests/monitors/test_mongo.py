"""mongodb:// against a real server: what is a vassal, what fails, what hangs, what wakes it."""

import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
import trio
from bson import (
    Binary,
    Decimal128,
    Int64,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
    encode,
)
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from emperord.journal.events import Spec
from emperord.monitors.contract import Failed, Listing
from emperord.monitors.mongodb import documents
from emperord.monitors.mongodb import monitor as mongo
from emperord.monitors.mongodb.filters import parse
from emperord.monitors.mongodb.url import read
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from emperord.monitors.rows import Table
from support.mongodb import MongoSource, client_of
from support.services import Order, Service, service

from .watching import NEVER, OFTEN, Watching, watching

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)
PASSWORD = "p,w/@{}"  # noqa: S105  # it opens nothing outside these tests
HASTE = 1.0  # seconds; the limit of monitors whose servers do not answer


@pytest.fixture
def source() -> MongoSource:
    return MongoSource()


@pytest.fixture
def server() -> Iterator[Service]:
    """A server to be stopped, killed and frozen."""
    with service("mongodb") as running:
        yield running


@pytest.fixture
def own(server: Service) -> Iterator[MongoSource]:
    """A source in that server."""
    with client_of(server) as client:
        yield MongoSource(client=client, hosts=server.where["hosts"])


def make_durable(server: Service) -> None:
    """All writes so far survive a kill from now on; servers take their time for that."""
    server("stop")
    server("start")


async def listing_of(source: MongoSource, options: MonitorOptions = SELDOM) -> Listing:
    async with watching(source.monitor(options)) as watch:
        (told,) = watch.told
        assert isinstance(told, Listing), told
        return told


async def spec_of(source: MongoSource, options: MonitorOptions = SELDOM, **fields: Any) -> Spec:
    source.vassals.insert_one({"name": "a.ini", "config": "x", "ts": 1, **fields})
    listing = await listing_of(source, options)
    assert listing.refused == {}
    return listing.seen["a.ini"].spec


# Documents


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("ts", "nanoseconds"),
    [
        pytest.param(datetime(2024, 2, 29, 12, 0, 0, 5000, UTC), 1709208000005000000, id="date"),
        pytest.param(DatetimeMS(-1), -1000000, id="date before 1970"),
        pytest.param(DatetimeMS(1), 1000000, id="one millisecond"),
        pytest.param(1, 1000000000, id="seconds"),
        pytest.param(1.5, 1500000000, id="seconds with a fraction"),
        pytest.param(Int64(1709208000), 1709208000 * 10**9, id="long"),
        pytest.param(Decimal128("1.000000001"), 1000000001, id="decimal"),
        pytest.param(Timestamp(7, 3), 7000000003, id="timestamp"),
        pytest.param("12.5", 12500000000, id="number as a text"),
    ],
)
async def test_ts(source: MongoSource, ts: Any, nanoseconds: int) -> None:
    assert (await spec_of(source, ts=ts)).ts == nanoseconds


async def test_owner_and_socket(source: MongoSource) -> None:
    fields = {"uid": 33.0, "gid": Int64(34), "socket": "/run/a.sock"}
    spec = await spec_of(source, MonitorOptions(freq=NEVER, tyrant=True), **fields)
    assert (spec.uid, spec.gid, spec.socket) == (33, 34, "/run/a.sock")
    spec = (await listing_of(source)).seen["a.ini"].spec
    assert (spec.uid, spec.gid, spec.socket) == (None, None, "/run/a.sock")


async def test_a_config_may_be_bytes(source: MongoSource) -> None:
    source.vassals.insert_one({"name": "a.ini", "config": b"[uwsgi]\n\xff", "ts": 1})
    assert (await listing_of(source)).seen["a.ini"].content == b"[uwsgi]\n\xff"


OID = ObjectId("65e0a1b2c3d4e5f601234567")
LABEL = f"document {OID}"
NO_TEXT = "the name is not a text but of type "

BAD = [
    pytest.param({"config": "x", "ts": 1}, LABEL, "the name is missing", id="no name"),
    pytest.param({"name": ""}, LABEL, "the name is empty", id="empty name"),
    pytest.param({"name": None}, LABEL, "the name is missing", id="null name"),
    pytest.param({"name": 5}, LABEL, NO_TEXT + "int", id="number as a name"),
    pytest.param({"name": ["a.ini"]}, LABEL, NO_TEXT + "list", id="array as a name"),
    pytest.param({"name": {"a": 1}}, LABEL, NO_TEXT + "dict", id="object as a name"),
    pytest.param({"name": b"a.ini"}, LABEL, NO_TEXT + "bytes", id="bytes as a name"),
    pytest.param({"name": "a.txt"}, "a.txt", "the name has no extension", id="extension"),
    pytest.param({"name": "a\n.ini"}, "a\\n.ini", "the name has a control", id="newline in name"),
    pytest.param({"name": "a\0.ini"}, "a\\x00.ini", "the name has a control", id="NUL in name"),
    pytest.param({"name": "x" * 251 + ".ini"}, "x" * 251 + ".ini", "255 bytes", id="long name"),
    pytest.param({"ts": None}, "b.ini", "the ts is missing", id="no ts"),
    pytest.param({"ts": float("nan")}, "b.ini", "the ts is not finite", id="NaN"),
    pytest.param({"ts": float("-inf")}, "b.ini", "the ts is not finite", id="infinite"),
    pytest.param({"ts": Decimal128("NaN")}, "b.ini", "the ts is not finite", id="decimal NaN"),
    pytest.param({"ts": Decimal128("1E+6000")}, "b.ini", "out of range", id="huge decimal"),
    pytest.param({"ts": 1709208000000}, "b.ini", "it is seconds since 1970", id="milliseconds"),
    pytest.param({"ts": True}, "b.ini", "of type bool", id="boolean"),
    pytest.param({"ts": "soon"}, "b.ini", "the ts is no number but 'soon'", id="word as ts"),
    pytest.param({"ts": {"t": 1}}, "b.ini", "of type dict", id="object as ts"),
    pytest.param({"ts": MinKey()}, "b.ini", "of type MinKey", id="MinKey as ts"),
    pytest.param({"config": 1}, "b.ini", "the config is not a text", id="number as config"),
    pytest.param({"config": {"uwsgi": {}}}, "b.ini", "of type dict", id="object as config"),
    pytest.param({"config": Regex("x")}, "b.ini", "of type Regex", id="regex as config"),
    pytest.param({"config": "a\0b"}, "b.ini", "the config has a NUL byte", id="NUL in config"),
    pytest.param({"config": Binary(b"\0" * 9, 5)}, "b.ini", "NUL byte", id="binary config"),
    pytest.param({"config": "x" * 65536}, "b.ini", "has 65536 bytes, 65535 fit", id="64 KiB"),
    pytest.param({"config": "x" * 16_000_000}, "b.ini", "has 16000000 bytes", id="16 MB"),
    pytest.param({"config": None}, "b.ini", "it has no config, and ", id="no config, no file"),
    pytest.param({"uid": "www-data"}, "b.ini", "the uid is no whole number", id="uid by name"),
    pytest.param({"uid": -1}, "b.ini", "the uid is -1", id="negative uid"),
    pytest.param({"gid": 0.5}, "b.ini", "the gid is 0.5, it must be a whole", id="half a gid"),
    pytest.param(
        {"gid": Decimal128("NaN")}, "b.ini", "the gid is NaN, it must be a whole", id="gid is NaN"
    ),
    pytest.param({"socket": 5}, "b.ini", "the socket is not a text", id="number as socket"),
    pytest.param({"socket": "a\nb"}, "b.ini", "the socket is not an address", id="bad socket"),
]


@pytest.mark.few(10)
@pytest.mark.parametrize(("fields", "label", "reason"), BAD)
async def test_a_bad_document_is_refused_and_only_it(
    source: MongoSource, fields: dict[str, Any], label: str, reason: str
) -> None:
    bad = {"_id": OID, "name": "b.ini", "config": "x", "ts": 1, **fields}
    if fields.keys() == {"config", "ts"}:
        del bad["name"]
    good = [{"_id": n, "name": f"{n}.ini", "config": "x", "ts": 1} for n in ("a", "z")]
    source.vassals.insert_many([good[0], bad, good[1]])
    async with watching(source.monitor(BUSY)) as watch:
        assert list(watch.seen) == ["a.ini", "z.ini"]
        assert list(watch.refused) == [label]
        assert reason in watch.refused[label]
        first = watch.told[0]
        assert isinstance(first, Listing)
        (again,) = await watch.listings(1)
        assert again.refused == first.refused


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"ts": Decimal128("sNaN")}, "the ts is not finite", id="signalling NaN"),
        pytest.param({"ts": [1]}, "of type list", id="list"),
        pytest.param(
            {"uid": Decimal128("sNaN")}, "the uid is nan, it must be a whole", id="NaN as uid"
        ),
        pytest.param({"config": 1}, "the config is not a text", id="number as config"),
    ],
)
async def test_a_document_that_goes_bad_is_not_gone(
    source: MongoSource, fields: dict[str, Any], reason: str
) -> None:
    source.vassals.insert_one({"name": "a.ini", "config": "x", "ts": Decimal128("1")})
    async with watching(source.monitor(BUSY)) as watch:
        source.vassals.update_one({"name": "a.ini"}, {"$set": fields})
        await watch.until(lambda: watch.refused)
        assert list(watch.refused) == ["a.ini"]
        assert reason in watch.refused["a.ini"]
        assert not watch.failures()


def test_documents_that_cannot_be_decoded() -> None:
    """Not every server looks at what drivers send it."""
    good = {"_id": 1, "name": "a.ini", "config": "x", "ts": 1}
    odd = b"\xff\xfe\xff\xfe"
    raw = [
        encode(good | {"config": "????"}).replace(b"????", odd),
        encode(good | {"name": "????.ini"}).replace(b"????", odd),
        encode(good | {"ts": DatetimeMS(2**62), "name": "b.ini"}),
        encode(good | {"name": "c.ini"}).replace(b"\x02config", b"\x77config"),
        encode(good | {"name": "d.ini"}),
    ]
    reading = Table(SELDOM).reading()
    found = [RawBSONDocument(each, documents.CODEC) for each in raw]
    for row in documents.rows(reading, found):
        reading.add(row)
    listing = reading.listing()
    assert isinstance(listing, Listing)
    assert {name: seen.content for name, seen in listing.seen.items()} == {
        "a.ini": odd,
        "d.ini": b"x",
    }
    assert listing.refused["\\xff\\xfe\\xff\\xfe.ini"] == "the name is not UTF-8"
    assert listing.refused["b.ini"] == "the ts is out of range; it is seconds since 1970"
    assert listing.refused["a document that cannot be decoded"].startswith("it is not BSON: ")
    assert len(listing.refused) == 3


async def test_of_two_with_one_name_the_first_counts(source: MongoSource) -> None:
    for key in (2, 1, 3):
        source.vassals.insert_one({"_id": key, "name": "a.ini", "config": f"{key}", "ts": key})
    listing = await listing_of(source)
    assert listing.seen["a.ini"].content == b"1"
    assert listing.refused == {"a.ini": "the name is there twice; the first one counts"}


async def test_only_what_the_filter_finds(source: MongoSource) -> None:
    for name, enabled in (("a", 1), ("b", 0), ("c", True), ("d", 1.0)):
        source.put(f"{name}.ini", "x")
        source.vassals.update_one({"name": f"{name}.ini"}, {"$set": {"enabled": enabled}})
    async with watching(source.hurried(SELDOM, 10, ",{enabled:1}")) as watch:
        assert list(watch.seen) == ["a.ini", "d.ini"]
        source.vassals.update_one({"name": "b.ini"}, {"$set": {"enabled": 1}})
        await watch.until(lambda: "b.ini" in watch.seen)
        source.vassals.update_one({"name": "a.ini"}, {"$set": {"enabled": 0}})
        await watch.until(lambda: list(watch.seen) == ["b.ini", "d.ini"])


# Documents without a config


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("config", [None, "", "absent"])
async def test_a_file_of_that_name(source: MongoSource, here: Path, config: str | None) -> None:
    (here / "sub").mkdir()
    for name in ("a.ini", "sub/b.ini", f"{here}/c.ini"):
        (here / name).write_text("[emperor]\ncommand = true\n")
        document = {"name": name, "ts": 1, "config": config}
        if config == "absent":
            del document["config"]
        source.vassals.insert_one(document)
    listing = await listing_of(source)
    assert listing.refused == {}
    places = {name: (seen.spec.path, seen.spec.cwd) for name, seen in listing.seen.items()}
    assert places == {
        "a.ini": (f"{here}/a.ini", str(here)),
        "sub/b.ini": (f"{here}/sub/b.ini", str(here)),
        f"{here}/c.ini": (f"{here}/c.ini", None),
    }
    seen = listing.seen["a.ini"]
    assert seen.content == b"[emperor]\ncommand = true\n"
    assert seen.spec.settings == {"command": "true"}


async def test_a_file_counts_by_its_documents_ts(source: MongoSource, here: Path) -> None:
    file = here / "a.ini"
    file.write_text("one")
    source.vassals.insert_one({"name": "a.ini", "ts": 1})
    async with watching(source.monitor(BUSY)) as watch:
        file.write_text("two")
        await watch.listings(2)
        assert watch.contents["a.ini"] == b"one"
        source.vassals.update_one({}, {"$set": {"ts": 2}})
        await watch.shows("a.ini", "two")


async def test_a_file_that_is_missing_is_waited_for(source: MongoSource, here: Path) -> None:
    source.vassals.insert_one({"name": "a.ini", "ts": 1})
    async with watching(source.monitor(BUSY)) as watch:
        reason = f"it has no config, and {here}/a.ini: No such file or directory"
        assert watch.refused == {"a.ini": reason}
        (here / "a.ini").write_text("one")
        await watch.shows("a.ini", "one")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("../a.ini", "goes up", id="up"),
        pytest.param("sub/../../a.ini", "goes up", id="up and away"),
        pytest.param("/etc/../a.ini", "goes up", id="absolute, up"),
        pytest.param("exec://a.ini", "for a scheme", id="exec"),
        pytest.param("http://h/a.ini", "for a scheme", id="http"),
        pytest.param("sub.ini", "is no file", id="directory"),
        pytest.param("pipe.ini", "is no file", id="pipe"),
        pytest.param("dangling.ini", "No such file", id="dangling"),
    ],
)
async def test_a_name_that_is_no_file_of_ours(
    source: MongoSource, here: Path, name: str, reason: str
) -> None:
    (here / "sub.ini").mkdir()
    os.mkfifo(here / "pipe.ini")
    (here / "dangling.ini").symlink_to("nowhere")
    (here.parent / "a.ini").write_text("x")
    source.vassals.insert_one({"name": name, "ts": 1})
    listing = await listing_of(source)
    assert listing.seen == {}
    assert reason in listing.refused[name]


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


# Failing


async def test_a_filter_that_the_server_refuses(source: MongoSource) -> None:
    async with watching(source.hurried(BUSY, HASTE, ",{x:{$nonsense:1}}")) as watch:
        assert "$nonsense" in watch.failures()[0]
        assert "full error" not in watch.failures()[0]


@pytest.mark.parametrize(
    ("bound", "value", "reason"),
    [
        ("_MOST_DOCUMENTS", 2, "more than 2 documents fit the filter"),
        ("_MOST_BYTES", 250, "have more than 0 MiB"),
    ],
)
async def test_too_much_is_a_failure(
    source: MongoSource, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, reason: str
) -> None:
    for name in ("a", "b", "c"):
        source.put(f"{name}.ini", "x" * 50)
    monkeypatch.setattr(mongo, bound, value)
    async with watching(source.monitor(BUSY)) as watch:
        assert reason in watch.failures()[0]
        source.remove("b.ini")
        source.remove("c.ini")
        await watch.until(lambda: list(watch.seen) == ["a.ini"])


async def test_a_password_is_never_shown(source: MongoSource) -> None:
    hosts = source.hosts
    for userinfo in ("me:hidden", "hidden%40:hid%64en"):
        source.hosts = f"{userinfo}@{hosts}"
        monitor = source.hurried(BUSY, HASTE)
        async with watching(monitor) as watch:
            assert "uthentication failed" in watch.failures()[0]
            assert "hidden" not in watch.failures()[0].replace("hidden@", "")
        assert ":***@" in monitor.url


async def test_a_user_who_may(source: MongoSource) -> None:
    source.client["admin"].command(
        "createUser", source.database, pwd=PASSWORD, roles=["readAnyDatabase"]
    )
    source.put("a.ini", "one")
    source.hosts = f"{source.database}:{quote_plus(PASSWORD)}@{source.hosts}"
    async with watching(source.monitor(SELDOM)) as watch:
        await watch.shows("a.ini", "one")
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
    source.client["admin"].command("dropUser", source.database)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("order", "freq"),
    [
        pytest.param("stop", OFTEN, id="stopped while reading"),
        pytest.param("kill", NEVER, id="killed while waiting"),
    ],
)
async def test_a_server_that_is_restarted(
    server: Service, own: MongoSource, order: Order, freq: float
) -> None:
    own.put("a.ini", "one")
    if order == "kill":
        make_durable(server)
    async with watching(own.hurried(MonitorOptions(freq=freq), HASTE)) as watch:
        server(order)
        await watch.until(lambda: watch.failures())
        server("start")
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        listings = [each for each in watch.told if isinstance(each, Listing)]
        # Nothing was taken for gone, and what is as it was is the very spec of before.
        assert {id(each.seen["a.ini"].spec) for each in listings} == {
            id(listings[0].seen["a.ini"].spec)
        }
        own.put("a.ini", "two")
        await watch.shows("a.ini", "two")


@pytest.mark.few(1)
@pytest.mark.parametrize("freq", [OFTEN, NEVER], ids=["while reading", "while waiting"])
async def test_a_server_that_freezes(server: Service, own: MongoSource, freq: float) -> None:
    own.put("a.ini", "one")
    async with watching(own.hurried(MonitorOptions(freq=freq), HASTE)) as watch:
        server("freeze")
        await watch.until(lambda: watch.failures())
        assert list(watch.seen) == ["a.ini"]
        server("thaw")
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        own.put("a.ini", "two")
        await watch.shows("a.ini", "two")


async def test_pymongo_is_the_first_to_notice_that_a_server_freezes(
    server: Service, own: MongoSource
) -> None:
    own.put("a.ini", "one")
    often = "heartbeatFrequencyMS=500&serverSelectionTimeoutMS=500"
    place = read(f"{own.hosts}/?directConnection=true&{often},{own.database}.vassals")
    async with watching(mongo.Mongo(place, BUSY, limit=5 * HASTE)) as watch:
        await watch.until(lambda: watch.seen)
        server("freeze")
        await watch.until(lambda: watch.failures())
        assert watch.failures() == ["the server stopped answering"]
        server("thaw")


@pytest.mark.few(1)
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("freq", [OFTEN, NEVER], ids=["while reading", "while waiting"])
async def test_cancelled_while_the_server_is_frozen(server: Service, freq: float) -> None:
    source = MongoSource(hosts=server.where["hosts"])
    before = os.listdir("/proc/self/fd")
    async with watching(source.monitor(MonitorOptions(freq=freq))):
        server("freeze")
        cancelled = trio.current_time()
    assert trio.current_time() - cancelled < 5
    assert os.listdir("/proc/self/fd") == before
    server("thaw")


async def _silence(stream: trio.SocketStream) -> None:
    async with stream:
        await stream.receive_some()
        await trio.sleep_forever()


async def _nonsense(stream: trio.SocketStream) -> None:
    async with stream:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)))


async def _hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "manners",
    [
        pytest.param(_silence, id="silent"),
        pytest.param(_nonsense, id="nonsense"),
        pytest.param(_hang_up, id="hangs up"),
    ],
)
async def test_what_is_no_mongodb(manners: Any) -> None:
    serve = partial(trio.serve_tcp, manners, 0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        source = MongoSource(hosts=f"me:hidden@127.0.0.1:{port}")
        async with watching(source.hurried(BUSY, HASTE)) as watch:
            await watch.until(lambda: len(watch.told) > 1)
            assert all(isinstance(each, Failed) for each in watch.told)
            assert "hidden" not in "".join(watch.failures())
        nursery.cancel_scope.cancel()


async def test_a_server_that_takes_connections_and_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        monitor = mongo.Mongo(read(f"u:hidden@{place},x.y"), BUSY, limit=HASTE)
        async with watching(monitor) as watch:
            assert watch.failures()[0] == f"{place} takes connections and does not answer"


async def test_a_server_that_takes_no_connection() -> None:
    """Its backlog is full, so that the kernel drops what else comes."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        place = f"127.0.0.1:{full.getsockname()[1]}"
        async with watching(mongo.Mongo(read(f"{place},x.y"), BUSY, limit=HASTE)) as watch:
            assert watch.failures()[0] == f"{place} does not answer"


async def test_nobody_is_there() -> None:
    async with watching(mongo.Mongo(read("127.0.0.1:1,x.y"), BUSY, limit=HASTE)) as watch:
        assert watch.failures()[0] == "127.0.0.1:1: Connection refused"


def test_the_library_is_imported_when_it_is_needed() -> None:
    program = (
        "import sys; from emperord.monitors.registry import open_monitor;"
        "import emperord.daemon.main; open_monitor('/tmp'); assert 'pymongo' not in sys.modules;"
        "open_monitor('mongodb://'); assert 'pymongo' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


# The page


NOW = '{"$date": "1970-01-01T00:00:01Z"}'


async def test_what_the_page_says_to_type(source: MongoSource) -> None:
    """Each line in mongosh does what stands above it. Our own parser reads what it is given."""
    page = (Path(__file__).parents[2] / "docs" / "sources-mongodb.md").read_text()
    (block,) = re.findall(r"^```js\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    methods: dict[str, Callable[..., object]] = {
        "createIndex": lambda keys, options: source.vassals.create_index(list(keys), **options),
        "insertOne": source.vassals.insert_one,
        "updateOne": source.vassals.update_one,
    }
    lines = re.findall(r"^// (.*)\ndb\.vassals\.(\w+)\((.*)\)$", block, re.MULTILINE)
    assert [comment for comment, _, _ in lines][1:] == [
        "start one", "change it", "reload it as it is", "end it",
    ]  # fmt: skip
    async with watching(source.hurried(SELDOM, 10, ",{enabled:1}")) as watch:
        before: Spec | None = None

        def differs() -> bool:
            return "hello.ini" in watch.seen and watch.seen["hello.ini"].spec != before

        for comment, method, arguments in lines:
            given = parse(f"{{x:[{arguments.replace('new Date()', NOW)}]}}")
            methods[method](*given["x"])
            if comment == "end it":
                await watch.until(lambda: not watch.seen)
            elif method != "createIndex":
                await watch.until(differs)
                after = watch.seen["hello.ini"].spec
                assert before is None or after.ts > before.ts
                assert (before is not None and after.config == before.config) == (
                    comment == "reload it as it is"
                )
                before = after
