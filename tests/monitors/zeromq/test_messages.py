"""zmq:// messages: which ones the monitor takes, and how malformed ones are refused."""

import os
from pathlib import Path

import pytest
import trio
from emperord.journal.chain import digest
from emperord.journal.events import Spec
from emperord.monitors.contract import (
    Destroyed,
    Recovered,
    Refused,
)
from emperord.monitors.options import MonitorOptions
from emperord.monitors.settings import KEYS
from support.pushing import Pusher

from ..watching import OFTEN
from .listening import listening, told, touched

pytestmark = pytest.mark.usefixtures("here")


TYRANT = MonitorOptions(freq=OFTEN, tyrant=True)
CONFIG = "[uwsgi]\nsocket=:4142"


# Messages


async def test_it_says_when_it_listens(endpoint: str) -> None:
    async with listening(endpoint) as watch:
        assert watch.told == [Recovered()]


async def test_add_change_destroy(endpoint: str, pusher: Pusher) -> None:
    async with listening(endpoint) as watch:
        pusher.touch("a.ini", "one")
        pusher.touch("a.ini", "two")
        pusher.touch("a.ini", "two")
        pusher.destroy("a.ini")
        *sights, end = await told(watch, 4)
        specs = [touched(sight).spec for sight in sights]
        assert [spec.config for spec in specs] == [digest(b"one"), digest(b"two"), digest(b"two")]
        assert [touched(sight).content for sight in sights] == [b"one", b"two", b"two"]
        assert specs[0].ts < specs[1].ts < specs[2].ts
        who = "127.0.0.1" if endpoint.startswith("tcp") else f"of user {os.getuid()}"
        assert end == Destroyed("a.ini", f"told to by client {who}")
        assert specs[0].attrs == {"client": who}


async def test_a_clock_set_back_hides_no_change(endpoint: str, pusher: Pusher) -> None:
    future = 1 << 62
    async with listening(endpoint, known={"a.ini": Spec(ts=future)}) as watch:
        pusher.touch("a.ini", "one")
        pusher.touch("a.ini", "one")
        assert [touched(sight).spec.ts - future for sight in await told(watch, 2)] == [1, 2]


FULL = {
    "two frames": (("a.ini",), None),
    "config": (("a.ini", CONFIG), Spec(ts=0, config=digest(CONFIG.encode()))),
    "all": (
        ("a.ini", CONFIG, "33", "34", ":80"),
        Spec(ts=0, config=digest(CONFIG.encode()), uid=33, gid=34, socket=":80"),
    ),
    "empty is omitted": (
        ("a.ini", CONFIG, "", "", ""),
        Spec(ts=0, config=digest(CONFIG.encode())),
    ),
    "socket alone": (
        ("a.ini", CONFIG, "", "", ":80"),
        Spec(ts=0, config=digest(CONFIG.encode()), socket=":80"),
    ),
    "uid alone": (
        ("a.ini", CONFIG, "0"),
        Spec(ts=0, config=digest(CONFIG.encode()), uid=0),
    ),
    "settings": (
        ("a.yml", "emperor: {command: sleep 1}"),
        Spec(
            ts=0,
            config=digest(b"emperor: {command: sleep 1}"),
            settings={"command": "sleep 1"},
        ),
    ),
    "bad settings": (
        ("a.json", '{"emperor": {"x": 1}}'),
        Spec(
            ts=0,
            config=digest(b'{"emperor": {"x": 1}}'),
            bar=f"[emperor] x: no such setting, there are {', '.join(KEYS)}",
        ),
    ),
    "any bytes": (("a.ini", b"\xff\n"), Spec(ts=0, config=digest(b"\xff\n"))),
    "largest": (("a.ini", "x" * 65535), Spec(ts=0, config=digest(b"x" * 65535))),
    "name like a path": (("/etc/a.ini", "x"), Spec(ts=0, config=digest(b"x"))),
}


@pytest.mark.parametrize(("frames", "spec"), FULL.values(), ids=FULL)
async def test_fields(
    frames: tuple[str | bytes, ...], spec: Spec | None, endpoint: str, pusher: Pusher, here: Path
) -> None:
    (here / "a.ini").write_text("from the file")
    if spec is None:  # in tyrant mode no file is read for no user
        spec = Spec(ts=0, path=str(here / "a.ini"), cwd=str(here))
    async with listening(endpoint, TYRANT) as watch:
        pusher.send("touch", *frames)
        [sight] = await told(watch, 1)
        seen = touched(sight).spec
        # Compared as a whole, so that nothing else is set either.
        assert seen == Spec(
            **{
                **{f: getattr(spec, f) for f in Spec.__struct_fields__},
                "ts": seen.ts,
                "attrs": seen.attrs,
            }
        )


async def test_ids_matter_to_tyrants_only(endpoint: str, pusher: Pusher) -> None:
    async with listening(endpoint) as watch:
        pusher.touch("a.ini", CONFIG, "33", "34")
        [sight] = await told(watch, 1)
        assert (touched(sight).spec.uid, touched(sight).spec.gid) == (None, None)


