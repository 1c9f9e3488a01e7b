"""zmq:// in a whole daemon: inline vassals under real uWSGI, restarts, garbage."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import zmq
import zmq.auth
from emperord.journal.chain import digest
from support import processes
from support.daemon import Daemon
from support.ports import free_port
from support.pushing import Pusher
from support.serving import serving
from support.vassals import APP, Answer, Application, program

from .conftest import MakeDaemon, MakeEmperor


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture
def daemon(make_daemon: MakeDaemon, endpoint: str) -> Daemon:
    return make_daemon(monitors=[f"zmq://{endpoint}"])


@pytest.fixture
def pusher(endpoint: str) -> Iterator[Pusher]:
    with Pusher(endpoint) as made:
        yield made


def test_check_reaches_it_while_a_daemon_runs(daemon: Daemon, endpoint: str) -> None:
    told = [
        f"zmq://{endpoint}",
        "  reached; it announces its vassals, so there is nothing to read beforehand",
    ]
    daemon.start()
    argv = [*daemon.argv, "--check"]
    second = subprocess.run(argv, capture_output=True, text=True, check=False, env=daemon.environ)
    assert (second.returncode, second.stdout.splitlines()) == (0, told), second.stderr
    daemon.stop()


@contextmanager
def busy(endpoint: str) -> Iterator[None]:
    """The source announces another vassal's changes in this block, one after the other."""
    ends = threading.Event()

    def announce() -> None:
        with Pusher(endpoint) as pusher:
            for number in itertools.count():
                pusher.touch("busy.ini", f"{program('sleep', '1000')}; {number}\n")
                if ends.wait(0.002):
                    return

    thread = threading.Thread(target=announce)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


@pytest.mark.parametrize("how", ["stop", "upgrade"])
def test_a_change_that_waits_for_room_is_not_lost_when_the_daemon_leaves(
    make_emperor: MakeEmperor, endpoint: str, pusher: Pusher, how: str
) -> None:
    """The source announces it once, so nothing tells the next daemon."""

    def text(mark: str) -> str:
        return f"{program('sleep', '1000')}; {mark}\n;{'x' * 30_000}\n"

    emperor = make_emperor("--record-budget", "20K", monitors=[f"zmq://{endpoint}"])
    emperor.start()
    pusher.touch("a.ini", text("first"))
    emperor.phase("a.ini", "ready")
    pusher.touch("a.ini", text("second"))
    rejected = emperor.event("observation_rejected")
    assert "budget" in rejected.body["reason"]
    assert emperor.events("vassal_changed") == []
    with busy(endpoint):
        emperor.event("vassal_changed", "busy.ini", count=2)
        if how == "stop":
            emperor.stop()
        else:
            seq = emperor.last_seq()
            assert emperor.ctl("upgrade").returncode == 0
            emperor.next_ready(seq)
    changed = emperor.event("vassal_changed", "a.ini")
    assert len(emperor.events("vassal_changed", "a.ini")) == 1
    assert changed.body["spec"]["config"] == digest(text("second").encode())
    if how == "upgrade":
        emperor.phase("a.ini", "ready")
        assert emperor.fleet().vassals["a.ini"].loaded == changed.body["spec"]["config"]
        emperor.stop()


# The text that the project came from, as written but for what Python 3 asks: bytes.
SEED = """
import zmq
c = zmq.Context()
s = zmq.Socket(c, zmq.PUSH)
s.connect('tcp://127.0.0.1:5252')
s.send_multipart([b'touch',b'foo.ini',b"[uwsgi]\\nsocket=:4142"])
"""
# A prompt stays open. A program that just ends can be gone before libzmq has connected.
END = "s.close()\nc.term()\n"


