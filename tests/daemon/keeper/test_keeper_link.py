"""The daemon's end of the channel, against a keeper that a test plays."""

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import trio
import trio.testing
from emperord.daemon.keeper import protocol as keeping
from emperord.daemon.keeper.link import Death, KeeperLink, Kept
from support.root import need_root


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, KeeperLink]]:
    """The keeper's end, and the daemon's link."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(10)
    link = KeeperLink(theirs)
    with ours:
        yield ours, link
        link.close()


def heard(keeper: socket.socket) -> tuple[dict[str, Any], int]:
    """The next packet, and how many descriptors came with it."""
    data, received, _, _ = socket.recv_fds(keeper, keeping.LONGEST, 16)
    for descriptor in received:
        os.close(descriptor)
    return keeping.decode(data), len(received)


def died(pid: int, start: int, code: int) -> bytes:
    return keeping.encode(keeping.death(pid, start, code, None))


async def test_what_a_keeper_does_not_take_waits_in_order(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    keeper, link = ends
    count = 0
    while not link.congested and count < 10_000:
        link.acknowledge((count, 1))
        count += 1
    assert link.congested
    link.keep("late", [0])
    link.drop("late")  # never said, so not unsaid either, but for the drop itself
    link.acknowledge((count, 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        for number in range(count):
            said, _ = await trio.to_thread.run_sync(heard, keeper)
            assert said["pid"] == number
        said, _ = await trio.to_thread.run_sync(heard, keeper)
        assert said == {"do": "drop", "name": "late"}
        said, _ = await trio.to_thread.run_sync(heard, keeper)
        assert said["pid"] == count
        nursery.cancel_scope.cancel()


# More descriptors on their way than an ordinary user may have (unix(7)).
CROWDED = """
import os, resource, socket
from emperord.daemon.keeper import protocol as keeping
from emperord.daemon.keeper.link import KeeperLink
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
os.setuid(65534)
keeper, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link = KeeperLink(theirs)
for number in range(20):
    link.keep(str(number), [0] * 8)
assert link.congested
for number in range(20):
    data, descriptors, _, _ = socket.recv_fds(keeper, keeping.LONGEST, 16)
    assert keeping.decode(data)["name"] == str(number)
    assert len(descriptors) == 8
    for descriptor in descriptors:
        os.close(descriptor)
    link.drop("nobody")
