"""The keeper's protocol without I/O: what it remembers, and that nothing it is told leaks."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from emperord.daemon.keeper.protocol import (
    JOURNAL,
    LONGEST,
    VERSION,
    BadPacket,
    Memory,
    decode,
    encode,
    version_of,
)
from hypothesis import given
from hypothesis import strategies as st


class Kernel:
    """Counts descriptors: each is closed once, and only if it is open."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self._next = 100
        self.memory = Memory(self.open.remove)

    def pass_(self, count: int) -> list[int]:
        """So many new descriptors, as they come beside a packet."""
        given = list(range(self._next, self._next + count))
        self._next += count
        self.open.update(given)
        return given

    def kept(self) -> set[int]:
        """Those that the memory says it has."""
        return {fd for _, fds in self.memory.kept.values() for fd in fds}


def test_what_is_kept_is_told_to_every_daemon() -> None:
    kernel = Kernel()
    memory = kernel.memory
    a, b = kernel.pass_(2), kernel.pass_(1)
    memory.told({"do": "keep", "name": "a", "about": {"x": 1}}, a)
    memory.told({"do": "keep", "name": "b"}, b)
    death = memory.died(7, 8, 3, None)
    greeting = [
        ({"say": "kept", "name": "a", "about": {"x": 1}}, a),
        ({"say": "kept", "name": "b", "about": {}}, b),
        ({"say": "died", "pid": 7, "start": 8, "code": 3, "signal": None}, []),
        ({"say": "all", "version": VERSION}, []),
    ]
    assert memory.greeting() == greeting == memory.greeting()
    assert death == greeting[2][0]
    memory.told({"do": "drop", "name": "a"}, [])
    memory.told({"do": "ack", "pid": 7, "start": 8}, [])
    assert memory.greeting() == [greeting[1], greeting[3]]
    assert kernel.open == set(b)


def test_a_name_that_is_kept_again_lets_the_former_go() -> None:
    kernel = Kernel()
    kernel.memory.told({"do": "keep", "name": "a"}, kernel.pass_(2))
    again = kernel.pass_(1)
    kernel.memory.told({"do": "keep", "name": "a"}, again)
    assert kernel.open == set(again)


def test_a_pid_that_comes_again_is_another_process() -> None:
    memory = Kernel().memory
    memory.died(7, 8, 3, None)
    memory.died(7, 9, None, 15)
    memory.told({"do": "ack", "pid": 7, "start": 8}, [])
    assert list(memory.deaths) == [(7, 9)]


def test_a_death_that_a_daemon_entrusts_is_told_to_the_next() -> None:
    memory = Kernel().memory
    memory.told({"do": "died", "pid": 7, "start": 8, "code": None, "signal": 9}, [])
    assert memory.greeting()[0] == (
        {"say": "died", "pid": 7, "start": 8, "code": None, "signal": 9},
        [],
    )


def test_what_changes_about_a_name_is_told_with_the_rest() -> None:
    memory = Kernel().memory
    memory.told({"do": "keep", "name": "a", "about": {"x": 1, "y": 1}}, [5])
    memory.told({"do": "about", "name": "a", "about": {"x": 2}}, [])
    memory.told({"do": "about", "name": "gone", "about": {"x": 3}}, [])
    said, descriptors = memory.greeting()[0]
    assert (said["about"], descriptors) == ({"x": 2, "y": 1}, [5])


def test_a_daemon_of_the_release_before_cannot_drop_what_it_does_not_know() -> None:
    """It lets go of all that it has no vassal for."""
    kernel = Kernel()
    kernel.memory.told({"do": "keep", "name": JOURNAL}, kernel.pass_(1))
    kernel.memory.greeting()
    kernel.memory.told({"do": "drop", "name": JOURNAL}, [])
    kernel.memory.told({"do": "hear"}, [])
    kernel.memory.told({"do": "drop", "name": JOURNAL}, [])
    assert list(kernel.memory.kept) == [JOURNAL]
    kernel.memory.told({"do": "hear", "version": VERSION}, [])
    kernel.memory.told({"do": "drop", "name": JOURNAL}, [])
    assert kernel.open == set()


