"""Only a socket that no process has gives way to another, whatever its type and its path."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.monitors import stale_socket
from emperord.monitors.stale_socket import NoSocket, Served

Make = Callable[[Path], socket.socket | None]


def bound(kind: socket.SocketKind, *, listens: bool = False, dies: bool = False) -> Make:
    """A socket at the path, whose process has it unless it ``dies``."""

    def make(path: Path) -> socket.socket | None:
        made = socket.socket(socket.AF_UNIX, kind)
        made.bind(str(path))
        if listens:
            made.listen(1)
        if dies:
            made.close()
            return None
        return made

    return make


def touch(path: Path) -> None:
    path.write_text("precious")


def link(path: Path) -> None:
    """To a socket that no process has."""
    bound(socket.SOCK_STREAM, dies=True)(path.with_name("other"))
    path.symlink_to("other")


CASES = {
    "nothing": (lambda _: None, None),
    "a dead stream": (bound(socket.SOCK_STREAM, listens=True, dies=True), None),
    "a dead datagram": (bound(socket.SOCK_DGRAM, dies=True), None),
    "a stream that listens": (bound(socket.SOCK_STREAM, listens=True), Served),
    "a stream that does not listen yet": (bound(socket.SOCK_STREAM), Served),
    "packets in order": (bound(socket.SOCK_SEQPACKET, listens=True), Served),
    "a datagram": (bound(socket.SOCK_DGRAM), Served),
    "a file": (touch, NoSocket),
    "a directory": (Path.mkdir, NoSocket),
    "a fifo": (os.mkfifo, NoSocket),
    "a symlink": (link, NoSocket),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # a short path to bind to
    return Path("s")


@pytest.mark.parametrize(("make", "refused"), CASES.values(), ids=CASES)
def test_what_gives_way(here: Path, make: Make, refused: type[OSError] | None) -> None:
    has = make(here)
    try:
        if refused is None:
            stale_socket.check(str(here))
            stale_socket.remove(str(here))
        else:
            with pytest.raises(refused):
                stale_socket.remove(str(here))
        assert os.path.lexists(here) is (refused is not None)
    finally:
        if has is not None:
            has.close()


def test_the_probe_is_no_client(here: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here))
        listener.listen(1)
        listener.setblocking(False)
        with pytest.raises(Served):
            stale_socket.check(str(here))
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_path_that_is_too_long_for_an_address(here: Path) -> None:
    folder = here.with_name("x" * 120)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here))
        listener.listen(1)
        moved = folder.absolute() / "s"
        here.rename(moved)
        with pytest.raises(Served):
            stale_socket.check(str(moved))
    stale_socket.check(str(moved))