SHAPES = "2 to 6 are expected: command, name, config, uid, gid, socket"
MALFORMED = {
    "one frame": ((b"touch",), "a message of one frame", f"one frame, {SHAPES}"),
    "one empty frame": ((b"",), "a message of one frame", f"one frame, {SHAPES}"),
    "seven frames": (
        (b"touch", b"a.ini", b"x", b"", b"", b"", b""),
        "a.ini",
        f"7 frames, {SHAPES}",
    ),
    "many frames": ((b"touch", b"a.ini", *[b"x"] * 200), "a.ini", f"202 frames, {SHAPES}"),
    "200 KB": ((b"touch", b"a.ini", b"x" * 200_000), "a.ini", "config has 200000 bytes"),
    "config too long": (
        (b"touch", b"a.ini", b"x" * 65536),
        "a.ini",
        "config has 65536 bytes, 65535",
    ),
    "config with NUL": ((b"touch", b"a.ini", b"x\0"), "a.ini", "the config has a NUL byte"),
    "unknown command": ((b"reload", b"a.ini"), "a.ini", "the command is 'reload'; there are touch"),
    "command in capitals": ((b"TOUCH", b"a.ini"), "a.ini", "the command is 'TOUCH'"),
    "no command": ((b"", b"a.ini"), "a.ini", "the command is ''"),
    "odd command": ((b"a\x1b\xff", b"a.ini"), "a.ini", r"the command is 'a\\x1b\\xff'"),
    "huge command": ((b"x" * 200_000, b"a.ini"), "a.ini", "the command has 200000 bytes"),
    "empty name": ((b"touch", b"", b"x"), "(no name)", "the name is empty"),
    "empty name, destroy": ((b"destroy", b""), "(no name)", "the name is empty"),
    "no extension": ((b"touch", b"a", b"x"), "a", "no extension of a config"),
    "NUL in the name": ((b"touch", b"a\0.ini", b"x"), r"a\x00.ini", "a control character"),
    "newline in the name": ((b"destroy", b"a\n.ini"), r"a\n.ini", "a control character"),
    "name not UTF-8": ((b"touch", b"\xff.ini", b"x"), r"\xff.ini", "not UTF-8"),
    "name too long": ((b"touch", b"a" * 251 + b".ini", b"x"), "a" * 251 + ".ini", "255 bytes"),
    "huge name": ((b"touch", b"a" * 200_000, b"x"), "a" * 300 + "…", "the name has 200000"),
    "uid no number": ((b"touch", b"a.ini", b"x", b"www"), "a.ini", "the uid is no whole number"),
    "uid negative": ((b"touch", b"a.ini", b"x", b"-1"), "a.ini", "the uid is -1, it must"),
    "uid too large": ((b"touch", b"a.ini", b"x", b"4294967295"), "a.ini", "the uid is 4294967295"),
    "uid huge": ((b"touch", b"a.ini", b"x", b"9" * 60_000), "a.ini", "the uid"),
    "uid spaces": ((b"touch", b"a.ini", b"x", b" 1"), "a.ini", "the uid is no whole number"),
    "uid other digits": ((b"touch", b"a.ini", b"x", "٣".encode()), "a.ini", "the uid is no"),
    "gid no number": (
        (b"touch", b"a.ini", b"x", b"", b"1.5"),
        "a.ini",
        "the gid is no whole number",
    ),
    "socket control": ((b"touch", b"a.ini", b"x", b"", b"", b"\n"), "a.ini", "the socket is not"),
    "socket too long": ((b"touch", b"a.ini", b"x", b"", b"", b"x" * 256), "a.ini", "the socket is"),
}


@pytest.mark.parametrize(("frames", "label", "reason"), MALFORMED.values(), ids=MALFORMED)
async def test_malformed(
    frames: tuple[bytes, ...], label: str, reason: str, endpoint: str, pusher: Pusher
) -> None:
    async with listening(endpoint) as watch:
        pusher.touch("good.ini", "one")
        pusher.send(*frames)
        pusher.touch("good.ini", "two")
        before, refused, after = await told(watch, 3)
        assert isinstance(refused, Refused)
        assert refused.label == label
        assert reason in refused.reason
        assert len(refused.reason) < 400
        assert (touched(before).content, touched(after).content) == (b"one", b"two")


async def test_a_client_that_sends_too_much_is_sent_away_alone(
    endpoint: str, pusher: Pusher
) -> None:
    async with listening(endpoint) as watch:
        with Pusher(endpoint) as greedy:
            greedy.send(b"touch", b"a.ini", b"x" * (17 << 20))
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")
            # It may come back with something better.
            while "b.ini" not in watch.seen:
                greedy.touch("b.ini", "two")
                with trio.move_on_after(OFTEN):
                    await watch.shows("b.ini", "two")