@pytest.mark.parametrize(
    ("packet", "version"),
    [
        ({}, 1),
        ({"version": 2}, 2),
        ({"version": 9}, 9),
        ({"version": "2"}, 1),
        ({"version": []}, 1),
    ],
    ids=["none", "two", "later", "text", "list"],
)
def test_the_version_that_a_greeting_gives(packet: dict[str, Any], version: int) -> None:
    assert version_of(packet) == version


NONSENSE = [
    {},
    {"do": "about"},
    {"do": "about", "name": "a"},
    {"do": "about", "name": "a", "about": 5},
    {"do": None},
    {"do": "keep", "name": "a"},  # nothing to keep
    {"do": "drop"},
    {"do": "drop", "name": 1},
    {"do": "ack", "pid": 7},
    {"do": "ack", "pid": "7", "start": 8},
    {"do": "died", "pid": 7, "start": 8, "code": "x"},
    {"do": "hold"},
    {"do": "hold", "signals": 1},
    {"do": "hold", "signals": ["1"]},
    {"do": "hold", "signals": [[1]]},
    {"do": ["keep"], "name": "a"},
    {"say": "kept"},
]


@pytest.mark.parametrize("packet", NONSENSE, ids=json.dumps)
def test_nonsense_changes_nothing(packet: dict[str, Any]) -> None:
    kernel = Kernel()
    with pytest.raises(BadPacket):
        kernel.memory.told(packet, [])
    assert kernel.memory.greeting() == [({"say": "all", "version": VERSION}, [])]


@pytest.mark.parametrize(
    "packet",
    [
        {"do": "keep", "name": 1},
        {"do": "keep", "name": "a", "about": []},
        {"do": "drop", "name": "a"},
        {"do": "hear"},
        {"do": "pass"},
        {},
    ],
    ids=json.dumps,
)
def test_descriptors_beside_nonsense_are_closed(packet: dict[str, Any]) -> None:
    kernel = Kernel()
    with pytest.raises(BadPacket):
        kernel.memory.told(packet, kernel.pass_(3))
    assert kernel.open == set()


@pytest.mark.parametrize(
    "packets",
    [None, {}, [], [1], [[]], [{"do": "sync"}, None], [{"do": "several", "packets": []}]],
    ids=json.dumps,
)
def test_several_packets_that_are_none_leak_no_descriptor(packets: Any) -> None:
    kernel = Kernel()
    with pytest.raises(BadPacket, match="several packets"):
        kernel.memory.heard(encode({"do": "several", "packets": packets}), kernel.pass_(3), False)
    assert kernel.open == set()


def test_several_packets_count_in_their_order_and_have_no_descriptors() -> None:
    kernel = Kernel()
    kernel.memory.told({"do": "keep", "name": "a", "about": {"x": 1}}, kernel.pass_(1))
    about, drop = {"do": "about", "name": "a", "about": {"x": 2}}, {"do": "drop", "name": "a"}
    data = encode({"do": "several", "packets": [{"do": "ack"}, about, drop]})
    with pytest.raises(BadPacket, match="descriptors beside several"):
        kernel.memory.heard(data, kernel.pass_(2), cut=False)
    wrong, *others = kernel.memory.heard(data, [], cut=False)
    with pytest.raises(BadPacket):
        kernel.memory.told(wrong, [])
    assert others == [about, drop]
    for packet in others:
        kernel.memory.told(packet, [])
    assert kernel.open == kernel.kept() == set()


def test_the_longest_name_fits_into_a_packet() -> None:
    packet = {"do": "keep", "name": f"{2**63}:" + "\U0001f600" * 64, "about": {}}
    assert len(encode(packet)) < LONGEST / 8
    assert decode(encode(packet)) == packet


