"""sd_notify over a real datagram socket."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from emperord.daemon.loop.systemd import Notifier
from support.vassals import SLEEPER

from ..conftest import MakeDaemon


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The value of NOTIFY_SOCKET, and systemd's end of the socket."""
    address = str(tmp_path / "notify")
    if request.param == "abstract":
        address = f"@{address}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(address.replace("@", "\0"))
        end.settimeout(10)
        yield address, end


def test_tells_states_in_one_datagram(systemd: tuple[str, socket.socket]) -> None:
    address, end = systemd
    Notifier({"NOTIFY_SOCKET": address}).tell("READY=1", "STATUS=3 vassals: ü")
    assert end.recv(4096).decode() == "READY=1\nSTATUS=3 vassals: ü"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="no systemd"),
        pytest.param({"NOTIFY_SOCKET": ""}, id="empty"),
        pytest.param({"NOTIFY_SOCKET": "/nowhere/notify"}, id="nobody there"),
    ],
)
def test_without_systemd_nothing_happens(environ: dict[str, str]) -> None:
    Notifier(environ).tell("READY=1")


def test_a_full_socket_does_not_block(systemd: tuple[str, socket.socket]) -> None:
    address, end = systemd
    notifier = Notifier({"NOTIFY_SOCKET": address})
    for number in range(2000):
        notifier.tell(f"STATUS={number}")
    assert end.recv(4096) == b"STATUS=0"


def fill(address: str) -> None:
    """Have systemd's socket full of others' states."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
        others.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                others.sendto(b"STATUS=another's", address.replace("@", "\0"))


async def test_a_status_for_which_there_was_no_room_is_told_later(
    systemd: tuple[str, socket.socket],
) -> None:
    address, end = systemd
    notifier = Notifier({"NOTIFY_SOCKET": address})
    fill(address)
    notifier.tell("READY=1", "STATUS=3 ready")
    for number in range(10):
        notifier.tell(f"STATUS={number}")  # the last one counts
        notifier.tell("WATCHDOG=1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifier.keep_status, lambda: "paused")
        await trio.testing.wait_all_tasks_blocked()
        said = await trio.to_thread.run_sync(heard_until, end, "STATUS=paused")
        nursery.cancel_scope.cancel()
    ours = [each for each in said if each != "STATUS=another's"]
    assert ours == ["READY=1", "STATUS=3 ready", "WATCHDOG=1", "STATUS=paused"]


async def test_a_status_that_was_not_told_and_is_over_is_not_told(
    systemd: tuple[str, socket.socket],
) -> None:
    address, end = systemd
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.tell("STATUS=3 ready")
    fill(address)
    notifier.tell("STATUS=paused")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifier.keep_status, lambda: "3 ready")
        await trio.testing.wait_all_tasks_blocked()
        said: list[str] = []
        while said.count("STATUS=3 ready") < 2:
            said += await trio.to_thread.run_sync(heard_until, end, "STATUS=3 ready")
        nursery.cancel_scope.cancel()
    assert "STATUS=paused" not in said


async def test_feeds_the_watchdog_twice_an_interval(systemd: tuple[str, socket.socket]) -> None:
    address, end = systemd
    environ = {
        "NOTIFY_SOCKET": address,
        "WATCHDOG_USEC": "40000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Notifier(environ).keep_alive)
        for _ in range(3):
            assert await trio.to_thread.run_sync(end.recv, 4096) == b"WATCHDOG=1"
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began >= 0.04 * 0.9


@pytest.mark.parametrize(
    "watchdog",
    [
        pytest.param({}, id="none"),
        pytest.param({"WATCHDOG_USEC": "nonsense"}, id="nonsense"),
        pytest.param({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, id="another process's"),
    ],
)
async def test_no_watchdog_of_ours(watchdog: dict[str, str]) -> None:
    await Notifier({"NOTIFY_SOCKET": "/nowhere", **watchdog}).keep_alive()


# A whole daemon


def heard_until(end: socket.socket, wanted: str) -> list[str]:
    """All that is said up to this state, itself included."""
    said: list[str] = []
    while wanted not in said:
        said += end.recv(4096).decode().splitlines()
    return said


def test_a_daemon_says_how_it_is(
    systemd: tuple[str, socket.socket], make_daemon: MakeDaemon
) -> None:
    address, end = systemd
    daemon = make_daemon(environ={"NOTIFY_SOCKET": address})
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.launch()
    said = heard_until(end, "READY=1")
    assert "STATUS=1 vassals: 1 starting" in said
    assert daemon.kinds().count("daemon_ready") == 1  # it was durable before it was said
    daemon.send(signal.SIGTERM)
    assert "READY=1" not in heard_until(end, "STOPPING=1")
    assert daemon.wait() == 0


def heard_status(end: socket.socket) -> list[str]:
    """The states that follow at once."""
    end.setblocking(False)
    try:
        return end.recv(4096).decode().splitlines()
    except BlockingIOError:
        return []
    finally:
        end.settimeout(10)


def test_the_status_follows_the_fleet(
    systemd: tuple[str, socket.socket], make_daemon: MakeDaemon
) -> None:
    address, end = systemd
    daemon = make_daemon(environ={"NOTIFY_SOCKET": address})
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    heard_until(end, "STATUS=1 vassals: 1 ready")
    (daemon.vassals / "a.ini").unlink()
    heard_until(end, "STATUS=0 vassals")
    daemon.stop()


def test_a_daemon_feeds_its_watchdog_while_it_is_well(
    systemd: tuple[str, socket.socket], make_daemon: MakeDaemon
) -> None:
    address, end = systemd
    daemon = make_daemon(environ={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"})
    daemon.launch()
    for _ in range(5):
        heard_until(end, "WATCHDOG=1")
    daemon.send(signal.SIGSTOP)  # it hangs: nothing is said for it
    while heard_status(end):
        pass
    end.settimeout(0.5)
    with pytest.raises(TimeoutError):
        end.recv(4096)
    daemon.send(signal.SIGCONT)
    end.settimeout(10)
    heard_until(end, "WATCHDOG=1")
    daemon.stop()
