"""Whether zmq:// could listen is found out without listening, so nothing that is sent is lost."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from emperord.monitors.polling import SourceFailed
from emperord.monitors.registry import open_monitor
from emperord.monitors.zeromq.endpoint import parse
from emperord.monitors.zeromq.probe import probe
from support.ports import free_port
from support.pushing import Pusher

from ..watching import watching

PLACES = ["tcp://127.0.0.1:{port}", "tcp://*:{port}", "tcp://lo:{port}", "tcp://[::1]:{port}",
          "ipc://{folder}/door", "ipc://@emperord-test-{port}"]  # fmt: skip
IN_USE = "another process listens there; stop that, or use another endpoint"


@pytest.fixture(params=PLACES, ids=PLACES)
def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing listens."""
    return str(request.param).format(port=free_port(), folder=tmp_path)


def test_nothing_listens_there(endpoint: str, tmp_path: Path) -> None:
    probe(parse(endpoint))
    assert list(tmp_path.iterdir()) == []


def test_a_zeromq_socket_may_be_that_of_a_running_daemon(endpoint: str) -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as running:
        running.setsockopt(zmq.IPV6, int("[" in endpoint or "*" in endpoint))
        running.bind(endpoint)
        probe(parse(endpoint))


@contextlib.contextmanager
def listening(endpoint: str) -> Iterator[None]:
    """A program of another kind listens there."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    if endpoint.startswith("ipc://"):
        family, place = socket.AF_UNIX, endpoint.removeprefix("ipc://")
        where: str | tuple[str, int] = place.replace("@", "\0") if place[0] == "@" else place
    else:
        family = socket.AF_INET6 if "[" in host else socket.AF_INET
        where = (host.strip("[]").replace("*", "").replace("lo", "127.0.0.1"), int(port))
    with socket.socket(family) as other:
        other.bind(where)
        other.listen()
        yield


def test_a_program_of_another_kind_is_in_the_way(endpoint: str) -> None:
    with listening(endpoint), pytest.raises(SourceFailed, match=IN_USE):
        probe(parse(endpoint))


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        pytest.param("tcp://192.0.2.1:5252", "this machine has no such address", id="address"),
        pytest.param("tcp://nosuch:5252", "this machine has no such address", id="interface"),
        pytest.param("ipc://{}/none/door", "there is no directory {}/none; make it", id="folder"),
        pytest.param("ipc://{}/file", "is in the way and is no socket; remove it", id="file"),
        pytest.param(
            "tcp://127.0.0.1:{port}?curve_secretkey_file={}/none",
            "curve_secretkey_file {}/none: cannot be read: No such file", id="secret key",
        ),
    ],
)  # fmt: skip
def test_where_it_could_not_listen(endpoint: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceFailed) as caught:
        probe(parse(endpoint.format(tmp_path, port=free_port())))
    assert reason.format(tmp_path) in str(caught.value)


def test_keys_that_cannot_be_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(zmq.curve_keypair()[1])
    os.chmod(secret, 0o600)
    rest = f"tcp://127.0.0.1:1?curve_secretkey_file={secret}&curve_allowed_keys_file=/nowhere"
    with pytest.raises(SourceFailed, match="curve_allowed_keys_file /nowhere: cannot be read: No"):
        probe(parse(rest))


def test_a_socket_that_a_dead_daemon_left_is_not_in_the_way(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/door")
    probe(parse(f"ipc://{tmp_path}/door"))
    assert os.path.exists(tmp_path / "door")


async def test_what_waits_at_its_sender_is_not_taken(endpoint: str) -> None:
    with Pusher(endpoint.replace("*", "127.0.0.1").replace("lo:", "127.0.0.1:")) as pusher:
        pusher.touch("a.ini", "[uwsgi]")
        monitor = open_monitor(f"zmq://{endpoint}")
        for _ in range(20):  # a sender tries ten times a second
            probe(parse(endpoint))
        async with watching(monitor) as watch:
            await watch.shows("a.ini", "[uwsgi]")
