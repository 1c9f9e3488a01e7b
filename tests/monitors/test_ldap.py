"""ldap:// on a real OpenLDAP: what is a vassal, what fails, what hangs, what is never shown."""

import gc
import math
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ldap  # type: ignore[import-untyped]
import pytest
import trio
from emperord.monitors.contract import Listing
from emperord.monitors.ldap import requests, stamps
from emperord.monitors.ldap import sync as ldap_sync
from emperord.monitors.ldap import url as ldap_url
from emperord.monitors.ldap.ber import element
from emperord.monitors.ldap.connection import LdapConnection, Message
from emperord.monitors.ldap.entries import entry_of, ts_of
from emperord.monitors.ldap.monitor import DirectoryService
from emperord.monitors.ldap.transport import connect
from emperord.monitors.options import MonitorOptions
from emperord.monitors.rows import Flaw
from support.gate import Gate
from support.ldap import (
    Directory,
    LdapSource,
    PlainLdapSource,
    Request,
    entry,
    info,
    message,
    result,
    scripted,
    shared,
    state,
    talking,
)
from support.services import Service, service
from support.waiting import until

from .watching import NEVER, OFTEN, Watching, watching

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources-ldap.md"
SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)


@pytest.fixture(params=["synchronized", "plain"])
def source(request: pytest.FixtureRequest) -> LdapSource:
    """Both are to find the same."""
    return LdapSource() if request.param == "synchronized" else PlainLdapSource()


@pytest.fixture
def synchronized() -> LdapSource:
    return LdapSource()


@pytest.fixture(scope="module")
def breakable() -> Iterator[Service]:
    with service("openldap") as running:
        yield running