def test_the_example(make_daemon: MakeDaemon) -> None:
    here, there = free_port(), free_port()
    daemon = make_daemon(monitors=[f"zmq://tcp://127.0.0.1:{here}"]).start()
    script = SEED.replace("5252", str(here)).replace("4142", str(there)) + END
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    daemon.phase("foo.ini", "accepting")
    argv = processes.argv_of(daemon.pid_of("foo.ini"))
    assert argv[1:] == ["--ini", "emperor://foo.ini"]
    assert f"TCP address :{there} " in daemon.vassal_log("foo.ini")
    daemon.stop()


RELOADABLE = APP.replace(
    "    start_response",
    """    if environ["PATH_INFO"] == "/reload":
        import uwsgi
        uwsgi.reload()
    start_response""",
    1,
)


def frames(daemon: Daemon, name: str) -> int:
    """How many configs uWSGI has loaded; one that came too early would be loaded next."""
    return daemon.vassal_log(name).count(f"getting INI configuration from emperor://{name}")


def test_inline_vassals_live_as_others_do(daemon: Daemon, pusher: Pusher, tmp_path: Path) -> None:
    """Upstream gets these wrong: the newest config each time, respawn, limits, the end."""
    app = Application(tmp_path, RELOADABLE)
    trigger = tmp_path / "trigger"
    trigger.touch()

    def touch(says: str) -> None:
        pusher.touch("app.ini", app.config(says, touch_reload=str(trigger)))

    daemon.start()
    touch("v0")
    first = serving(daemon, app, "v0")

    # Each of four reloads in a row loads the newest.
    for number in range(1, 5):
        seq = daemon.last_seq()
        touch(f"v{number}")
        daemon.event("vassal_accepting", "app.ini", after=seq)
        answer = serving(daemon, app, f"v{number}")
        assert answer.master == first.master
    assert frames(daemon, "app.ini") == 5

    # It reloads by itself, for either reason, and gets what is current.
    later = trigger.stat().st_mtime_ns + 10**10
    causes: list[Callable[[], None]] = [
        lambda: os.utime(trigger, ns=(later, later)),
        lambda: app_reload(app),
    ]
    for count, cause in enumerate(causes, 6):
        before = daemon.until(app.answers, "it answers")
        cause()
        answer = replaced(daemon, app, before)
        assert (answer.says, answer.master) == ("v4", first.master)
        assert frames(daemon, "app.ini") == count

    # A config that does not fit is refused, and the old one runs on.
    seq = daemon.last_seq()
    pusher.touch("app.ini", app.config("large") + "#" * 65_536)
    refused = daemon.event("observation_rejected", after=seq)
    assert "65535 fit the emperor protocol" in refused.body["reason"]
    assert serving(daemon, app, "v4").master == first.master

    # It dies, and is started again with the newest; the next reload works as before.
    daemon.until(lambda: daemon.fleet().vassals["app.ini"].loyal, "it is loyal")
    os.kill(first.master, signal.SIGKILL)
    daemon.event("spawned", "app.ini", count=2)
    second = serving(daemon, app, "v4")
    assert second.master != first.master
    touch("v5")
    assert serving(daemon, app, "v5").master == second.master

    # Destroyed means gone.
    pusher.destroy("app.ini")
    daemon.gone("app.ini")
    assert daemon.running() == []
    assert app.answers() is None
    assert daemon.kinds("app.ini")[-2:] == ["vassal_destroyed", "exited"]
    daemon.stop()


