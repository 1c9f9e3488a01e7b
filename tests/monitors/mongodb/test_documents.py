"""mongodb:// on a real server: which documents are vassals, and which fields count."""

from datetime import UTC, datetime
from typing import Any

import pytest
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
from emperord.monitors.contract import Listing
from emperord.monitors.mongodb import documents
from emperord.monitors.options import MonitorOptions
from emperord.monitors.table import Table
from support.mongodb import MongoSource

from ..watching import NEVER, watching
from .readings import BUSY, SELDOM, listing_of


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
    reading = Table(SELDOM, {}).reading()
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


async def test_the_author_the_release_and_attrs_are_recorded_for_people(
    source: MongoSource,
) -> None:
    inner = {"ticket": 7, "by\n": "x" * 300, "deep": {"a": 1}}
    spec = await spec_of(source, author="Zoë", release=42, attrs=inner, other="not taken")
    assert {key: spec.attrs[key] for key in ("author", "release", "ticket")} == {
        "author": "Zoë",
        "release": "42",
        "ticket": "7",
    }
    assert spec.attrs["by\\n"] == "x" * 200
    assert set(spec.attrs) == {"author", "release", "ticket", "by\\n", "deep"}
