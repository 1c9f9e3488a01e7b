"""ldap:// connects again after a restart, and reads only the entries that changed."""

from pathlib import Path

import pytest
from emperord.monitors.contract import Listing
from support.gate import Gate
from support.ldap import (
    Directory,
    LdapSource,
    shared,
    talking,
)
from support.services import Service, order

from ..watching import watching
from .readings import BUSY, SELDOM, as_account, filled


def again(source: LdapSource) -> None:
    """Talk to the server that was started again."""
    source.directory.close()
    source.directory = Directory(source.server)


def sent(server: Service) -> int:
    """How many entries the server has sent since it was started."""
    with talking(server) as asking:
        (value,) = asking.values("cn=Entries,cn=Statistics,cn=Monitor", "monitorCounter")
    return int(value)


async def test_what_is_known_is_not_sent_again(server: Service, tmp_path: Path) -> None:
    source = filled(server)
    for count in range(200):
        source.put(f"v{count}.ini", "one")
    more = f"????{as_account(tmp_path, 'reader', server)}"
    async with watching(source.hurried(SELDOM, 10, more)) as watch:
        assert len(watch.seen) == 201
        await order(server, "stop")  # after a crash OpenLDAP itself does not know how far it was
        await watch.until(watch.failures)
        await order(server, "start")
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        again(source)
        assert sent(server) < 20
        source.remove("v7.ini")
        source.put("v8.ini", "two")
        await watch.shows("v8.ini", "two")
        await watch.until(lambda: "v7.ini" not in watch.seen)


@pytest.mark.parametrize("more", ["", "x-poll,"], ids=["synchronized", "polled"])
async def test_what_did_not_change_is_not_read(server: Service, tmp_path: Path, more: str) -> None:
    source = filled(server)
    for count in range(200):
        source.put(f"v{count}.ini", "one")
    more = f"????{more}{as_account(tmp_path, 'reader', server)}"
    async with watching(source.hurried(BUSY, 10, more)) as watch:
        # A poll believes the server's contextCSN once it was seen to move.
        source.put("v7.ini", "changed")
        await watch.shows("v7.ini", "changed")
        await watch.listings(5)  # until it is certain of what it has
        before = sent(server)
        await watch.listings(10)
        assert sent(server) - before < 100
        source.put("v7.ini", "two")
        await watch.shows("v7.ini", "two")


async def test_a_csn_that_nobody_keeps_is_not_believed(tmp_path: Path) -> None:
    """As after syncprov was removed, and in the dump of a server that had it."""
    source = LdapSource(below="stale")
    assert source.directory.values(source.server.where["stale"], "contextCSN")
    source.put("a.ini", "0")
    more = f"????{as_account(tmp_path, 'reader', shared())}"
    async with watching(source.hurried(BUSY, 10, more)) as watch:
        await watch.listings(5)
        for count in range(1, 4):
            source.put("a.ini", str(count))
            await watch.shows("a.ini", str(count))
        source.remove("a.ini")
        await watch.until(lambda: not watch.seen)


async def test_changes_while_the_connection_of_an_account_is_lost(
    synchronized: LdapSource, tmp_path: Path
) -> None:
    """An account may see the entryCSN by which OpenLDAP finds missed changes. Others may not."""
    more = f"????{as_account(tmp_path, 'reader', shared())}"
    for name in ("a", "b", "c"):
        synchronized.put(f"{name}.ini", "one")
    with Gate(synchronized.server.where["port"]) as gate:
        async with watching(synchronized.hurried(SELDOM, 10, more, gate.port)) as watch:
            for count in range(2):
                gate.shut()
                await watch.until(lambda: watch.kinds()[-1] == "Failed")
                synchronized.remove("a.ini")
                synchronized.put("b.ini", f"two {count}")
                synchronized.put(f"d{count}.ini", "one")
                gate.open()
                await watch.until(lambda: watch.kinds()[-1] == "Listing")
                await watch.shows("b.ini", f"two {count}")
                assert sorted(watch.seen) == sorted(
                    ["b.ini", "c.ini", *(f"d{number}.ini" for number in range(count + 1))]
                )
                synchronized.put("a.ini", "one")
                await watch.shows("a.ini", "one")
