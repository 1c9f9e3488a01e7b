"""zoo:// sessions: they expire and are replaced; credentials and ACLs."""

from typing import Any

import pytest
from emperord.monitors.options import MonitorOptions
from emperord.monitors.zookeeper.monitor import open_url
from kazoo.security import make_acl, make_digest_acl  # type: ignore[import-untyped]
from support.zookeeper import UNREADABLE, ZooSource, talk

from ..watching import OFTEN, failure_of, listing_of, watching
from .readings import QUOTED, SELDOM, Meddler, expire

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


SECRET = "s3cr3t:&?%/@ x"  # noqa: S105

EXPIRED = (
    "the session expired, as ZooKeeper had not heard of us in time; it is begun anew, and all is"
    " read again"
)


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
