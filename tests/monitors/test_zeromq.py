"""zmq://: what is sent is told, what cannot be is refused, and nothing is lost or piles up."""

import contextlib
import itertools
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import zmq
import zmq.auth
from emperord.journal.chain import digest
from emperord.journal.events import Spec
from emperord.monitors.contract import (
    Destroyed,
    Failed,
    Observation,
    Recovered,
    Refused,
    Seen,
    Touched,
)
from emperord.monitors.files.scan import LARGEST
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from emperord.monitors.settings import KEYS
from emperord.monitors.urls import MonitorURLError
from emperord.monitors.zeromq import clients
from emperord.monitors.zeromq import frames as zeromq_frames
from emperord.monitors.zeromq import monitor as zeromq
from emperord.monitors.zeromq.endpoint import QUEUE
from support.pushing import Pusher
from support.vassals import free_port
from support.waiting import until

from .watching import OFTEN, Watching, watching

BUSY = MonitorOptions(freq=OFTEN)
TYRANT = MonitorOptions(freq=OFTEN, tyrant=True)
CONFIG = "[uwsgi]\nsocket=:4142"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture
def pusher(endpoint: str) -> Iterator[Pusher]:
    with Pusher(endpoint) as made:
        yield made


class Keys:
    """A server's key and a client's, in files as pyzmq makes them."""

    def __init__(self, folder: Path) -> None:
        _, self.file = zmq.auth.create_certificates(folder, "server")
        os.chmod(self.file, 0o600)
        self.server, secret = zmq.auth.load_certificate(self.file)
        assert secret is not None
        self.secret = secret
        public, own = zmq.curve_keypair()
        self.client = (self.server, public, own)

    def write(self, content: bytes) -> None:
        """Put something else into the server's file."""
        Path(self.file).write_bytes(content)


@pytest.fixture
def keys(here: Path) -> Keys:
    return Keys(here)


@asynccontextmanager
async def listening(
    endpoint: str, options: MonitorOptions = BUSY, known: Mapping[str, Spec] = {}
) -> AsyncIterator[Watching]:
    watch = Watching()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", options).run, watch.tell, known)
        await watch.until(lambda: watch.told)
        yield watch
        nursery.cancel_scope.cancel()


async def told(watch: Watching, count: int) -> list[Observation]:
    """So many observations after the first, which said that it listens."""
    await watch.until(lambda: len(watch.told) > count)
    assert len(watch.told) == count + 1
    return watch.told[1:]


def touched(observation: Observation) -> Seen:
    assert isinstance(observation, Touched)
    return observation.seen


# URLs

OPENED = {
    "tcp://127.0.0.1:5252": "tcp://127.0.0.1:5252",
    "tcp://*:5252": "tcp://*:5252",
    "tcp://[::1]:5252": "tcp://[::1]:5252",
    "tcp://eth0:5252": "tcp://eth0:5252",
    "ipc:///run/emperor.zmq": "ipc:///run/emperor.zmq",
    "ipc://emperor.zmq": "ipc://{}/emperor.zmq",
    "ipc://@emperor": "ipc://@emperor",
    # Keys are no part of the name: vassals stay whose they are when keys are introduced.
    "tcp://*:5252?curve_secretkey_file=/k": "tcp://*:5252",
    "tcp://*:5252?curve_secretkey_file=k%26&curve_allowed_keys_file=/a": "tcp://*:5252",
}
NO_MONITOR = {
    "": "names no endpoint",
    "127.0.0.1:5252": "not an endpoint",
    "inproc://x": "not an endpoint",
    "udp://127.0.0.1:1": "not an endpoint",
    "ipc://": "not an endpoint",
    "ipc://*": "nobody could find it",
    "ipc:///" + "x" * 107: "107 bytes",
    "tcp://": "not an address and a port",
    "tcp://127.0.0.1": "not an address and a port",
    "tcp://::1:5252": "brackets",
    "tcp://127.0.0.1:*": "not an address and a port",
    "tcp://u:hidden@127.0.0.1:1": "tcp://u:***@127.0.0.1:1: not an address and a port",
    "tcp://127.0.0.1:0": "from 1 to 65535",
    "tcp://127.0.0.1:65536": "from 1 to 65535",
    "tcp://*:1?curve=1": "no setting curve",
    "tcp://*:1?curve_secretkey_file": "curve_secretkey_file=PATH",
    "tcp://*:1?curve_allowed_keys_file=/a": "give both",
}


