"""mongodb:// fails on filters, limits, users and passwords, and shows no password."""

from urllib.parse import quote_plus

import pytest
from emperord.monitors.mongodb import monitor as mongo
from support.mongodb import MongoSource

from ..watching import watching
from .readings import BUSY, HASTE, SELDOM

PASSWORD = "p,w/@{}"  # noqa: S105  # it opens nothing outside these tests


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
