"""mongodb+srv://: a real DNS server on loopback names the MongoDB server.

The name that is asked for is ``cluster.0.0.1``, because its server ``127.0.0.1`` must lie in the
same domain, and this machine resolves that without DNS.
"""

from collections.abc import Iterator

import pytest
from emperord.monitors.contract import Failed, Listing
from emperord.monitors.mongodb.monitor import Mongo
from emperord.monitors.mongodb.url import read
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from support.mongodb import MongoSource, shared
from support.names import NameServer

from ..watching import OFTEN, watching

SRV = ("_mongodb._tcp.cluster.0.0.1", "SRV")
TXT = ("cluster.0.0.1", "TXT")
OPTIONS = MonitorOptions(freq=OFTEN)


@pytest.fixture
def source() -> Iterator[MongoSource]:
    source = MongoSource()
    yield source
    source.client.drop_database(source.database)


def here() -> dict[tuple[str, str], str]:
    return {SRV: f"0 0 {shared().where['port']} 127.0.0.1."}


async def test_it_reads_where_dns_says(source: MongoSource) -> None:
    source.put("a.ini", "one")
    url = f"mongodb+srv://cluster.0.0.1/?tls=false,{source.database}.vassals,{{}}"
    with NameServer(here()) as names:
        monitor = open_monitor(url, OPTIONS)
        assert names.asked == []  # nothing is looked up before it runs
        async with watching(monitor) as watch:
            await watch.shows("a.ini", "one")
            source.put("a.ini", "two")
            await watch.shows("a.ini", "two")
    assert {SRV, TXT} <= set(names.asked)
    assert monitor.url == url


async def test_what_dns_does_not_know_is_told_and_tried_again(source: MongoSource) -> None:
    source.put("a.ini", "one")
    hosts = f"u:hidden@cluster.0.0.1/?tls=false,{source.database}.vassals"
    with NameServer({}):
        async with watching(Mongo(read(hosts, srv=True), OPTIONS, limit=2)) as watch:
            reason = "The DNS query name does not exist: _mongodb._tcp.cluster.0.0.1."
            assert watch.told == [Failed(reason)]
    with NameServer(here()) as names:
        del names.records[SRV]
        names.records[TXT] = "retryWrites=true"
        hosts = hosts.removeprefix("u:hidden@")
        async with watching(Mongo(read(hosts, srv=True), OPTIONS)) as watch:
            assert isinstance(watch.told[0], Failed)
            names.records = here()
            await watch.until(lambda: isinstance(watch.told[-1], Listing))
            assert list(watch.seen) == ["a.ini"]


async def test_a_name_server_that_is_silent_has_a_time_limit() -> None:
    with NameServer({}, silent=True):
        place = read("cluster.0.0.1/?tls=false,a.b", srv=True)
        async with watching(Mongo(place, OPTIONS, limit=1)) as watch:
            (told,) = watch.told
            assert isinstance(told, Failed)
            assert "resolution lifetime expired" in told.reason or "took longer" in told.reason