@pytest.mark.parametrize(("rest", "name"), OPENED.items(), ids=OPENED)
def test_opened(rest: str, name: str, here: Path) -> None:
    monitor = open_monitor(f"zmq://{rest}")
    assert monitor.url == "zmq://" + name.format(here)
    assert not monitor.trusts_content


@pytest.mark.parametrize(("rest", "reason"), NO_MONITOR.items(), ids=NO_MONITOR)
def test_not_opened(rest: str, reason: str) -> None:
    with pytest.raises(MonitorURLError) as caught:
        open_monitor(f"zmq://{rest}")
    assert reason in str(caught.value)


def test_other_daemons_do_without_libzmq() -> None:
    code = (
        "import sys; from emperord.monitors.registry import open_monitor;"
        " open_monitor('/tmp'); sys.exit('zmq' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
        assert end == Destroyed("a.ini", "told to")


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
            **{**{f: getattr(spec, f) for f in Spec.__struct_fields__}, "ts": seen.ts}
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
                await trio.sleep(0.01)


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


# How it runs


async def test_nothing_is_told_while_the_last_is_not_durable(endpoint: str, pusher: Pusher) -> None:
    watch = Watching()
    inside = 0

    async def tell(*observations: Observation) -> None:
        nonlocal inside
        assert inside == 0
        inside += 1
        await trio.sleep(0.001)
        await watch.tell(*observations)
        inside -= 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", BUSY).run, tell, {})
        for number in range(500):
            pusher.touch("a.ini", str(number))
            if number % 50 == 0:
                await trio.lowlevel.checkpoint()
        await watch.shows("a.ini", "499")
        nursery.cancel_scope.cancel()
    assert [touched(each).content for each in watch.told[1:]] == [b"%d" % n for n in range(500)]


async def test_a_paused_journal_holds_senders_back_and_loses_nothing(endpoint: str) -> None:
    gate = trio.Event()
    watch = Watching()

    async def tell(*observations: Observation) -> None:
        await gate.wait()
        await watch.tell(*observations)

    config = "x" * 60_000
    sent = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", BUSY).run, tell, {})
        with Pusher(endpoint, queue=10, patience=0) as pusher:
            before = _memory()
            idle = 0
            while idle < 20:  # until for some time nothing has been taken any more
                try:
                    pusher.touch(f"{sent}.ini", config)
                except zmq.Again:
                    idle += 1
                    await trio.sleep(0.05)
                else:
                    sent, idle = sent + 1, 0
            held = (8 << 20) // len(config) + QUEUE + 10
            assert held - QUEUE - 10 <= sent <= held + 1000  # and what TCP buffers
            assert _memory() - before < 100 << 20
            gate.set()
            await watch.until(lambda: len(watch.seen) == sent)
        nursery.cancel_scope.cancel()


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_flood_is_told_in_few_goes(endpoint: str, pusher: Pusher) -> None:
    async with listening(endpoint) as watch:

        def flood() -> None:
            for number in range(5000):
                pusher.touch(f"{number % 100}.ini", f"[uwsgi]\nenv = N={number}\n")

        await trio.to_thread.run_sync(flood)
        await watch.until(lambda: len(watch.told) == 5001)
        assert watch.calls < 2500  # in truth some dozens, but nobody promises how threads run
        for number in range(4900, 5000):
            config = f"[uwsgi]\nenv = N={number}\n".encode()
            assert watch.seen[f"{number % 100}.ini"].spec.config == digest(config)


async def test_an_error_of_the_journal_gets_out(endpoint: str) -> None:
    async def tell(*observations: Observation) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await open_monitor(f"zmq://{endpoint}", BUSY).run(tell, {})


async def test_it_can_be_cancelled_and_run_again(endpoint: str) -> None:
    monitor = open_monitor(f"zmq://{endpoint}", BUSY)
    async with watching(monitor):
        pass
    before = sorted(os.listdir("/proc/self/fd"))
    for number in range(3):
        async with watching(monitor) as watch:
            with Pusher(endpoint) as pusher:
                pusher.touch("a.ini", str(number))
                await watch.shows("a.ini", str(number))
    assert sorted(os.listdir("/proc/self/fd")) == before


async def test_it_can_be_cancelled_at_once(endpoint: str) -> None:
    for _ in range(20):
        async with watching(open_monitor(f"zmq://{endpoint}", BUSY), listed=False):
            pass


async def test_it_can_be_cancelled_while_the_journal_is_paused(
    endpoint: str, pusher: Pusher
) -> None:
    entered = trio.Event()

    async def tell(*observations: Observation) -> None:
        entered.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_monitor(f"zmq://{endpoint}", BUSY).run, tell, {})
        for _ in range(200):
            pusher.touch("a.ini", "x" * 60_000)
        await entered.wait()
        nursery.cancel_scope.cancel()