# Anything at all

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
orders: st.SearchStrategy[Any] = st.sampled_from(
    ["keep", "drop", "ack", "died", "hear", "hold", "sync", "", None, 3, [], {}]
)
few = st.integers(0, 2)
packets = st.fixed_dictionaries(
    {"do": orders | anything},
    optional={
        "name": st.sampled_from(["a", "b"]) | anything,
        "pid": few | anything,
        "start": few | anything,
        "code": few | anything,
        "signal": few | anything,
        "about": st.just({}) | anything,
        "signals": st.lists(few) | anything,
    },
)


@given(st.binary(max_size=300) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_packet_or_refused(data: bytes) -> None:
    try:
        packet = decode(data)
    except BadPacket:
        return
    assert isinstance(packet, dict)


@pytest.mark.parametrize(
    "data", [b"[" * 60000, b'{"a":' * 10000, b"1" * 60000, b"\xff", b"", b"\0" * 100, b'"\\ud800"']
)
def test_what_breaks_parsers(data: bytes) -> None:
    with pytest.raises(BadPacket):
        decode(data)


several = st.fixed_dictionaries(
    {"do": st.just("several"), "packets": st.lists(packets | anything, max_size=3) | anything}
)
said = packets | several
garbled = st.binary(max_size=30) | said.map(lambda packet: json.dumps(packet).encode())


@given(st.lists(st.tuples(garbled, st.integers(0, 3), st.booleans()), max_size=30))
def test_no_descriptor_leaks_whatever_comes(came: list[tuple[bytes, int, bool]]) -> None:
    kernel = Kernel()
    for data, count, cut in came:
        with contextlib.suppress(BadPacket):
            descriptors = kernel.pass_(count)
            for packet in kernel.memory.heard(data, descriptors, cut):
                with contextlib.suppress(BadPacket):
                    kernel.memory.told(packet, descriptors)
        assert kernel.open == kernel.kept()


@given(st.lists(st.tuples(packets, st.integers(0, 3)), max_size=30))
def test_no_descriptor_leaks_whatever_is_said(told: list[tuple[dict[str, Any], int]]) -> None:
    kernel = Kernel()
    for packet, count in told:
        before = kernel.memory.greeting()
        try:
            kernel.memory.told(packet, kernel.pass_(count))
        except BadPacket:
            assert kernel.memory.greeting() == before  # a refused packet changes nothing
        assert kernel.open == kernel.kept()
    for packet, _ in kernel.memory.greeting():  # all of it can be said
        assert decode(encode(packet)).keys() == packet.keys()
    for name in list(kernel.memory.kept):
        kernel.memory.told({"do": "drop", "name": name}, [])
    assert kernel.open == set()


def test_what_the_service_manager_has_passed_is_not_a_daemons_to_drop() -> None:
    """One of a release that does not know the name drops it. Nor is it kept for a vassal."""
    closed: list[int] = []
    memory = Memory(closed.append)
    memory.kept["passed:7"] = ({"name": "web"}, [7])
    for version in (1, 2):
        memory.told({"do": "hear", "version": version}, [])
        memory.told({"do": "drop", "name": "passed:7"}, [])
    assert (list(memory.kept), closed) == (["passed:7"], [])
    assert not memory.of_vassals()
    memory.told({"do": "keep", "name": "listen:a.ini\n:80", "about": {}}, [8])
    assert memory.of_vassals()


def test_whether_anything_is_kept_for_vassals_costs_as_much_for_many() -> None:
    """The keeper asks at each turn of a start. It looked at all of 10,000 vassals, three times."""

    class Looked(dict[str, Any]):
        looks = 0

        def __iter__(self) -> Iterator[str]:
            for name in super().__iter__():
                self.looks += 1
                yield name

        def keys(self) -> Any:
            raise AssertionError("a copy of all names")

    kernel = Kernel()
    kernel.memory.kept = kept = Looked()
    for name in (JOURNAL, "passed:7", *(f"sockets:{at}" for at in range(1_000))):
        kernel.memory.told({"do": "keep", "name": name, "about": {}}, kernel.pass_(1))
    kept.looks = 0
    assert kernel.memory.of_vassals()
    assert kept.looks == 3