@pytest.fixture
def server(breakable: Service) -> Iterator[Service]:
    """A server to be stopped, killed and frozen; it runs again when the test is over."""
    yield breakable
    breakable("thaw")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """A connection that only the garbage collector closes was left behind."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def listing_of(monitor: DirectoryService) -> Listing:
    async with watching(monitor) as watch:
        (told,) = watch.told
        assert isinstance(told, Listing), told
        return told


async def failure_of(monitor: DirectoryService) -> str:
    async with watching(monitor) as watch:
        assert watch.kinds()[0] == "Failed"
        return watch.failures()[0]


def password_file(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "password"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def as_account(folder: Path, name: str, server: Service) -> str:
    """Extensions to be somebody."""
    dn = f"cn={name},{server.where['suffix']}".replace(",", "%2C")
    return f"bindname={dn},x-bindpw-file={password_file(folder, server.where['password'])}"


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
    """Even by a poll, and by somebody who sees no more than modifyTimestamp."""
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


async def test_a_password_is_a_line_whatever_is_in_it(tmp_path: Path) -> None:
    password, asked = "a\x0bb\x85c\u2028d\re ", b""

    def answer(request: Request) -> bytes:
        nonlocal asked
        asked += request.whole
        return result(request.number, 53, tag=0x61)

    more = f"????bindname=cn=r,x-bindpw-file={password_file(tmp_path, password)}"
    async with scripted(answer) as port:
        await failure_of(scripted_monitor(port, more))
    assert password.encode() in asked


async def test_dn_and_password_from_one_file(tmp_path: Path) -> None:
    source = LdapSource()
    where = source.server.where
    source.put("a.ini", "one")
    file = password_file(tmp_path, f"cn=limited,{where['suffix']}\n{where['password']}\n", 0o640)
    monitor = source.hurried(SELDOM, 10, f"????x-bindpw-file={file}")
    assert list((await listing_of(monitor)).seen) == ["a.ini"]


WRONG: dict[str, tuple[str, int, str]] = {
    "another": ("s3cr3t no\n", 0o600, "does not take the DN or the password of cn=reader"),
    "open to others": ("s3cr3t\n", 0o604, "is open to others (mode 0604): chmod o= it"),
    "empty": ("", 0o600, "must have one line: the password"),
    "two lines": ("s3cr3t\nx\n", 0o600, "must have one line: the password"),
    "not UTF-8": ("s3cr3t\udcff\n", 0o600, "is not UTF-8"),
}


@pytest.mark.parametrize(("text", "mode", "reason"), WRONG.values(), ids=WRONG)
async def test_a_wrong_password(
    synchronized: LdapSource, tmp_path: Path, text: str, mode: int, reason: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    file.chmod(mode)
    extensions = f"bindname=cn=reader%2C{shared().where['suffix'].replace(',', '%2C')}"
    monitor = synchronized.hurried(SELDOM, 10, f"????{extensions},x-bindpw-file={file}")
    told = await failure_of(monitor)
    assert reason in told
    assert "s3cr3t" not in told + monitor.url


async def test_a_password_file_that_is_not_there(synchronized: LdapSource, tmp_path: Path) -> None:
    monitor = synchronized.hurried(SELDOM, 10, f"????x-bindpw-file={tmp_path}/none")
    assert "/none: no such file" in (await failure_of(monitor)).lower()
    os.mkfifo(tmp_path / "pipe")
    monitor = synchronized.hurried(SELDOM, 10, f"????x-bindpw-file={tmp_path}/pipe")
    assert "is no file" in await failure_of(monitor)


async def test_a_password_that_the_server_repeats_is_hidden(tmp_path: Path) -> None:
    def answer(request: Request) -> bytes:
        return result(request.number, 53, "I will not take s3cr3t", tag=0x61)

    more = f"????bindname=cn=r,x-bindpw-file={password_file(tmp_path, 's3cr3t')}"
    async with scripted(answer) as port:
        reason = await failure_of(scripted_monitor(port, more))
    assert reason == "Server is unwilling to perform: I will not take ***"


# TLS


def secured(source: LdapSource, more: str, scheme: str = "ldap") -> DirectoryService:
    port = source.server.where["port" if scheme == "ldap" else "tls_port"]
    return DirectoryService(ldap_url.read(scheme, source.rest(more, port)), SELDOM)


@pytest.mark.parametrize(
    ("scheme", "more"), [("ldap", "!x-starttls,"), ("ldaps", "")], ids=["StartTLS", "ldaps"]
)
async def test_tls(synchronized: LdapSource, scheme: str, more: str) -> None:
    synchronized.put("a.ini", "one")
    certificate = synchronized.server.where["certificate"]
    monitor = secured(synchronized, f"????{more}x-tls-cacert={certificate}", scheme)
    async with watching(monitor) as watch:
        assert list(watch.seen) == ["a.ini"]
        synchronized.put("a.ini", "x" * 60_000)  # more than a record of TLS
        await watch.shows("a.ini", "x" * 60_000)
    reason = await failure_of(secured(synchronized, f"????{more}", scheme))
    assert reason == (
        "no TLS with 127.0.0.1: its certificate is not trusted (self-signed certificate)"
    )
    # Another name for the same address, of which the certificate does not know.
    port = synchronized.server.where["port" if scheme == "ldap" else "tls_port"]
    place = ldap_url.read(scheme, f"127.1:{port}/o=x????{more}x-tls-cacert={certificate}")
    reason = await failure_of(DirectoryService(place, SELDOM))
    assert "its certificate is not trusted" in reason
    assert "not valid for '127.1'" in reason


async def test_a_port_without_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        place = ldap_url.read("ldaps", f"127.0.0.1:{listener.getsockname()[1]}/o=x")
        reason = await failure_of(DirectoryService(place, SELDOM))
        thread.join()
    assert reason == "no TLS with 127.0.0.1: wrong version number"


def greet(listener: socket.socket) -> None:
    with listener.accept()[0] as link:
        link.sendall(b"220 mail.example.com ESMTP\r\n")
        link.recv(1 << 16)


async def test_certificates_that_cannot_be_read(synchronized: LdapSource, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, why in (
        ("no", "No such file or directory"),
        ("empty", "no certificate or crl found"),
    ):
        more = f"????x-starttls,x-tls-cacert={tmp_path}/{name}"
        reason = await failure_of(secured(synchronized, more))
        assert reason == f"the certificates in {tmp_path}/{name} cannot be read: {why}"


STRANGE = {
    "refused": (result(1, 2, "no TLS", 0x78), "does not start TLS (result 2: no TLS)"),
    "another answer": (result(1, 0, "", 0x61), "makes no sense"),
    "more than asked for": (
        result(1, 0, "", 0x78) + result(2, 0, "", 0x61),
        "sent more than its answer",
    ),
    "another protocol": (b"HTTP/1.0 400 Bad Request\r\n" + b" " * 200, "sent more than its"),
    "without end": (b"\x30\x84\x7f\xff\xff\xff" + b" " * 70_000, "makes no sense"),
    "no TLS after it": (result(1, 0, "", 0x78), "no TLS with 127.0.0.1: "),
}


@pytest.mark.parametrize(("said", "reason"), STRANGE.values(), ids=STRANGE)
async def test_strange_answers_to_starttls(said: bytes, reason: str) -> None:
    async with scripted(lambda request: said if request.tag == 0x77 else None) as port:
        assert reason in await failure_of(scripted_monitor(port, "????!x-starttls"))


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
    # As nobody, so that base and context do not count.
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
            assert not watch.failures()  # though nobody may look whether all was told
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


# Servers that come, go and hang


async def order(server: Service, *orders: Any) -> None:
    for each in orders:
        await trio.to_thread.run_sync(server, each)


def filled(server: Service, below: str = "suffix") -> LdapSource:
    directory = Directory(server)
    source = LdapSource(server=server, directory=directory, below=below)
    source.put("a.ini", "one")
    return source


def again(source: LdapSource) -> None:
    """Talk to the server that was started again."""
    source.directory.close()
    source.directory = Directory(source.server)


def sent(server: Service) -> int:
    """How many entries the server has sent since it was started."""
    with talking(server) as asking:
        (value,) = asking.values("cn=Entries,cn=Statistics,cn=Monitor", "monitorCounter")
    return int(value)


@pytest.mark.parametrize("below", ["suffix", "plain"])
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_that_restarts(server: Service, end: str, below: str) -> None:
    source = filled(server, below)
    async with watching(source.hurried(BUSY if below == "plain" else SELDOM, 10)) as watch:
        await order(server, end)
        await watch.until(watch.failures)
        assert list(watch.seen) == ["a.ini"]
        await order(server, "start")
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        again(source)
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")


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


@pytest.mark.parametrize("somebody", [True, False], ids=["somebody", "nobody"])
async def test_changes_while_the_connection_is_lost(
    synchronized: LdapSource, somebody: bool, tmp_path: Path
) -> None:
    """An anonymous client may not see the entryCSN by which OpenLDAP finds missed changes."""
    more = f"????{as_account(tmp_path, 'reader', shared())}" if somebody else ""
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


async def test_nobody_is_there() -> None:
    place = ldap_url.read("ldap", "127.0.0.1:1/o=x")
    reason = await failure_of(DirectoryService(place, SELDOM))
    assert reason == "no connection to 127.0.0.1:1: Connection refused"
    place = ldap_url.read("ldap", "nowhere.invalid/o=x")
    assert "nowhere.invalid:389" in await failure_of(DirectoryService(place, SELDOM))


async def test_a_server_that_is_silent_at_connect(server: Service) -> None:
    source = filled(server)
    await order(server, "freeze")
    async with watching(source.hurried(BUSY)) as watch:
        assert watch.failures() == ["connecting to it took longer than 1 s"]
        await order(server, "thaw")
        await watch.shows("a.ini", "one")


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_a_server_that_is_silent_at_read(server: Service, below: str) -> None:
    source = filled(server, below)
    async with watching(source.hurried(BUSY)) as watch:
        await order(server, "freeze")
        await watch.until(watch.failures)
        assert watch.failures() == ["the server was silent for 1 s"]
        assert list(watch.seen) == ["a.ini"]
        await order(server, "thaw")
        source.put("a.ini", "two")
        await watch.shows("a.ini", "two")


def large(below: str) -> LdapSource:
    """With 600 kB of configs."""
    source = LdapSource(below=below)
    for count in range(300):
        source.put(f"v{count}.ini", f"{count}".ljust(2000))
    return source


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_a_slow_line_may_take_longer_than_the_limit(below: str) -> None:
    source = large(below)
    with Gate(source.server.where["port"]) as gate:
        gate.rate = 200_000
        began = trio.current_time()
        async with watching(source.hurried(SELDOM, 1, port=gate.port)) as watch:
            assert watch.failures() == []
            assert len(watch.seen) == 300
            assert trio.current_time() - began > 2


@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_a_server_that_falls_silent_within_a_reading(below: str) -> None:
    source = large(below)
    with Gate(source.server.where["port"]) as gate:
        gate.silent_after = 300_000
        began = trio.current_time()
        async with watching(source.hurried(BUSY, 1, port=gate.port)) as watch:
            assert trio.current_time() - began < 5
            assert watch.failures() == ["the server was silent for 1 s"]
            assert not watch.seen
            gate.silent_after, gate.silent = math.inf, False
            await watch.until(lambda: len(watch.seen) == 300)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("below", ["suffix", "plain"])
async def test_who_is_cancelled_within_a_reading(below: str) -> None:
    source = large(below)
    with Gate(source.server.where["port"]) as gate:
        gate.silent_after = 300_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.hurried(BUSY, 60, port=gate.port).run, Watching().tell, {})
            await trio.to_thread.run_sync(until, lambda: gate.silent, "it has fallen silent")
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 5


@pytest.mark.parametrize("said", ["the same entry", "referrals"])
async def test_a_reading_without_an_end(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Message follows message, and none of them brings more entries."""
    monkeypatch.setattr(requests, "_MOST_MESSAGES", 50)

    def answer(request: Request) -> bytes:
        if said == "referrals" and b"contextCSN" in request.whole:
            return message(request.number, element(0x73, element(0x04, b"ldap://x"))) * 100
        if request.is_sync:
            return vassal(request.number, 1, "one") * 100
        return result(request.number)

    more = "????x-poll" if said == "referrals" else ""
    async with scripted(answer) as port, watching(scripted_monitor(port, more)) as watch:
        assert watch.failures() == ["the server sent 50 messages and was not done"]


