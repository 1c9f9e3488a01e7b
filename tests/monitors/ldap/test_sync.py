"""RFC 4533: what a server's messages amount to, without a server."""

from collections.abc import Callable

import pytest
from emperord.monitors.ldap import sync as ldap_sync
from emperord.monitors.ldap.ber import BadMessage, element, elements, length_of, sequence
from emperord.monitors.ldap.sync import Content, Entry, OutOfStep, TooMuch, request
from support.ldap import state, uuid_of

PRESENT, ADD, MODIFY, DELETE = range(4)


def an_entry(text: str) -> Entry:
    return Entry(f"cn={text}", {"cn": [text.encode()]})


class Server:
    """Says things to a content."""

    def __init__(self) -> None:
        self.content = Content()

    def begin(self) -> "Server":
        self.content.begin()
        return self

    def says(self, kind: int, key: int, text: str = "", cookie: str | None = None) -> "Server":
        self.content.take_entry(state(kind, key, cookie), an_entry(text))
        return self

    def tells(self, tag: int, *parts: bytes) -> "Server":
        self.content.take_info(element(tag, *parts))
        return self

    def cookie(self, text: str) -> "Server":
        return self.tells(0x80, text.encode())

    def refreshed(self, tag: int, cookie: str | None = None, *, done: bool = True) -> "Server":
        given = [] if cookie is None else [element(0x04, cookie.encode())]
        # That it is done is the default.
        return self.tells(tag, *given, *([] if done else [element(0x01, b"\0")]))

    def present_over(self, cookie: str | None = None, *, done: bool = True) -> "Server":
        return self.refreshed(0xA2, cookie, done=done)

    def deleting_over(self, cookie: str | None = None, *, done: bool = True) -> "Server":
        return self.refreshed(0xA1, cookie, done=done)

    def ids(self, *keys: int, deletes: bool) -> "Server":
        flag = element(0x01, b"\xff") if deletes else b""
        return self.tells(0xA3, flag, element(0x31, *(element(0x04, uuid_of(k)) for k in keys)))

    def changed(self) -> bool:
        return self.content.changed

    @property
    def has(self) -> dict[int, str]:
        return {
            int.from_bytes(key, "big"): entry.dn.removeprefix("cn=")
            for key, entry in self.content.entries.items()
        }


def filled() -> Server:
    """One that has a, b and c, and follows."""
    server = Server().begin().says(ADD, 1, "a").says(ADD, 2, "b").says(ADD, 3, "c")
    return server.present_over("c1")


def test_a_first_refresh_counts_when_it_is_over() -> None:
    server = Server().begin().says(ADD, 1, "a").says(ADD, 2, "b", "c0")
    assert server.has == {}
    assert not server.changed()
    assert server.content.cookie is None
    server.present_over("c1")
    assert server.has == {1: "a", 2: "b"}
    assert server.changed()
    assert server.content.cookie == b"c1"


REFRESHES: dict[str, tuple[Callable[[Server], object], dict[int, str], str]] = {
    "nothing": (lambda s: s.deleting_over(), {1: "a", 2: "b", 3: "c"}, "c1"),
    "nothing, another cookie": (
        lambda s: s.deleting_over("c2"),
        {1: "a", 2: "b", 3: "c"},
        "c2",
    ),
    "present, one by one": (
        lambda s: s.says(PRESENT, 1).says(PRESENT, 3).says(ADD, 4, "d").present_over("c2"),
        {1: "a", 3: "c", 4: "d"},
        "c2",
    ),
    "present, as a set": (
        lambda s: s.says(MODIFY, 2, "B").ids(3, deletes=False).present_over("c2"),
        {2: "B", 3: "c"},
        "c2",
    ),
    "all have gone": (lambda s: s.present_over("c2"), {}, "c2"),
    "deleted, one by one": (
        lambda s: s.says(DELETE, 1).says(ADD, 4, "d").deleting_over("c2"),
        {2: "b", 3: "c", 4: "d"},
        "c2",
    ),
    "deleted, as a set": (
        lambda s: s.ids(1, 2, 9, deletes=True).deleting_over("c2"),
        {3: "c"},
        "c2",
    ),
    "present, then deleted": (
        lambda s: (
            s.ids(1, 2, deletes=False)
            .present_over("c15", done=False)
            .says(DELETE, 2)
            .says(ADD, 3, "C")
            .deleting_over("c2")
        ),
        {1: "a", 3: "C"},
        "c2",
    ),
    "the cookie beforehand": (
        lambda s: s.cookie("c2").deleting_over(),
        {1: "a", 2: "b", 3: "c"},
        "c2",
    ),
}


