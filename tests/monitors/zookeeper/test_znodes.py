"""zoo:// on a real ZooKeeper: which znodes are vassals, and which fields count."""

import pytest
from emperord.monitors.contract import Failed
from emperord.monitors.zookeeper import monitor as zookeeper
from emperord.monitors.zookeeper.monitor import open_url
from support.zookeeper import ZooSource, put, shared, talk

from ..watching import failure_of, listing_of, watching
from .readings import SELDOM, TYRANT, fields_of

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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
