"""ldap:// reads all entries or fails: rights, limits, pages, and floods of changes."""

from pathlib import Path

import pytest
from emperord.monitors.ldap import requests
from emperord.monitors.ldap import sync as ldap_sync
from emperord.monitors.ldap import url as ldap_url
from emperord.monitors.ldap.monitor import DirectoryService
from support.ldap import (
    LdapSource,
    shared,
)

from ..watching import failure_of, watching
from .readings import BUSY, SELDOM, as_account

# Rights


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_whoever_sees_only_the_vassals(below: str, tmp_path: Path) -> None:
    """And not the suffix, which has the contextCSN."""
    source = LdapSource(below=below)
    source.put("a.ini", "one")
    more = f"????{as_account(tmp_path, 'tenant', shared())}"
    async with watching(source.hurried(BUSY, 10, more)) as watch:
        await watch.listings(5)
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
        assert not watch.failures()


# Limits

LIMITED = (
    "the server does not give us all entries (Size limit exceeded): have it allow us more, or"
    " narrow the filter"
)


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_a_part_is_not_taken_for_all(below: str, tmp_path: Path) -> None:
    source = LdapSource(below=below)
    for count in range(3):
        source.put(f"v{count}.ini", "one")
    # Anonymous, so that base and context do not count.
    more = f"????{as_account(tmp_path, 'limited', shared())}"
    async with watching(source.hurried(BUSY, 10, more)) as watch:
        assert len(watch.seen) == 3
        source.put("v3.ini", "one")
        if below == "plain":
            await watch.until(watch.failures)
            assert watch.failures()[0] == LIMITED
        else:
            await watch.shows("v3.ini", "one")  # one by one there may be more
            await watch.listings(10)
            source.put("v0.ini", "two")
            await watch.shows("v0.ini", "two")
            assert not watch.failures()  # though the user may not look whether all was told
        assert len(watch.seen) == 3 + (below != "plain")
    reason = await failure_of(source.hurried(BUSY, 10, more))
    assert reason == LIMITED


async def test_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_PAGE", 3)
    source = LdapSource(below="plain")
    for count in range(10):
        source.put(f"v{count}.ini", "one")
    more = f"????{as_account(tmp_path, 'paging', shared())}"
    async with watching(source.hurried(BUSY, 10, more)) as watch:
        assert len(watch.seen) == 10
        source.put("v10.ini", "one")
        await watch.shows("v10.ini", "one")


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_too_many(below: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap_sync, "MOST_ENTRIES", 3)
    source = LdapSource(below=below)
    for count in range(4):
        source.put(f"v{count}.ini", "one")
    reason = await failure_of(source.hurried(BUSY, 10))
    assert reason == "more than 3 entries fit the filter; narrow it"


async def test_a_base_that_is_not_there() -> None:
    source = LdapSource()
    place = ldap_url.read("ldap", f"127.0.0.1:{source.server.where['port']}/ou=none,{source.base}")
    assert await failure_of(DirectoryService(place, SELDOM)) == (
        f"there is no entry {place.base}, or we may not see it; it is waited for"
    )


# A flood
