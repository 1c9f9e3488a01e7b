"""Nothing dies with the daemon: real keepers, real vassals, and kill -9."""

import http.client
import os
import resource
import signal
from functools import partial
from pathlib import Path

import pytest
from support import processes
from support.descriptors import descriptors
from support.kept import Emperor
from support.load import FAST, Client
from support.vassals import SLEEPER, Application, notes, shell
from support.waiting import until

from ..conftest import MakeEmperor

pytestmark = pytest.mark.usefixtures("cold")

SLOW = """
import os, select
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    yield b"one"
    while not os.path.exists(os.environ["SAYS"]):
        select.select((), (), (), 0.01)
    yield b"two"
"""


def test_what_the_keeper_keeps_closes_on_exec(emperor: Emperor, tmp_path: Path) -> None:
    """A daemon that it executes has it from the packets alone, and so can close it."""
    (emperor.vassals / "a.ini").write_text(f"{SLEEPER}listen = {tmp_path}/a.sock\n")
    emperor.start()
    emperor.up("a.ini")
    assert emperor.process is not None
    keeper = emperor.process.pid
    kept = {number for number, target in descriptors(keeper) if number > 2}
    assert len(kept) >= 5  # two pipes, the channel, a vassal's socket, its address
    for number in kept:
        flags = Path(f"/proc/{keeper}/fdinfo/{number}").read_text().split("flags:")[1].split()[0]
        assert int(flags, 8) & os.O_CLOEXEC, number
    emperor.stop()


def test_vassals_do_not_notice(emperor: Emperor, tmp_path: Path) -> None:
    """Same processes, same connections, a request under way over many deaths of the daemon."""
    app, slow = Application(tmp_path), Application(tmp_path)
    slow.module = tmp_path / "slow.py"
    slow.module.write_text(SLOW)
    app.module = tmp_path / "fast.py"
    app.module.write_text(FAST)
    options = app.options("hello")
    options["http11-socket"] = options.pop("http-socket")
    text = "[uwsgi]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
    (emperor.vassals / "app.ini").write_text(text)
    (emperor.vassals / "slow.ini").write_text(slow.config(str(tmp_path / "go on")))
    (emperor.vassals / "plain.ini").write_text(SLEEPER)
    emperor.start()
    for name in ("app.ini", "slow.ini"):
        emperor.phase(name, "accepting")
    pids = emperor.up("app.ini", "slow.ini", "plain.ini")
    before = set(emperor.running())
    long = http.client.HTTPConnection("127.0.0.1", slow.port, timeout=20)
    long.request("GET", "/")
    answer = long.getresponse()
    assert answer.read(3) == b"one"
    daemons = {emperor.daemon_pid()}
    with Client(app) as client:
        for _ in range(5):
            served = client.answers
            daemons.add(emperor.restart())
            emperor.until(partial(client.moved_on, served), "it serves")
    assert client.error is None
    (tmp_path / "go on").touch()
    assert answer.read() == b"two"
    long.close()
    assert len(daemons) == 6
    assert set(emperor.running()) == before
    assert {name: emperor.pid_of(name) for name in pids} == pids
    assert emperor.kinds().count("spawned") == 3
    assert {e.body["control"] for e in emperor.events("adopted")} == {True}
    assert "exited" not in emperor.kinds()
    # They are in the hands of the last one: a change reloads in place, over the old socket.
    seq = emperor.last_seq()
    (emperor.vassals / "app.ini").write_text(text + "# changed\n")
    emperor.event("vassal_accepting", "app.ini", after=seq)
    assert emperor.pid_of("app.ini") == pids["app.ini"]
    emperor.stop()