def app_reload(app: Application) -> None:
    """Ask the application to reload itself."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=10)
    connection.request("GET", "/reload")
    connection.getresponse().read()
    connection.close()


def replaced(daemon: Daemon, app: Application, before: Answer) -> Answer:
    def asked() -> Answer | None:
        answer = app.answers()
        return answer if answer is not None and answer.pid != before.pid else None

    return daemon.until(asked, "another worker answers")


def test_four_touches_at_once_end_in_the_newest(
    daemon: Daemon, pusher: Pusher, tmp_path: Path
) -> None:
    app = Application(tmp_path)
    daemon.start()
    for number in range(4):
        pusher.touch("app.ini", app.config(f"v{number}"))
    answer = serving(daemon, app, "v3")
    for number in range(4, 8):
        pusher.touch("app.ini", app.config(f"v{number}"))
    assert serving(daemon, app, "v7").master == answer.master
    daemon.stop()


def test_a_largest_config_arrives_whole(daemon: Daemon, pusher: Pusher, tmp_path: Path) -> None:
    app = Application(tmp_path)
    daemon.start()
    for says in ("one", "two"):
        config = app.config("zero")
        config += "#" * (65_535 - len(config) - 50)
        config += f"\nenv = SAYS={says}\n"
        pusher.touch("app.ini", config.ljust(65_535, "\n"))
        serving(daemon, app, says)
    daemon.stop()


@pytest.mark.parametrize(
    "end",
    [pytest.param(Daemon.stop, id="stopped"), pytest.param(Daemon.kill, id="killed")],
)
def test_vassals_come_back_without_being_announced_again(
    end: Callable[[Daemon], None], daemon: Daemon, pusher: Pusher, tmp_path: Path
) -> None:
    app, gone = Application(tmp_path), Application(tmp_path)
    daemon.start()
    pusher.touch("app.ini", app.config("one"))
    pusher.touch("gone.ini", gone.config("one"))
    serving(daemon, app, "one")
    serving(daemon, gone, "one")
    pusher.destroy("gone.ini")
    daemon.phase("app.ini", "accepting")
    daemon.gone("gone.ini")
    end(daemon)
    seq = daemon.last_seq()
    daemon.start()
    serving(daemon, app, "one")
    daemon.phase("app.ini", "accepting")
    assert daemon.events("vassal_added", after=seq) == []
    assert gone.answers() is None
    # It goes on as if nothing had been.
    pusher.touch("app.ini", app.config("two"))
    serving(daemon, app, "two")
    assert daemon.event("vassal_changed", "app.ini", after=seq).body["change"] == "ts,config"
    daemon.stop()


def test_a_static_file(daemon: Daemon, pusher: Pusher, tmp_path: Path) -> None:
    app = Application(tmp_path)
    file = tmp_path / "app.ini"  # the daemon's working directory
    file.write_text(app.config("one"))
    daemon.start()
    pusher.touch("app.ini")
    first = serving(daemon, app, "one")
    assert processes.argv_of(first.master)[1:] == ["--ini", "app.ini"]
    file.write_text(app.config("two"))
    pusher.touch("app.ini")
    assert serving(daemon, app, "two").master == first.master
    change = daemon.events("vassal_changed", "app.ini")[-1]
    assert change.body["spec"]["path"] == str(file)
    assert daemon.config_text(change.body["spec"]["config"]) == app.config("two").encode()
    # It is that file, wherever the next daemon is started.
    daemon.stop()
    daemon.folder = tmp_path / "elsewhere"
    daemon.folder.mkdir()
    daemon.start()
    first = serving(daemon, app, "two")
    # From a file to inline is another process.
    pusher.touch("app.ini", app.config("inline"))
    assert serving(daemon, app, "inline").master != first.master
    pusher.destroy("app.ini")
    daemon.gone("app.ini")
    daemon.stop()


def test_garbage_is_recorded_once_each(daemon: Daemon, pusher: Pusher) -> None:
    daemon.start()
    pusher.touch("good.ini", program("sleep", "1000"))
    for _ in range(300):
        pusher.send("touch")
        pusher.send("touch", "a.ini", "x", "", "", "", "")
        pusher.send("touch", "../a.ini")
        pusher.send("jump", "b.ini")
        pusher.send("touch", "c\0.ini", "x")
        pusher.send("touch", "d.ini", "x", "-1")
    pusher.destroy("nobody.ini")
    pusher.touch("last.ini", program("sleep", "1000"))
    daemon.event("spawned", "last.ini")
    rejected = [
        (event.body["name"], event.body["reason"])
        for event in daemon.events("observation_rejected")
    ]
    assert [name for name, _ in rejected] == [
        "a message of one frame",
        "a.ini",
        "../a.ini",
        "b.ini",
        "c\\x00.ini",
        "d.ini",
        "nobody.ini",
    ]
    assert rejected[-1][1] == "told to destroy it, but there is no such vassal"
    assert set(daemon.fleet().vassals) == {"good.ini", "last.ini"}
    daemon.stop()


def memory(pid: int) -> int:
    """Bytes of a process in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


