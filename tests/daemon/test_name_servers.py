"""A name server that never answers: sources whose hosts are to be looked up are away, no more."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.root import need_root
from support.vassals import SLEEPER

from .conftest import MakeDaemon

ADDRESS = "127.0.53.53"  # a loopback address of its own: resolvers ask at port 53 only
ENTER = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'  # in a file system of its own


@pytest.fixture
def resolver(tmp_path: Path) -> Iterator[Path]:
    """A /etc/resolv.conf by which all names are asked of a silent server."""
    need_root("listen at port 53 and mount")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((ADDRESS, 53))
        path = tmp_path / "resolv.conf"
        path.write_text(f"nameserver {ADDRESS}\noptions timeout:30 attempts:1\n")
        yield path


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("amqp://host.example.com", "longer than 10 s", id="amqp"),
        pytest.param("pg://host=host.example.com user=x", "longer than 10 s", id="pg"),
        pytest.param("mongodb://host.example.com,a.b", "was not looked up in time", id="mongodb"),
    ],
)
def test_it_holds_up_nobody(make_daemon: MakeDaemon, resolver: Path, url: str, reason: str) -> None:
    daemon = make_daemon(monitors=["vassals", url], before=["unshare", "-m", "sh", "-c", ENTER,
        str(resolver)])  # fmt: skip
    (daemon.vassals / "a.ini").write_text(SLEEPER)
    daemon.start()
    daemon.phase("a.ini", "ready")
    failed = daemon.event("monitor_failed")
    assert failed.monitor is not None
    assert "host.example.com" in failed.monitor
    assert reason in failed.body["reason"]
    began = time.monotonic()
    daemon.stop()  # while it is being asked again
    assert time.monotonic() - began < 8