@pytest.mark.parametrize(("does", "has", "cookie"), REFRESHES.values(), ids=REFRESHES)
def test_a_refresh(does: Callable[[Server], object], has: dict[int, str], cookie: str) -> None:
    server = filled().begin()
    does(server)
    assert server.has == has
    assert server.content.cookie == cookie.encode()


def test_half_a_refresh_is_forgotten() -> None:
    server = filled().begin().says(DELETE, 1).says(ADD, 4, "d", "c3").cookie("c4")
    server.content.give_up()
    assert server.has == {1: "a", 2: "b", 3: "c"}
    assert server.content.cookie == b"c1"
    server.begin().deleting_over()
    assert server.has == {1: "a", 2: "b", 3: "c"}


def test_a_refresh_without_a_cookie_knows_nothing() -> None:
    server = filled()
    server.content.cookie = None
    assert server.begin().says(ADD, 2, "b").present_over("c2").has == {2: "b"}


def test_changes_count_at_once() -> None:
    server = filled()
    server.content.changed = False
    server.cookie("c2")
    assert not server.changed()
    assert server.says(MODIFY, 1, "A", "c3").has[1] == "A"
    assert server.changed()
    assert server.content.cookie == b"c3"
    server.says(ADD, 4, "d").says(DELETE, 2).ids(3, deletes=True)
    assert server.has == {1: "A", 4: "d"}


OUT_OF_STEP: dict[str, Callable[[Server], object]] = {
    "present and unknown": lambda s: s.begin().says(PRESENT, 9),
    "of a set, and unknown": lambda s: s.begin().ids(1, 9, deletes=False),
    "a refresh is over that never began": lambda s: s.present_over(),
}


@pytest.mark.parametrize("does", OUT_OF_STEP.values(), ids=OUT_OF_STEP)
def test_out_of_step(does: Callable[[Server], object]) -> None:
    with pytest.raises(OutOfStep):
        does(filled())


NONSENSE = {
    "nothing": b"",
    "no sequence": b"\x04\x00",
    "cut": b"\x30\x05\x0a\x01",
    "no end": b"\x30\x80\x00\x00",
    "a short id": element(0x30, element(0x0A, b"\x01"), element(0x04, b"short")),
    "a state that there is not": element(0x30, element(0x0A, b"\x07"), element(0x04, uuid_of(1))),
    "one part": element(0x30, element(0x0A, b"\x01")),
    "a tag that there is not": element(0xA9),
    "a part that there is not": element(0xA3, element(0x13)),
    "a short id in a set": element(0xA3, element(0x31, element(0x04, b"short"))),
}


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
def test_nonsense(value: bytes) -> None:
    with pytest.raises(BadMessage):
        Content().take_entry(value, an_entry("a"))
    with pytest.raises(BadMessage):
        Content().take_info(value)


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap_sync, "MOST_ENTRIES", 3)
    server = filled().says(MODIFY, 3, "C")
    with pytest.raises(TooMuch, match="more than 3 entries fit the filter; narrow it"):
        server.says(ADD, 4, "d")


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap_sync, "MOST_BYTES", 1 << 20)
    server = filled()
    for _ in range(10):  # replaced values count no more
        server.says(MODIFY, 1, "a" * 500_000)
    with pytest.raises(TooMuch, match="more than 1 MiB"):
        server.says(MODIFY, 2, "b" * 600_000)


def test_the_request() -> None:
    assert request(None) == bytes.fromhex("3003 0a0103")
    assert request(b"c1") == bytes.fromhex("3007 0a0103 0402 6331")


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_lengths(size: int) -> None:
    whole = element(0x30, element(0x04, bytes(size)))
    assert length_of(whole) == len(whole)
    assert sequence(whole) == [(0x04, bytes(size))]
    assert [tag for tag, _ in elements(whole * 2)] == [0x30, 0x30]
    assert length_of(whole[:1]) is None
