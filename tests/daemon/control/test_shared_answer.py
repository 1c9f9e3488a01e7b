"""The answer to ``list`` is made once for clients that ask together, and holds up no others."""

import json
import time

import pytest
import trio
from emperord.daemon.control.live import listed
from emperord.daemon.control.shared_answer import SharedAnswer
from emperord.daemon.core.fleet import Fleet, Vassal
from emperord.journal.events import Spec


class Made:
    """A fleet that counts how often it is told."""

    def __init__(self, seq: int) -> None:
        self.told, self.seq = 0, seq

    async def line(self, fields: tuple[str, ...]) -> tuple[int, bytes]:
        self.told += 1
        seq, told = self.seq, self.told
        await trio.lowlevel.checkpoint()
        return seq, b"%d" % told


async def test_it_is_shared_until_something_is_recorded() -> None:
    fleet = Made(7)
    answer = SharedAnswer(fleet.line)
    first = await answer.line(7)
    assert first == b"1"
    assert await answer.line(7) is first
    fleet.seq = 8
    assert await answer.line(8) == b"2"


async def test_it_is_not_shared_with_clients_that_ask_for_other_fields() -> None:
    answer = SharedAnswer(Made(7).line)
    first = await answer.line(7)
    other = await answer.line(7, ("name",))
    assert other != first
    assert await answer.line(7, ("name",)) is other
    assert await answer.line(7) not in (first, other)


async def test_one_that_failed_is_made_anew() -> None:
    fleet = Made(7)

    async def line(fields: tuple[str, ...]) -> tuple[int, bytes]:
        if fields:
            raise ValueError("a bug")
        return await fleet.line(fields)

    answer = SharedAnswer(line)
    assert await answer.line(7) == b"1"
    with pytest.raises(ValueError, match="a bug"):
        await answer.line(7, ("name",))
    assert await answer.line(7) == b"2"


async def test_clients_that_come_while_it_is_made_share_it() -> None:
    fleet = Made(8)
    answer, lines = SharedAnswer(fleet.line), list[bytes]()

    async def ask() -> None:
        lines.append(await answer.line(7))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert lines == [b"1"] * 20


async def test_it_is_not_shared_for_long() -> None:
    """Times since a start or an end go on without an event."""
    answer = SharedAnswer(Made(7).line)
    first = await answer.line(7)
    until = time.monotonic() + 20
    while await answer.line(7) is first:
        assert time.monotonic() < until
        await trio.lowlevel.checkpoint()


class Daemon:
    """A daemon of so many vassals, which counts those that it is asked about."""

    def __init__(self, count: int) -> None:
        self.fleet, self.asked = Fleet(seq=9, at=1, monitors=("dir:///x",)), 0
        for at in range(count):
            name = f"v{at:04}.ini"
            vassal = Vassal(name, "dir:///x", Spec(ts=1), "ready", since=1, because=1)
            self.fleet.vassals[name] = vassal

    def now(self) -> int:
        return 2

    def heartbeat_age(self, vassal: str) -> float | None:
        self.asked += 1
        return None

    def cgroup_of(self, vassal: str) -> str | None:
        return None

    def log_of(self, vassal: str) -> str | None:
        return None

    def status_of(self, vassal: str) -> str | None:
        return None

    def rejected(self) -> dict[str, tuple[int, str]]:
        return {}


async def test_others_have_their_turns_while_a_long_list_is_made() -> None:
    """10,000 vassals held the loop for 80 ms. Events that come meanwhile are not in the list."""
    daemon, lines, turns = Daemon(2_000), list[tuple[int, bytes]](), 0

    async def ask() -> None:
        lines.append(await listed(daemon))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        while not lines:
            asked = daemon.asked
            await trio.lowlevel.checkpoint()
            assert daemon.asked - asked <= 200  # two shares, by the order that trio draws
            turns += 1
            daemon.fleet.seq += 1
            daemon.fleet.vassals["v1999.ini"].phase = "stopping"
            daemon.fleet.vassals.pop("v1000.ini", None)
    assert turns >= 20
    ((seq, line),) = lines
    told = json.loads(line)
    assert told["ok"] is True
    assert seq == told["seq"] in (9, 10)
    assert len(told["vassals"]) == 2_000 - (seq > 9)
    assert told["vassals"][-1]["phase"] == ("ready" if seq == 9 else "stopping")
    assert told["sources"] == {"dir:///x": "dir:x"}


async def test_a_list_of_names_looks_at_no_other_vassal() -> None:
    daemon = Daemon(2_000)
    _, line = await listed(daemon, {"v0700.ini", "v0003.ini"})
    assert [each["name"] for each in json.loads(line)["vassals"]] == ["v0003.ini", "v0700.ini"]
    assert daemon.asked == 2
