"""zmq:// listens by TCP and by ipc://, and tries again while it cannot."""

import itertools
import os
import resource
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
import trio
from emperord.monitors.contract import (
    Recovered,
)
from emperord.monitors.registry import open_monitor
from emperord.monitors.zeromq import monitor
from emperord.monitors.zeromq.endpoint import Opened, open_endpoint
from support.ports import free_port
from support.pushing import Pusher

from ..watching import Watching
from .listening import BUSY, Keys, listening

pytestmark = pytest.mark.usefixtures("here")


# Where it listens


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("own", [True, False], ids=["alone", "all"])
async def test_both_families(host: str, own: bool) -> None:
    port = free_port()
    async with listening(f"tcp://{host if own else '*'}:{port}") as watch:
        with Pusher(f"tcp://{host}:{port}") as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


@pytest.mark.parametrize(
    "place", ["ipc://{}/s", "ipc://s", "ipc://@{}"], ids=["path", "relative", "abstract"]
)
async def test_ipc(place: str, here: Path) -> None:
    endpoint = place.format(here)
    async with listening(endpoint) as watch:
        with Pusher(endpoint) as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")
    assert not (here / "s").exists()


async def test_an_endpoint_in_use_is_waited_for(endpoint: str, pusher: Pusher) -> None:
    async with trio.open_nursery() as nursery:
        first = Watching()
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", BUSY).run, first.tell, {})
        await first.until(lambda: first.told)
        async with listening(endpoint) as watch:
            await watch.until(lambda: len(watch.failures()) > 2)
            reason = "another process listens there; stop that, or use another endpoint"
            assert set(watch.failures()) == {f"cannot listen at {endpoint}: {reason}"}
            nursery.cancel_scope.cancel()
            await watch.until(lambda: Recovered() in watch.told)
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


def _left(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert stat.S_ISSOCK(path.stat().st_mode)


async def test_the_socket_of_a_dead_daemon_is_replaced(here: Path) -> None:
    _left(here / "s")
    async with listening("ipc://s") as watch:
        assert watch.told == [Recovered()]


async def test_what_is_no_socket_is_left_alone(here: Path) -> None:
    (here / "s").write_text("precious")
    async with listening("ipc://s") as watch:
        assert watch.failures() == [f"{here}/s is in the way and is no socket; remove it"]
        assert (here / "s").read_text() == "precious"
        (here / "s").unlink()
        await watch.until(lambda: Recovered() in watch.told)


async def test_the_socket_of_a_living_daemon_is_left_alone(here: Path) -> None:
    with socket.socket(socket.AF_UNIX) as living:
        living.bind("s")
        living.listen()
        inode = (here / "s").stat().st_ino
        async with listening("ipc://s") as watch:
            assert "another process listens" in watch.failures()[0]
            assert (here / "s").stat().st_ino == inode
            living.close()
            await watch.until(lambda: Recovered() in watch.told)


async def test_a_socket_that_is_removed_is_made_again(here: Path) -> None:
    async with listening("ipc://s") as watch:
        with Pusher("ipc://s") as old:
            old.touch("a.ini", "one")
            await watch.shows("a.ini", "one")
            (here / "s").unlink()
            await watch.until(lambda: watch.told[-1] == Recovered() and len(watch.told) > 2)
            with Pusher("ipc://s") as new:
                new.touch("a.ini", "two")
                await watch.shows("a.ini", "two")
            old.touch("a.ini", "three")
            await watch.shows("a.ini", "three")


async def test_a_socket_that_is_removed_at_once_is_made_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def removed(*arguments: Any) -> Opened:
        found = await open_endpoint(*arguments)
        (here / "s").unlink()
        return found

    monkeypatch.setattr(monitor, "open_endpoint", removed)
    async with listening("ipc://s") as watch:
        await watch.until(lambda: watch.told.count(Recovered()) == 2)
        with Pusher("ipc://s") as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


NOWHERE = {
    "address of another": ("tcp://192.0.2.1:5252", "no such address"),
    "name": ("tcp://no-such-host:5252", "no such address"),
    "no directory": ("ipc:///no/such/s", "there is no directory /no/such; make it"),
}


@pytest.mark.parametrize(("where", "reason"), NOWHERE.values(), ids=NOWHERE)
async def test_nowhere_to_listen(where: str, reason: str) -> None:
    async with listening(where) as watch:
        assert reason in watch.failures()[0]


@pytest.mark.parametrize("guarded", [False, True], ids=["open", "guarded"])
async def test_too_few_descriptors_end_nothing(guarded: bool, endpoint: str, keys: Keys) -> None:
    """libzmq would abort the whole process."""
    url = endpoint
    if guarded:
        url += f"?curve_secretkey_file={keys.file}&curve_allowed_keys_file={keys.file}"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir("/proc/self/fd")))
    free = itertools.filterfalse(used.__contains__, itertools.count())
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, 12, None)), hard))
    try:
        async with listening(url) as watch:
            await watch.until(lambda: len(watch.failures()) > 1)
            assert "too few descriptors" in watch.failures()[0]
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await watch.until(lambda: Recovered() in watch.told)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