# Clients that the daemon stands before libzmq for

_HELLO = (
    b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 1 + 31)
    + b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH"
)  # fmt: skip


def _raw(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 20)


def _greet(client: socket.socket) -> None:
    """Shake hands as real clients do, which send nothing before that is done."""
    for part in (_HELLO[:64], _HELLO[64:]):
        client.sendall(part)
        client.recv(len(part), socket.MSG_WAITALL)


async def test_nothing_is_lost_of_a_client_that_has_gone() -> None:
    """Far more than libzmq has in its queue when the client goes."""
    port, gate, watch = free_port(), trio.Event(), Watching()

    async def tell(*observations: Observation) -> None:
        await watch.tell(*observations)
        await gate.wait()

    async with trio.open_nursery() as nursery:
        monitor = open_monitor(f"zmq://tcp://127.0.0.1:{port}", BUSY)
        nursery.start_soon(monitor.run, tell, {})
        await watch.until(lambda: watch.told)
        with _raw(port) as client:
            await trio.to_thread.run_sync(_greet, client)
            for number in range(500):
                client.sendall(b"\x01\x07destroy\x00\x07%03d.ini" % number)
            client.shutdown(socket.SHUT_WR)
            gate.set()
            await watch.until(lambda: len(watch.told) == 501)
        assert watch.told[1:] == [Destroyed(f"{number:03}.ini", "told to") for number in range(500)]
        nursery.cancel_scope.cancel()


async def test_a_message_without_an_end_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PATIENCE", 0.1)
    port = free_port()
    async with listening(f"tcp://127.0.0.1:{port}") as watch:
        with _raw(port) as client, Pusher(f"tcp://127.0.0.1:{port}") as pusher:
            await trio.to_thread.run_sync(_greet, client)
            client.sendall(b"\x01\x01x" * 1000)
            await watch.until(lambda: watch.refused)
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")
        assert watch.refused == {"client 127.0.0.1": "it sends a message of more than 256 frames"}


async def test_a_newcomer_takes_the_place_of_who_was_silent_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "MOST_CLIENTS", 2)
    monkeypatch.setattr(clients, "QUIET", 0)
    port = free_port()
    async with listening(f"tcp://127.0.0.1:{port}") as watch:
        with _raw(port) as first, _raw(port) as second:
            greeting = await trio.to_thread.run_sync(second.recv, 10, socket.MSG_WAITALL)
            assert len(greeting) == 10
            with Pusher(f"tcp://127.0.0.1:{port}") as pusher:
                pusher.touch("a.ini", "one")
                await watch.shows("a.ini", "one")
                while await trio.to_thread.run_sync(first.recv, 100):
                    pass  # hung up on
                second.settimeout(0)
                with pytest.raises(BlockingIOError):
                    second.recv(100)


@pytest.mark.parametrize("curve", [False, True], ids=["plain", "CURVE"])
async def test_heartbeats_cost_nothing(
    curve: bool, keys: Keys, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "PATIENCE", 0.1)
    monkeypatch.setattr(zeromq_frames, "MOST_FRAMES", 20)
    url = f"{endpoint}?curve_secretkey_file={keys.file}" if curve else endpoint
    async with listening(url) as watch:
        with Pusher(endpoint, keys=keys.client if curve else None, heartbeat=5) as pusher:
            for config in ("one", "two"):
                pusher.touch("a.ini", config)
                await watch.shows("a.ini", config)
                await watch.rest()
                assert not pusher.sent_away()
            assert watch.refused == {}


# CURVE


@pytest.mark.parametrize("plain", [False, True], ids=["certificate", "key alone"])
async def test_a_client_that_knows_the_key_comes_in(plain: bool, keys: Keys, endpoint: str) -> None:
    if plain:
        keys.write(keys.secret + b"\n")
    async with listening(f"{endpoint}?curve_secretkey_file={keys.file}") as watch:
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


