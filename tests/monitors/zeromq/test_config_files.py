"""zmq:// messages that name a config file: it is read for the record, or refused."""

import os
import socket
import threading
from pathlib import Path

import pytest
from emperord.monitors.config_file import LARGEST
from emperord.monitors.contract import (
    Observation,
    Refused,
    Seen,
)
from emperord.monitors.zeromq import monitor as zeromq
from support.pushing import Pusher

from .listening import listening, told, touched

pytestmark = pytest.mark.usefixtures("here")


# Static files


async def _answer(endpoint: str, name: str) -> Observation:
    async with listening(endpoint) as watch:
        with Pusher(endpoint) as pusher:
            pusher.send("touch", name)
            [answer] = await told(watch, 1)
            return answer


async def test_a_file_is_read_for_the_record(endpoint: str, here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "a.ini").write_text("[emperor]\nstop-signal = INT\n")
    seen = touched(await _answer(endpoint, "sub/a.ini"))
    assert seen.spec.path == str(here / "sub" / "a.ini")
    assert seen.spec.cwd == str(here)
    assert seen.content == b"[emperor]\nstop-signal = INT\n"
    assert seen.spec.settings == {"stop-signal": "INT"}


async def test_a_file_too_large_to_keep_is_refused(endpoint: str, here: Path) -> None:
    (here / "a.ini").write_text("#" * (LARGEST + 1))
    answer = await _answer(endpoint, "a.ini")
    assert isinstance(answer, Refused)
    assert answer.reason == (
        "its file cannot be read: it has more than 1 MiB, the most that a config may have"
    )


async def test_a_symlink_within_is_followed(endpoint: str, here: Path) -> None:
    (here / "releases").mkdir()
    (here / "releases" / "2.ini").write_text("two")
    (here / "a.ini").symlink_to("releases/2.ini")
    seen = touched(await _answer(endpoint, "a.ini"))
    assert (seen.content, seen.spec.path) == (b"two", str(here / "a.ini"))


NO_FILES = {
    "missing": ("b.ini", "no such file in {}"),
    "file as directory": ("a.ini/b.ini", "no such file in {}"),
    "absolute": ("/etc/a.ini", "may not leave"),
    "absolute within": ("{}/a.ini", "may not leave"),
    "parent": ("../a.ini", "may not leave"),
    "there and back": ("sub/../a.ini", "may not leave"),
    "far away": ("sub/../../../../etc/a.ini", "may not leave"),
    "dot": ("./a.ini", "leave out // and ./"),
    "scheme": ("exec://a.ini", "leave out // and ./"),
    "symlink out": ("out.ini", "leads out of {} by a symlink"),
    "directory out": ("up/a.ini", "leads out of {} by a symlink"),
    "loop": ("loop.ini", "cannot be read"),
    "directory": ("dir.ini", "no regular file"),
    "FIFO": ("fifo.ini", "no regular file"),
    "socket": ("socket.ini", "no regular file"),
}


@pytest.mark.parametrize(("name", "reason"), NO_FILES.values(), ids=NO_FILES)
async def test_no_file_to_run(name: str, reason: str, endpoint: str, here: Path) -> None:
    (here / "a.ini").write_text("one")
    (here / "sub").mkdir()
    (here / "dir.ini").mkdir()
    (here / "out.ini").symlink_to("/etc/hostname")
    (here / "up").symlink_to("..")
    (here.parent / "a.ini").write_text("other")
    (here / "loop.ini").symlink_to("loop.ini")
    os.mkfifo(here / "fifo.ini")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.ini")
        refused = await _answer(endpoint, name.format(here))
    assert isinstance(refused, Refused)
    assert refused.label == name.format(here)
    assert reason.format(here) in refused.reason


async def test_a_file_that_hangs_stops_no_other_message(
    endpoint: str, pusher: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    thaw = threading.Event()

    def hang(*_: object) -> Seen:
        thaw.wait()
        raise AssertionError

    monkeypatch.setattr(zeromq, "see_file", hang)
    monkeypatch.setattr(zeromq, "PATIENCE", 0.2)
    try:
        async with listening(endpoint) as watch:
            pusher.touch("a.ini")
            pusher.touch("b.ini", "one")
            pusher.touch("c.ini")
            first, second, third = await told(watch, 3)
            assert first == Refused("a.ini", "its file could not be read within 0.2 s")
            assert touched(second).content == b"one"
            assert third == Refused("c.ini", "a file asked for before is still being read")
    finally:
        thaw.set()