async def test_a_server_that_falls_silent_within_a_message() -> None:
    """libldap has begun to read one, and does not wait for the rest."""
    part = entry(0, "cn=a.ini,o=x", state(1, 1), cn="a.ini", emperorConfig="x" * 1000)[:500]

    def answer(request: Request) -> bytes:
        return part if request.is_sync else result(request.number)

    async with scripted(answer) as port, watching(scripted_monitor(port, limit=1)) as watch:
        assert watch.failures() == ["the server was silent for 1 s"]


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("silent", ["connect", "read", "wait"])
async def test_who_is_cancelled_does_not_wait_for_a_silent_server(
    server: Service, silent: str
) -> None:
    source = filled(server)
    monitor = source.hurried(SELDOM if silent == "wait" else BUSY, 60)
    if silent == "connect":
        await order(server, "freeze")
    before = os.listdir("/proc/self/fd")
    watch = Watching()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(monitor.run, watch.tell, {}))
        if silent != "connect":
            await watch.listings(1)
            await order(server, "freeze")
        with trio.move_on_after(0.2):  # let it run into the silence
            await watch.listings(1000)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < 5
    assert os.listdir("/proc/self/fd") == before


# Servers that say strange things


def scripted_monitor(
    port: int, more: str = "", options: MonitorOptions = SELDOM, limit: float = 10
) -> DirectoryService:
    return DirectoryService(
        ldap_url.read("ldap", f"127.0.0.1:{port}/o=x{more}"), options, limit=limit
    )