"""


def test_what_the_kernel_does_not_take_waits_too() -> None:
    need_root("become an ordinary user")
    subprocess.run([sys.executable, "-P", "-c", CROWDED], check=True)


async def test_what_is_delivered_has_been_told(ends: tuple[socket.socket, KeeperLink]) -> None:
    """A successor says that it has taken over, and the other daemon has gone. Nothing may wait."""
    keeper, link = ends
    count = 0
    while not link.congested and count < 10_000:
        link.acknowledge((count, 1))
        count += 1
    link.acknowledge((count, 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, link.deliver)
        for number in range(count + 1):
            said, _ = await trio.to_thread.run_sync(heard, keeper)
            assert said["pid"] == number
    assert not link.congested


async def test_deaths_that_nobody_asks_for_are_acknowledged(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    keeper, link = ends
    link.expect((7, 70))
    keeper.send(died(6, 60, 0))
    keeper.send(died(7, 70, 3))
    keeper.send(keeping.encode({"say": "synced"}))
    await link.sync()
    assert link.deaths.keys() == {(6, 60), (7, 70)}  # recovery may ask for any
    link.acknowledge_all()
    assert link.deaths == {(7, 70): Death(3, None)}
    keeper.send(died(8, 80, 0))  # an orphan's
    keeper.send(died(7, 71, 0))  # another process with that pid
    link.look()
    assert link.deaths == {(7, 70): Death(3, None)}
    assert await link.death_of((7, 70), 10) == Death(3, None)
    link.acknowledge((7, 70))
    said = [heard(keeper)[0] for _ in range(5)]
    assert [packet["do"] for packet in said] == ["sync", "ack", "ack", "ack", "ack"]
    assert [(packet["pid"], packet["start"]) for packet in said[1:]] == [
        (6, 60),
        (8, 80),
        (7, 71),
        (7, 70),
    ]


async def test_a_keeper_that_dies_ends_all_waiting(ends: tuple[socket.socket, KeeperLink]) -> None:
    keeper, link = ends
    link.keep("a", [0], {"x": 1})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        keeper.close()
        assert await link.death_of((7, 70), 30) is None
    assert link.died
    assert not link.alive
    link.keep("b", [1])
    link.acknowledge((1, 1))
    await link.sync()
    assert link.entrusted == {"a": Kept({"x": 1}, [0]), "b": Kept({}, [1])}  # for a successor


def test_what_a_keeper_said_last_is_heard_whatever_it_left_unread(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    keeper, link = ends
    link.acknowledge((1, 1))
    keeper.send(died(7, 70, 3))
    keeper.close()
    link.look()
    assert link.deaths == {(7, 70): Death(3, None)}
    assert link.died


def test_a_keeper_that_has_just_died_is_none(ends: tuple[socket.socket, KeeperLink]) -> None:
    """A daemon that is about to leave relies on it, and need not have heard of it yet."""
    keeper, link = ends
    keeper.send(died(6, 60, 0))
    assert link.alive
    keeper.close()
    assert not link.alive


def test_no_keeper_at_all() -> None:
    link = KeeperLink.from_environment({})
    link.receive_all()
    trio.run(link.run)
    link.keep("a", [0])
    link.drop("a")
    assert not link.alive
    assert not link.died


def greet(keeper: socket.socket, link: KeeperLink, **version: int) -> None:
    """Say what a keeper says first, of the version that it knows."""
    keeper.send(keeping.encode({"say": "all", **version}))
    link.receive_all()
    assert link.complete


@pytest.mark.parametrize(
    ("version", "said", "descriptors"),
    [
        ({"version": 2}, {"do": "about", "name": "a", "about": {"x": 2}}, 0),
        ({"version": 3}, {"do": "about", "name": "a", "about": {"x": 2}}, 0),
        ({}, {"do": "keep", "name": "a", "about": {"x": 2, "y": 1}}, 1),
    ],
    ids=["of the one before", "of this version", "of the first one"],
)
def test_a_keeper_is_told_what_changed_in_the_packets_of_its_version(
    ends: tuple[socket.socket, KeeperLink],
    version: dict[str, int],
    said: dict[str, object],
    descriptors: int,
) -> None:
    keeper, link = ends
    greet(keeper, link, **version)
    link.keep("a", [0], {"x": 1, "y": 1})
    link.tell_about("a", {"x": 2})
    link.tell_about("never kept", {"x": 2})
    assert heard(keeper) == ({"do": "keep", "name": "a", "about": {"x": 1, "y": 1}}, 1)
    assert heard(keeper) == (said, descriptors)
    assert link.entrusted["a"].about == {"x": 2, "y": 1}
    link.hear()
    told = {"do": "hear", "version": keeping.VERSION, "log": "text", "file": None}
    assert heard(keeper)[0] == told


async def test_signals_are_held_before_the_daemon_leaves(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    """A signal that the keeper hands on before it says so has come by then."""
    keeper, link = ends
    greet(keeper, link, version=4)
    for signals in ([], [1, 23]):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, link.hold, signals)
            said, _ = await trio.to_thread.run_sync(heard, keeper)
            assert said == {"do": "hold", "signals": signals}
            keeper.send(died(7, 70, 3))
            keeper.send(b'{"say": "held"}')
        assert link.deaths.keys() == {(7, 70)}


@pytest.mark.parametrize("end", ["is of version 3", "takes nothing", "dies", "says nothing"])
def test_a_daemon_does_not_wait_long_for_a_keeper_that_holds_no_signal(
    ends: tuple[socket.socket, KeeperLink], end: str
) -> None:
    keeper, link = ends
    greet(keeper, link, version=3 if end == "is of version 3" else 4)
    while end == "takes nothing" and not link.congested:
        link.acknowledge((7, 1))
    if end == "dies":
        keeper.close()
    link.hold([])
    assert link.died == (end == "dies")
    if end == "is of version 3":
        link.close()
        assert keeper.recv(1) == b""


@asynccontextmanager
async def running(link: KeeperLink) -> AsyncIterator[trio.Nursery]:
    """The link attends to its keeper, until the end of the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        await trio.testing.wait_all_tasks_blocked()
        yield nursery
        nursery.cancel_scope.cancel()


def kinds(said: dict[str, Any]) -> list[str]:
    return [each["do"] for each in keeping.packets_of(said)]


