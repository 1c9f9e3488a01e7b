"""ldap:// on a real OpenLDAP: which entries are vassals, and which attributes count."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import ldap  # type: ignore[import-untyped]
import pytest
from emperord.monitors.contract import Listing
from emperord.monitors.options import MonitorOptions
from support.ldap import (
    LdapSource,
)

from ..watching import NEVER, listing_of, watching
from .readings import BUSY, SELDOM

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sources-ldap.md"


# Entries


async def test_all_fields(source: LdapSource) -> None:
    source.put("a.ini", "one", uidNumber="12", gidNumber="34", emperorSocket="127.0.0.1:0")
    source.put("b.ini", "two")
    options = MonitorOptions(freq=NEVER, tyrant=True)
    told = await listing_of(source.monitor(options))
    spec = told.seen["a.ini"].spec
    assert (spec.uid, spec.gid, spec.socket, spec.path) == (12, 34, "127.0.0.1:0", None)
    spec = told.seen["b.ini"].spec
    assert (spec.uid, spec.gid, spec.socket) == (None, None, None)


async def test_the_author_of_an_entry_is_recorded(source: LdapSource) -> None:
    source.put("a.ini", "one")
    told = await listing_of(source.monitor(SELDOM))
    [(key, author)] = told.seen["a.ini"].spec.attrs.items()
    assert key == "modifiersName"
    assert author.startswith("cn=")


BAD: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "no extension": ({"cn": "bad"}, "bad", "the name has no extension of a config"),
    "long": ({"cn": "x" * 251 + ".ini"}, None, "the name has 255 bytes, 254 are allowed"),
    "NUL in the config": ({"emperorConfig": "a\0b"}, "x.ini", "the config has a NUL byte"),
    "too large": ({"emperorConfig": "x" * 65_536}, "x.ini", "the config has 65536 bytes"),
    "a uid that is none": (
        {"uidNumber": "-1"},
        "x.ini",
        "the uid is -1, it must be from 0 to 4294967294",
    ),
    "a huge gid": ({"gidNumber": "4294967295"}, "x.ini", "the gid is 4294967295"),
    "a socket with a newline": ({"emperorSocket": "a\nb"}, "x.ini", "the socket is not an"),
}


@pytest.mark.parametrize(("values", "label", "reason"), BAD.values(), ids=BAD)
async def test_a_bad_entry_among_good_ones(
    source: LdapSource, values: dict[str, Any], label: str | None, reason: str
) -> None:
    values = {"cn": "x.ini", "emperorConfig": "c", **values}
    source.put("a.ini", "one")
    # By another attribute: what OpenLDAP names entries by must not be so long.
    dn = f"description=x,{source.base}"
    source.directory.add(dn, "emperorVassal", description="x", **values)
    source.put("z.ini", "two")
    told = await listing_of(source.monitor(SELDOM))
    assert sorted(told.seen) == ["a.ini", "z.ini"]
    ((refused, why),) = told.refused.items()
    assert label is None or refused == label
    assert reason in why


ODD: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "the one of the DN counts": ("cn=b.ini", {"cn": ["a.ini", "b.ini", "c.ini"]}, None),
    "whatever its case": ("CN=b.ini", {"cn": ["a.ini", "b.ini"]}, None),
    "of two parts": ("cn=b.ini+description=x", {"cn": ["a.ini", "b.ini"]}, None),
    "a DN of another attribute": (
        "description=x",
        {"cn": ["a.ini", "b.ini"]},
        "it has 2 values of cn, and its DN does not say which counts",
    ),
    "two in the DN": (
        "cn=a.ini+cn=b.ini",
        {"cn": ["a.ini", "b.ini"]},
        "it has 2 values of cn, and its DN does not say which counts",
    ),
    "one, elsewhere": ("description=x", {"cn": "b.ini"}, None),
}


@pytest.mark.parametrize(("rdn", "values", "reason"), ODD.values(), ids=ODD)
async def test_several_names(
    synchronized: LdapSource, rdn: str, values: dict[str, Any], reason: str | None
) -> None:
    dn = f"{rdn},{synchronized.base}"
    try:
        synchronized.directory.add(
            dn, "emperorVassal", emperorConfig="c", description="x", **values
        )
    except ldap.LDAPError:  # two of one kind in an RDN, which OpenLDAP does not take
        assert rdn == "cn=a.ini+cn=b.ini"
        return
    told = await listing_of(synchronized.monitor(SELDOM))
    if reason is None:
        assert list(told.seen) == ["b.ini"]
    else:
        assert list(told.refused.values()) == [reason]


async def test_other_attributes_and_classes(source: LdapSource) -> None:
    """Any entries will do, if the URL says what is what."""
    kind = "applicationProcess"
    add = partial(source.directory.add, kind=kind)
    add(source.dn("a.ini"), description="one", l="127.0.0.1:0")
    add(source.dn("none.ini"))
    add(source.dn("two.ini"), description=["one", "two"])
    url = f"?CN,description,,,L?one?(objectClass={kind})"
    async with watching(source.hurried(BUSY, 10, url)) as watch:
        assert watch.contents == {"a.ini": b"one"}
        assert watch.seen["a.ini"].spec.socket == "127.0.0.1:0"
        assert watch.refused == {
            "none.ini": "the config is missing",
            "two.ini": "it has 2 values of description, there can be one",
        }
        source.directory.change(source.dn("none.ini"), description="three")
        await watch.shows("none.ini", "three")
        # An entry that goes bad is not gone.
        source.directory.change(source.dn("none.ini"), description=None)
        await watch.until(lambda: "none.ini" in watch.refused)


async def test_an_attribute_that_no_entry_has(synchronized: LdapSource) -> None:
    synchronized.put("a.ini", "one")
    told = await listing_of(synchronized.hurried(SELDOM, 10, "?nameOfIt"))
    dn = synchronized.dn("a.ini")
    assert told == Listing({}, {dn: "it has no nameOfIt"})


async def test_a_config_is_bytes(source: LdapSource) -> None:
    content = bytes(range(1, 256)) * 250
    source.put("a.ini", content)
    told = await listing_of(source.monitor(SELDOM))
    assert told.seen["a.ini"].content == content


@pytest.mark.parametrize(
    "name",
    ["é.ini", 'a,b+c"d\\e<f>g;h=i.ini', " a .ini", "#a.ini", "../a.ini", "/etc/a.ini", "a/*.ini"],
)
async def test_names_that_mean_something_elsewhere(source: LdapSource, name: str) -> None:
    source.put(name, "one")
    told = await listing_of(source.monitor(SELDOM))
    assert list(told.seen) == [name]


async def test_two_of_one_name(source: LdapSource) -> None:
    other = f"ou=other,{source.base}"
    source.directory.add(other, "organizationalUnit")
    source.put("a.ini", "one")
    source.directory.add(f"cn=a.ini,{other}", "emperorVassal", emperorConfig="two")
    async with watching(source.monitor(BUSY)) as watch:
        first = watch.contents["a.ini"]
        assert watch.refused == {"a.ini": "the name is there twice; the first one counts"}
        gone, left = (
            (source.dn("a.ini"), "two") if first == b"one" else (f"cn=a.ini,{other}", "one")
        )
        source.directory.remove(gone)
        await watch.shows("a.ini", left)
        assert watch.refused == {}


async def test_scopes(source: LdapSource) -> None:
    inner = f"ou=inner,{source.base}"
    source.directory.add(inner, "organizationalUnit")
    source.directory.add(f"cn=in.ini,{inner}", "emperorVassal", emperorConfig="c")
    source.put("a.ini", "one")
    found = {}
    for scope in ("base", "one", "sub", ""):
        told = await listing_of(source.hurried(SELDOM, 10, f"??{scope}"))
        found[scope] = sorted(told.seen)
    assert found == {
        "base": [],
        "one": ["a.ini"],
        "sub": ["a.ini", "in.ini"],
        "": ["a.ini", "in.ini"],
    }


async def test_the_filter_of_the_page(source: LdapSource) -> None:
    """It asks for an attribute that an entry of our class may have."""
    ((wanted, name, value),) = re.findall(
        r"(\(&\(objectClass=\w+\)\((\w+)=(\w+)\)\))", PAGE.read_text()
    )
    source.put("a.ini", "one", **{name: value})
    source.put("b.ini", "two")
    told = await listing_of(source.hurried(SELDOM, 10, f"??one?{wanted}"))
    assert list(told.seen) == ["a.ini"]


async def test_referrals_are_not_followed(source: LdapSource) -> None:
    source.put("a.ini", "one")
    source.directory.refer(f"ou=elsewhere,{source.base}", "ldap://127.0.0.1:1/dc=x")
    async with watching(source.monitor(BUSY)) as watch:
        assert list(watch.seen) == ["a.ini"]
        source.put("b.ini", "two")
        await watch.shows("b.ini", "two")
        assert not watch.failures()
        assert not watch.refused


async def test_an_entry_is_renamed(source: LdapSource) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        source.directory.rename(source.dn("a.ini"), "cn=b.ini")
        await watch.until(lambda: list(watch.seen) == ["b.ini"])


async def test_entries_that_move_with_one_above_them(source: LdapSource) -> None:
    """Of that OpenLDAP does not tell; it is found all the same."""
    team = f"ou=team,{source.base}"
    source.directory.add(team, "organizationalUnit")
    source.directory.add(f"cn=t.ini,{team}", "emperorVassal", emperorConfig="c")
    source.put("a.ini", "one")
    async with watching(source.monitor(BUSY)) as watch:
        assert sorted(watch.seen) == ["a.ini", "t.ini"]
        source.directory.rename(team, "ou=team", source.branch)
        await watch.until(lambda: list(watch.seen) == ["a.ini"])
        source.directory.rename(f"ou=team,{source.branch}", "ou=team", source.base)
        await watch.until(lambda: sorted(watch.seen) == ["a.ini", "t.ini"])
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")
        assert not watch.failures()
