"""ldap:// tells when an entry changed: by its CSN, or by its modifyTimestamp."""

from pathlib import Path

import pytest
from emperord.monitors.contract import Listing
from emperord.monitors.ldap.entries import entry_of, ts_of
from emperord.monitors.rows import Flaw
from support.ldap import (
    LdapSource,
    shared,
)

from ..watching import watching
from .readings import BUSY, as_account

# When it was changed

CSN = "20261124093102.123456Z#000000#000#000000"
SAME = 1_795_512_662_123_456_000
STAMPS = {
    "a CSN": (CSN, SAME),
    "counted": ("20261124093102.123456Z#000001#000#000000", SAME + 1),
    "of a server": ("20261124093102.123456Z#000000#001#000000", SAME + 7),
    "within": ("20261124093102.123456Z#000000#000#000001", SAME + 101),
    "all of it": ("20261124093102.123456Z#0000ff#00A#000002", SAME + 255 + 70 + 202),
    "an old one": ("20261124093102Z#000000#00#000000", SAME - 123_456_000),
}


@pytest.mark.parametrize(("csn", "ts"), STAMPS.values(), ids=STAMPS)
def test_csn(csn: str, ts: int) -> None:
    assert ts_of(entry_of("cn=a", {"entryCSN": [csn.encode()]})) == ts


TIMES = {
    "plain": ("20261124093102Z", 1_795_512_662),
    "a fraction": ("20261124093102.7Z", 1_795_512_662),
    "east": ("20261124103102+0100", 1_795_512_662),
    "west": ("20261124043202.0-0459", 1_795_512_662 - 60 + 60),
    "hours": ("20261124103102+01", 1_795_512_662),
}


@pytest.mark.parametrize(("text", "seconds"), TIMES.values(), ids=TIMES)
def test_modify_timestamp(text: str, seconds: int) -> None:
    values = {"modifyTimestamp": [text.encode()], "entryCSN": [b"nonsense"]}
    assert ts_of(entry_of("cn=a", values)) // 1_000_000_000 == seconds


def test_two_changes_in_one_second_differ() -> None:
    stamps = {
        ts_of(entry_of("cn=a", {"modifyTimestamp": [b"20261124093102Z"], name: [value.encode()]}))
        for name, value in (("a", "b"), ("a", "c"), ("ab", ""))
    }
    assert len(stamps) == 3


@pytest.mark.parametrize(
    ("stamp", "reason"),
    [
        pytest.param({}, "no entryCSN and no modifyTimestamp that we may read", id="none"),
        pytest.param({"modifyTimestamp": [b"now"]}, "is no time but 'now'", id="nonsense"),
        pytest.param(
            {"modifyTimestamp": [b"20260230000000Z"]}, "no such time: 20260230", id="no such day"
        ),
    ],
)
def test_no_stamp(stamp: dict[str, list[bytes]], reason: str) -> None:
    with pytest.raises(Flaw, match=reason):
        ts_of(entry_of("cn=a", stamp))


async def test_changes_within_a_second_are_seen(source: LdapSource) -> None:
    """Even by a poll, and by a user who sees no more than modifyTimestamp."""
    source.put("a.ini", "0")
    async with watching(source.monitor(BUSY)) as watch:
        for count in range(1, 6):
            source.put("a.ini", str(count))
            await watch.shows("a.ini", str(count))
        stamps = [each.seen["a.ini"].spec.ts for each in watch.told if isinstance(each, Listing)]
        assert len(set(stamps)) >= 6


# Credentials


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_somebody_sees_the_csn(below: str, tmp_path: Path) -> None:
    source = LdapSource(below=below)
    source.put("a.ini", "one")
    monitor = source.hurried(BUSY, 10, f"????{as_account(tmp_path, 'reader', shared())}")
    async with watching(monitor) as watch:
        (csn,) = source.directory.values(source.dn("a.ini"), "entryCSN")
        assert watch.seen["a.ini"].spec.ts == ts_of(entry_of("", {"entryCSN": [csn]}))
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