async def test_the_ends_of_many_are_told_together(ends: tuple[socket.socket, KeeperLink]) -> None:
    """A packet each would cost keeper and daemon as much as the rest of an end."""
    keeper, link = ends
    greet(keeper, link, version=3)
    async with running(link):
        for number in range(1000):
            link.entrust_death((number, 1), Death(0, None))
        link.flush()  # they may be reaped now
        told: list[str] = []
        while len(told) < 1000:
            more = kinds(heard(keeper)[0])
            assert len(more) > 100 or len(told) + len(more) == 1000
            told += more
        assert told == ["died"] * 1000
        link.drop("a", soon=True)
        link.acknowledge((7, 1))
        await trio.testing.wait_all_tasks_blocked()
        assert kinds(heard(keeper)[0]) == ["drop", "ack"]
        link.drop("last", soon=True)
    assert heard(keeper)[0] == {"do": "drop", "name": "last"}


async def test_descriptors_go_by_themselves_and_after_what_waits(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    """A keeper that has no room for them loses nothing else, and has dropped others before."""
    keeper, link = ends
    greet(keeper, link, version=3)
    async with running(link):
        link.drop("a", soon=True)
        link.acknowledge((7, 1))
        link.keep("b", [0])
        said, descriptors = heard(keeper)
        assert (kinds(said), descriptors) == (["drop", "ack"], 0)
        said, descriptors = heard(keeper)
        assert (kinds(said), descriptors) == (["keep"], 1)


async def test_what_was_refused_is_not_sent_when_the_daemon_leaves(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    """Its descriptors may be closed by then, and their numbers those of other files."""
    keeper, link = ends
    greet(keeper, link, version=3)
    async with running(link) as nursery:
        count = 0
        while not link.congested:
            link.keep(f"{count}", [0], patience=0)
            count += 1
        nursery.cancel_scope.cancel()
        assert heard(keeper)[0]["name"] == "0"  # there is room again
    told = [heard(keeper)[0]["name"] for _ in range(count - 2)]
    assert told == [str(number) for number in range(1, count - 1)]
    keeper.setblocking(False)
    with pytest.raises(BlockingIOError):
        keeper.recv(1)


async def test_small_buffers_get_each_packet_by_itself() -> None:
    keeper, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    link = KeeperLink(theirs)
    with keeper, closing(link):
        greet(keeper, link, version=3)
        async with running(link):
            for number in range(600):
                link.acknowledge((number, 1))
            told: list[int] = []
            while len(told) < 600:
                link.flush()
                told += [each["pid"] for each in keeping.packets_of(heard(keeper)[0])]
            assert told == list(range(600))


async def test_a_keeper_of_the_version_before_gets_each_packet_by_itself(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    keeper, link = ends
    greet(keeper, link, version=2)
    async with running(link):
        link.drop("a", soon=True)
        link.drop("b", soon=True)
        await trio.testing.wait_all_tasks_blocked()
        assert [heard(keeper)[0]["name"] for _ in range(2)] == ["a", "b"]


async def test_a_name_that_is_no_utf_8_is_told_as_well(
    ends: tuple[socket.socket, KeeperLink],
) -> None:
    keeper, link = ends
    link.keep("7:\udcff.ini", [0])
    assert heard(keeper) == ({"do": "keep", "name": "7:\udcff.ini", "about": {}}, 1)


@pytest.mark.parametrize("version", [{}, {"version": 2}], ids=["one", "two"])
def test_a_keeper_that_takes_nothing_is_told_the_last_of_many(
    ends: tuple[socket.socket, KeeperLink], version: dict[str, int]
) -> None:
    """A commit must not cost memory as long as the keeper is stopped."""
    keeper, link = ends
    greet(keeper, link, **version)
    link.keep("a", [0], {"x": -1})
    count = 0
    while not link.congested:
        link.acknowledge((count, 1))
        count += 1
    for number in range(1000):
        link.tell_about("a", {"x": number})
    assert heard(keeper)[1] == 1
    for _ in range(count):
        link.deliver()
        assert heard(keeper)[0]["do"] == "ack"
    link.deliver()
    said, _ = heard(keeper)
    assert said["about"] == {"x": 999}
    keeper.setblocking(False)
    with pytest.raises(BlockingIOError):
        heard(keeper)


def test_what_is_taken_stays_there_for_its_owner(ends: tuple[socket.socket, KeeperLink]) -> None:
    _, link = ends
    link.kept["a"] = Kept({"x": 1}, [0])
    assert link.take("a") is link.take("a") is link.entrusted["a"]
    assert link.take("b") is None