def vassal(number: int, key: int, text: str, kind: int | None = 1) -> bytes:
    """An entry, added unless told otherwise; None: without a word of synchronization."""
    return entry(
        number,
        f"cn=v{key}.ini,o=x",
        None if kind is None else state(kind, key),
        cn=f"v{key}.ini",
        emperorConfig=text,
        entryCSN=f"2026112409310{key}.000000Z#000000#000#000000",
    )


def over(number: int, cookie: str = "c1") -> bytes:
    """The refresh is over."""
    return info(number, element(0xA2, element(0x04, cookie.encode())))


class Script:
    """A server; ``syncs`` are its answers to requests for synchronization, in turn."""

    def __init__(self, *syncs: bytes | None) -> None:
        self.syncs = list(syncs)
        self.cookies: list[bool] = []  # whether each of them came with the cookie c1

    def __call__(self, request: Request) -> bytes | None:
        if request.tag != 0x63:
            return b""
        if request.is_sync:
            self.cookies.append(b"c1" in request.whole)
            said = self.syncs.pop(0) if self.syncs else b""
            # The number of the request is known only now.
            return None if said is None else said.replace(NUMBER, number_of(request))
        found = vassal(request.number, 1, "polled", None) if b"entryUUID" in request.whole else b""
        return found + result(request.number)