async def test_others_get_nowhere(keys: Keys, endpoint: str) -> None:
    wrong = (zmq.curve_keypair()[0], *keys.client[1:])
    async with listening(f"{endpoint}?curve_secretkey_file={keys.file}") as watch:
        with (
            Pusher(endpoint, patience=0) as plain,
            Pusher(endpoint, patience=0, keys=wrong) as mistaken,
            Pusher(endpoint, keys=keys.client) as good,
        ):
            for other in (plain, mistaken):
                with contextlib.suppress(zmq.Again):  # it was sent away already
                    other.touch("other.ini", "x")
                await trio.to_thread.run_sync(until, other.sent_away, "it is sent away")
            good.touch("a.ini", "one")
            await watch.shows("a.ini", "one")
            assert list(watch.seen) == ["a.ini"]


@pytest.mark.parametrize("kind", ["file", "certificate", "directory"])
async def test_only_known_clients_come_in(kind: str, keys: Keys, endpoint: str, here: Path) -> None:
    allowed = here / "allowed"
    if kind == "directory":
        allowed.mkdir()
    else:
        allowed.write_text("# nobody yet\n")

    def allow(key: bytes) -> None:
        certificate = f'curve\n    public-key = "{key.decode()}"\n'
        match kind:
            case "directory":
                (allowed / "me.key").write_text(certificate)
            case "certificate":
                allowed.write_text(certificate)
            case _:
                allowed.write_text(f"# us\n\n{key.decode()} me\n")

    url = f"{endpoint}?curve_secretkey_file={keys.file}&curve_allowed_keys_file={allowed}"
    async with listening(url) as watch:
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "early")
            await watch.until(lambda: watch.refused)
            assert watch.refused == {"client 127.0.0.1": f"its public key is not in {allowed}"}
            assert watch.seen == {}
            allow(keys.client[1])
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


async def test_without_the_list_of_clients_nobody_comes_in(
    keys: Keys, endpoint: str, here: Path
) -> None:
    url = f"{endpoint}?curve_secretkey_file={keys.file}&curve_allowed_keys_file={here}/none"
    async with listening(url) as watch:
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "one")
            await watch.until(lambda: watch.refused)
            reason = f"{here}/none cannot be read: No such file or directory"
            assert watch.refused == {"client 127.0.0.1": reason}


BAD_KEYS = {
    "others read": (0o604, None, "others can read or change it; chmod 600"),
    "group reads": (0o640, None, "others can read or change it; chmod 600"),
    "others write": (0o602, None, "others can read or change it; chmod 600"),
    "empty": (0o600, b"", "holds no secret key"),
    "no key": (0o600, b"SECRET" * 10, "holds no secret key"),
    "not Z85": (0o600, b"\xff\x00 ~" * 10, "holds no secret key"),
    "public only": (0o600, b'curve\n public-key = "%(public)s"\n', "holds no secret key"),
    "bad certificate": (0o600, b'curve\n secret-key = "SECRET"\n', "holds no secret key"),
}


@pytest.mark.parametrize(("mode", "content", "reason"), BAD_KEYS.values(), ids=BAD_KEYS)
async def test_a_key_that_is_none_or_not_secret(
    mode: int, content: bytes | None, reason: str, keys: Keys, endpoint: str
) -> None:
    if content is not None:
        keys.write(content.replace(b"%(public)s", keys.server))
    os.chmod(keys.file, mode)
    async with listening(f"{endpoint}?curve_secretkey_file={keys.file}") as watch:
        await watch.until(lambda: len(watch.failures()) > 1)
        assert watch.told == [Failed(watch.failures()[0])] * len(watch.told)
        assert reason in watch.failures()[0]
        assert "SECRET" not in watch.failures()[0]
        assert keys.secret.decode() not in watch.failures()[0]
        keys.write(keys.secret)
        os.chmod(keys.file, 0o600)
        await watch.until(lambda: Recovered() in watch.told)
        with Pusher(endpoint, keys=keys.client) as pusher:
            pusher.touch("a.ini", "one")
            await watch.shows("a.ini", "one")


async def test_a_key_that_is_not_there(endpoint: str, here: Path) -> None:
    async with listening(f"{endpoint}?curve_secretkey_file=none") as watch:
        reason = f"curve_secretkey_file {here}/none: cannot be read: No such file or directory"
        assert watch.failures()[0] == reason
