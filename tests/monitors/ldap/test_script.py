"""ldap:// on a scripted server: the answers that a real one gives seldom or never."""

import ldap  # type: ignore[import-untyped]
import pytest
import trio
from emperord.monitors.ldap import stamps
from emperord.monitors.ldap import url as ldap_url
from emperord.monitors.ldap.ber import element
from emperord.monitors.ldap.connection import LdapConnection, Message
from emperord.monitors.ldap.transport import connect
from support.gate import Gate
from support.ldap import (
    Request,
    entry,
    info,
    result,
    scripted,
    state,
)

from ..watching import failure_of, watching
from .readings import BUSY, scripted_monitor, vassal


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
        ["the server's news of changes makes no sense"],
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
            "the server's news of changes makes no sense",
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
    """As a client that waits for news is, every freq seconds, however many are coming."""

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