PLACEHOLDER = 0x7ABBCCDD
NUMBER = element(0x02, PLACEHOLDER.to_bytes(4, "big"))


def number_of(request: Request) -> bytes:
    return element(0x02, request.number.to_bytes(4, "big"))


FULL = vassal(PLACEHOLDER, 1, "one") + over(PLACEHOLDER)
POLLED = {
    "unavailable": result(PLACEHOLDER, 12),
    "unwilling": result(PLACEHOLDER, 53, "not here"),
    "ends instead of going on": vassal(PLACEHOLDER, 1, "one") + result(PLACEHOLDER),
    "ignores that it must not": vassal(PLACEHOLDER, 1, "one", None) + result(PLACEHOLDER),
}


@pytest.mark.parametrize("said", POLLED.values(), ids=POLLED)
async def test_servers_without_synchronization_are_polled(said: bytes) -> None:
    async with scripted(Script(said)) as port:
        monitor = scripted_monitor(port, "???(cn=*)")
        async with watching(monitor) as watch:
            assert watch.contents == {"v1.ini": b"polled"}


@pytest.mark.parametrize("follows", [False, True], ids=["polled", "synchronized"])
async def test_a_csn_that_moved_is_not_believed_for_ever(
    monkeypatch: pytest.MonkeyPatch, follows: bool
) -> None:
    """As when syncprov is removed from a server that runs, or not all is in one database."""
    monkeypatch.setattr(stamps, "_TRUSTED", 0.1)
    csns, text, stamp = iter("1"), "one", b"#000000#000#"

    def answer(request: Request) -> bytes:
        if request.is_sync and not follows:
            return result(request.number, 12)
        if request.is_sync:
            found = vassal(PLACEHOLDER, 1, text) + over(PLACEHOLDER)
        elif b"contextCSN" in request.whole:
            found = entry(PLACEHOLDER, "o=x", contextCSN=next(csns, "2")) + result(PLACEHOLDER)
        elif b"entryUUID" in request.whole:
            found = vassal(PLACEHOLDER, 1, text, None) + result(PLACEHOLDER)
        else:
            found = result(PLACEHOLDER)
        return found.replace(NUMBER, number_of(request)).replace(b"#000000#000#", stamp)

    async with scripted(answer) as port, watching(scripted_monitor(port, options=BUSY)) as watch:
        await watch.listings(5)
        text, stamp = "two", b"#000001#000#"
        await watch.shows("v1.ini", "two")


REFUSED = {
    "too old": (result(PLACEHOLDER, 4096), []),
    "too new": (result(PLACEHOLDER, 53, "consumer state is newer"), []),
    "nonsense": (
        entry(PLACEHOLDER, "", state(0, 9)) + over(PLACEHOLDER),
        ["what the server tells of changes makes no sense"],
    ),
}


@pytest.mark.parametrize(("said", "failures"), REFUSED.values(), ids=REFUSED)
async def test_a_cookie_that_is_no_good(said: bytes, failures: list[str]) -> None:
    """All is read anew, of a server that says that it does not take the cookie at once."""
    script = Script(FULL, said, FULL.replace(b"one", b"two"))
    async with scripted(script) as port:
        with Gate(port) as gate:
            async with watching(scripted_monitor(gate.port)) as watch:
                await watch.shows("v1.ini", "one")
                await trio.to_thread.run_sync(gate.cut)
                await watch.shows("v1.ini", "two")
                assert watch.failures() == ["the server closed the connection", *failures]
    assert script.cookies == [False, True, False]