@pytest.mark.few(1)
@pytest.mark.parametrize("how", [3, 0, signal.SIGKILL, signal.SIGSEGV])
def test_a_death_while_there_is_no_daemon_is_known_exactly(emperor: Emperor, how: int) -> None:
    how_it_ends = f"exit {how}" if how in (0, 3) else f"kill -{int(how)} $$"
    go = emperor.folder / "go"
    script = f"until [ -e {go} ]; do sleep 0.02; done; {how_it_ends}"
    (emperor.vassals / "a.ini").write_text(shell(script))
    emperor.start()
    pid = emperor.up("a.ini")["a.ini"]
    assert emperor.process is not None
    daemon = emperor.daemon_pid()
    seq = emperor.last_seq()
    os.kill(emperor.pid, signal.SIGSTOP)  # so that no daemon follows before it has died
    os.kill(daemon, signal.SIGKILL)
    until(lambda: not processes.alive(daemon), "the daemon is dead")
    go.touch()
    until(lambda: not processes.alive(pid), "the vassal is dead")
    os.kill(emperor.pid, signal.SIGCONT)
    death = emperor.event("exited", "a.ini", after=seq)
    expected = (how, None) if how in (0, 3) else (None, int(how))
    assert (death.body.get("code"), death.body.get("signal")) == expected
    assert "away" not in death.body
    emperor.stop()


def test_an_adopted_one_ends_with_its_exact_status(emperor: Emperor) -> None:
    go = emperor.folder / "go"
    script = f"until [ -e {go} ]; do sleep 0.02; done; exit 7"
    (emperor.vassals / "a.ini").write_text(shell(script))
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini", "b.ini")
    emperor.restart()
    emperor.restart()
    go.touch()
    assert emperor.event("exited", "a.ini").body["code"] == 7
    os.kill(pids["b.ini"], signal.SIGTERM)
    assert emperor.event("exited", "b.ini").body["signal"] == signal.SIGTERM
    emperor.stop()


def test_a_death_that_the_daemon_saw_and_could_not_record(emperor: Emperor) -> None:
    """It is reaped, and the journal does not know yet when the daemon dies."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pid = emperor.up("a.ini")["a.ini"]
    daemon = emperor.daemon_pid()
    seq = emperor.last_seq()
    resource.prlimit(daemon, resource.RLIMIT_FSIZE, (16384, resource.RLIM_INFINITY))
    os.kill(pid, signal.SIGUSR1)
    emperor.until(lambda: "paused" in emperor.log(), "it is paused")
    until(lambda: not Path(f"/proc/{pid}").exists(), "it is reaped")
    assert emperor.last_seq() == seq
    emperor.kill_daemon()
    death = emperor.event("exited", "a.ini", after=seq)
    assert death.body["signal"] == signal.SIGUSR1
    emperor.stop()


def test_inline_sockets_and_words_said_meanwhile_are_kept(make_emperor: MakeEmperor) -> None:
    """The next daemon reads the bytes that a vassal sent while there was none."""
    emperor = make_emperor(speakers=True)
    go = emperor.folder / "go"
    (emperor.vassals / "a.ini").write_text(f"say 1\nawait {go}\nsay 5 17\n")
    emperor.start()
    emperor.event("vassal_ready", "a.ini")
    daemon = emperor.daemon_pid()
    os.kill(emperor.pid, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    until(lambda: not processes.alive(daemon), "the daemon is dead")
    go.touch()
    os.kill(emperor.pid, signal.SIGCONT)
    assert emperor.phase("a.ini", "accepting").loyal
    seq = emperor.last_seq()
    os.utime(emperor.vassals / "a.ini", ns=(0, 1))
    emperor.event("vassal_accepting", "a.ini", after=seq)
    assert notes(emperor.vassals, "a.ini", "heard") == ["1"]
    emperor.stop()
    assert notes(emperor.vassals, "a.ini", "heard") == ["1", "0"]


def test_what_a_vassal_said_to_a_dying_daemon_is_heard_by_the_next(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """It says once that it accepts, to a daemon that cannot write that down and is killed."""
    emperor = make_emperor(speakers=True)
    going_on = tmp_path / "go"
    (emperor.vassals / "a.ini").write_text(f"say 1\nawait {going_on}\nsay 26 5 17 26\n")
    emperor.start()
    emperor.phase("a.ini", "ready")
    pid = emperor.pid_of("a.ini")
    hidden = emperor.journal.with_name("hidden")
    emperor.journal.rename(hidden)
    going_on.touch()
    emperor.until(lambda: "paused: " in emperor.log(), "the daemon has heard it in vain")
    os.kill(emperor.daemon_pid(), signal.SIGSTOP)  # it does not try again
    hidden.rename(emperor.journal)
    emperor.kill_daemon()
    assert emperor.phase("a.ini", "accepting").pid == pid
    emperor.event("vassal_loyal", "a.ini")
    assert emperor.kinds("a.ini").count("vassal_accepting") == 1