ASKER = """
import os, select, sys
control, config = (int(os.environ["UWSGI_EMPEROR_FD" + x]) for x in ("", "_CONFIG"))
def exactly(count):
    data = b""
    while len(data) < count:
        data += os.read(config, count - len(data))
    return data
def frame():
    head = exactly(4)
    return head[0], head[3], exactly(int.from_bytes(head[1:3], "little"))
first = frame()
os.set_blocking(control, False)
asked = 0
for _ in range(6):
    select.select([], [control], [])
    try:
        asked += os.write(control, bytes([2]) * 10)
    except BlockingIOError:
        pass
while not os.path.exists(sys.argv[1] + ".go"):
    select.select([], [], [], 0.01)
same = all(frame() == first for _ in range(asked))
more = select.select([config], [], [], 0.3)[0]
with open(sys.argv[1], "w") as out:
    print(first[:2], same, bool(more), asked, file=out)
select.select([], [], [])
"""


def test_one_frame_for_each_request_and_no_memory_for_those_not_read(
    daemon: Daemon, pusher: Pusher, tmp_path: Path
) -> None:
    script = tmp_path / "asker.py"
    script.write_text(ASKER)
    out = tmp_path / "out"
    daemon.start()
    before = memory(daemon.pid)
    config = program(sys.executable, str(script), str(out))
    pusher.touch("a.ini", config + "#" * 20_000)
    daemon.event("spawned", "a.ini")
    # It has asked often and not read once; the daemon has other things to do.
    pusher.touch("b.ini", program("sleep", "1000"))
    daemon.event("spawned", "b.ini")
    assert memory(daemon.pid) - before < 30 << 20
    (tmp_path / "out.go").touch()
    daemon.until(lambda: out.exists() and out.read_text(), "it has read what it asked for")
    assert out.read_text() == "(115, 0) True False 60\n"  # more are not owed: test_floods.py
    daemon.stop()


def sleeps(pid: int) -> bool:
    return processes.argv_of(pid)[:1] == ["sleep"]


def test_vassals_inherit_nothing_of_the_socket(daemon: Daemon, pusher: Pusher) -> None:
    daemon.start()
    pusher.touch("a.ini", program("sleep", "1000"))
    pusher.touch("b.ini", program("sleep", "1000"))
    for name in ("a.ini", "b.ini"):
        daemon.event("spawned", name)
        pid = daemon.pid_of(name)
        daemon.until(partial(sleeps, pid), "it sleeps")
        own = {
            int(processes.environment_of(pid)[key])
            for key in ("UWSGI_EMPEROR_FD", "UWSGI_EMPEROR_FD_CONFIG")
        }
        assert {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")} == {0, 1, 2} | own
    daemon.stop()


def test_an_endpoint_in_use_stops_nobody_else(
    make_daemon: MakeDaemon, endpoint: str, tmp_path: Path
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    other = context.socket(zmq.PULL)
    other.bind(endpoint)
    try:
        daemon = make_daemon(monitors=[tmp_path / "vassals", f"zmq://{endpoint}"])
        (daemon.vassals / "file.ini").write_text(program("sleep", "1000"))
        daemon.start()
        daemon.event("spawned", "file.ini")
        failed = daemon.event("monitor_failed", "")
        assert failed.monitor == f"zmq://{endpoint}"
    finally:
        context.destroy(linger=0)
    daemon.event("monitor_recovered")
    assert len(daemon.events("monitor_failed")) == 1
    with Pusher(endpoint) as pusher:
        pusher.touch("a.ini", program("sleep", "1000"))
        daemon.event("spawned", "a.ini")
    daemon.stop()