async def test_a_cookie_that_is_given_again() -> None:
    """A server that is only busy gets it at the next try."""
    nothing_new = info(PLACEHOLDER, element(0xA1))
    script = Script(FULL, result(PLACEHOLDER, 51), nothing_new)
    async with scripted(script) as port:
        with Gate(port) as gate:
            async with watching(scripted_monitor(gate.port)) as watch:
                await watch.shows("v1.ini", "one")
                await trio.to_thread.run_sync(gate.cut)
                await watch.listings(1)
                assert list(watch.seen) == ["v1.ini"]
                assert watch.failures() == ["the server closed the connection", "Server is busy"]
    assert script.cookies == [False, True, True]


async def test_all_is_to_be_read_anew_some_time_later() -> None:
    """RFC 4533: the server may ask for it at any time."""
    script = Script(FULL + result(PLACEHOLDER, 4096), FULL.replace(b"one", b"two"))
    async with scripted(script) as port, watching(scripted_monitor(port)) as watch:
        await watch.shows("v1.ini", "two")
        assert not watch.failures()
    assert script.cookies == [False, False]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(result(0, 52, "bye", 0x78), "Server is unavailable: bye", id="notice"),
        pytest.param(
            result(PLACEHOLDER, 80, "oops"),
            "implementation specific) error: oops",
            id="error",
        ),
        pytest.param(
            info(PLACEHOLDER, b"\xa9\x00"),
            "what the server tells of changes makes no sense",
            id="?",
        ),
        pytest.param(b"\x30\x03\x02\x01", "was silent for 1 s", id="cut"),
        pytest.param(
            b"HTTP/1.0 400 Bad Request\r\n" * 9,
            "what answers speaks no LDAP",
            id="another protocol",
        ),
        pytest.param(None, "the server closed the connection", id="hangs up"),
    ],
)
async def test_nonsense_is_a_failure(said: bytes | None, reason: str) -> None:
    async with scripted(Script(said)) as port:
        told = await failure_of(scripted_monitor(port, limit=1))
        assert reason in told


async def test_who_is_cancelled_has_taken_no_message() -> None:
    """As whoever waits for news is, every freq seconds, however many are coming."""

    def answer(request: Request) -> bytes:
        return b"".join(entry(request.number, f"cn={count}") for count in range(300)) + result(
            request.number
        )

    taken: list[Message] = []
    async with scripted(answer) as port, trio.open_nursery() as nursery:
        wire = await connect(ldap_url.read("ldap", f"127.0.0.1:{port}/o=x"))
        nursery.start_soon(wire.carry)
        link = LdapConnection(wire)
        link.search("o=x", ldap.SCOPE_SUBTREE, "(cn=*)", ())
        while not (taken and taken[-1].is_last):
            with trio.CancelScope() as impatient:
                impatient.cancel()
                taken.append(await link.take())
            if impatient.cancelled_caught:
                taken.append(await link.take())
        await link.close()
    assert len(taken) == 301


# A flood


async def test_a_flood_of_changes(synchronized: LdapSource) -> None:
    async with watching(synchronized.monitor(SELDOM)) as watch:
        await trio.to_thread.run_sync(flood, synchronized)
        for row in range(20):
            await watch.shows(f"v{row}.ini", str(980 + row))
        assert len(watch.told) < 1000


def flood(source: LdapSource) -> None:
    for count in range(1000):
        source.put(f"v{count % 20}.ini", str(count))


# The cost for those who do not use it


def run(code: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **more
    )


def test_the_library_is_imported_when_it_is_used() -> None:
    code = (
        "import sys, emperord.monitors.registry as r;"
        "r.open_monitor('/tmp'); assert 'ldap' not in sys.modules;"
        "r.open_monitor('ldap://h/o=x'); assert 'ldap' in sys.modules"
    )
    assert run(code).stderr == ""


def test_a_missing_library_is_one_line(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ldap'] = None;"
        "from emperord.daemon.main import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--journal", tmp_path / "j", "ldaps://h/o=x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == (
        "emperor: ldap:// needs python-ldap, which is not installed: pip install 'emperord[ldap]'\n"
    )
