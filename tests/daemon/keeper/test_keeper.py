"""Nothing dies with the daemon: real keepers, real vassals, and kill -9."""

import contextlib
import fcntl
import http.client
import os
import pty
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support import processes
from support.daemon import STAMP
from support.kept import Emperor
from support.vassals import SLEEPER, Application, notes, program, shell
from support.waiting import PATIENCE, until

from ..conftest import MakeEmperor

ROOT = Path(__file__).parents[3]


class Client:
    """One connection that is kept, with a request under way at all times."""

    def __init__(self, app: Application) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
        self._connection.connect()
        self.local = self._connection.sock.getsockname()
        self.answers = 0
        self.error: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> "Client":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()

    def moved_on(self, since: int) -> bool:
        """Whether more was answered than so many, or nothing ever will."""
        return self.answers > since or self.error is not None

    def _go(self) -> None:
        try:
            while not self._over.is_set():
                self._connection.request("GET", "/")
                answer = self._connection.getresponse()
                assert answer.status == 200
                answer.read()
                assert self._connection.sock.getsockname() == self.local  # never made anew
                self.answers += 1
        except BaseException as error:
            self.error = error


FAST = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
SLOW = """
import os, select
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    yield b"one"
    while not os.path.exists(os.environ["SAYS"]):
        select.select((), (), (), 0.01)
    yield b"two"
"""


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


# How it leaves


def test_a_daemon_that_cannot_start_ends_the_keeper(emperor: Emperor) -> None:
    emperor.monitors = ["nonsense://x"]
    emperor.launch()
    assert emperor.wait() == 3
    (line,) = emperor.log().splitlines()
    assert "nonsense" in line


def test_a_daemon_that_cannot_keep_logs_ends_the_keeper(emperor: Emperor) -> None:
    """It has opened its journal and its control socket by then, which nobody needs any more."""
    (emperor.folder / "file").touch()
    emperor.launch("--log-directory", str(emperor.folder / "file" / "logs"))
    assert emperor.wait() == 3
    (line,) = emperor.log().splitlines()
    assert "cannot be kept there" in line


def test_bad_usage(emperor: Emperor) -> None:
    emperor.launch("--no-such-option")
    assert emperor.wait() == 2


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["--check", "."]])
def test_what_prints_and_ends(emperor: Emperor, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "emperord.daemon.keeper", *words],
        capture_output=True,
        check=True,
        cwd=emperor.vassals,
    )
    assert done.stderr == b""
    assert not emperor.state.exists()


@pytest.mark.parametrize("code", [0, 1])
def test_a_check_that_is_asked_for_elsewhere_is_made_once(emperor: Emperor, code: int) -> None:
    emperor.environ["EMPEROR_CHECK"] = "1"
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    if code:
        (emperor.vassals / "b.ini").write_text("[emperor]\ncolour = blue\n")
    emperor.launch()
    assert emperor.wait() == code
    assert emperor.log().count("dir://") == 1
    assert not emperor.state.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_reaches_the_daemon_once(emperor: Emperor, number: int) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    emperor.stop(number)
    assert emperor.kinds().count("daemon_stopping") == 1
    assert "again" not in emperor.log()
    assert not emperor.control.exists()


def test_other_signals_are_handed_on(emperor: Emperor) -> None:
    emperor.start()
    emperor.send(signal.SIGHUP)
    emperor.event("operator_requested", request="reload", via="SIGHUP")
    emperor.send(signal.SIGURG)
    emperor.event("operator_requested", request="retry", via="SIGURG")
    emperor.send(signal.SIGUSR1)
    emperor.until(lambda: emperor.log().count("0 vassals") == 2, "it says how it is")
    emperor.stop()


def test_ctrl_c_in_a_terminal_arrives_once(emperor: Emperor) -> None:
    """Also if it is pressed before the daemon takes signals."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(emperor.folder)
        os.execve(sys.executable, emperor.argv, {**emperor.environ, STAMP: emperor.stamp})
    try:
        emperor.event("daemon_ready")
        os.write(terminal, b"\x03")
        said = b""
        with contextlib.suppress(OSError):
            while data := os.read(terminal, 4096):
                said += data
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
        assert b"again" not in said
        assert emperor.kinds().count("daemon_stopping") == 1
    finally:
        os.close(terminal)


def test_told_to_stop_while_the_daemon_is_being_restarted(emperor: Emperor) -> None:
    """The signal waits until the next daemon is there. Nothing is left."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    for _ in range(3):  # from here on the next start is put off
        emperor.restart()
    os.kill(emperor.daemon_pid(), signal.SIGKILL)
    emperor.stop()


def test_killed_while_it_stops_the_next_one_goes_on(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--mercy", "60")
    (emperor.vassals / "a.ini").write_text(shell("trap '' TERM; while :; do sleep 1000; done"))
    emperor.start()
    emperor.up("a.ini")
    emperor.send(signal.SIGTERM)
    emperor.event("daemon_stopping")
    seq = emperor.last_seq()
    emperor.kill_daemon()
    emperor.event("daemon_stopping", after=seq)
    assert emperor.insist() == 0, emperor.account()
    assert emperor.running() == []


@contextlib.contextmanager
def keeper_of(
    tmp_path: Path, program: str, python: str = sys.executable, patience: float = PATIENCE
) -> Iterator[subprocess.Popen[str]]:
    """A keeper of a daemon that is any program in Python; how it fares stands in its log."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from emperord.daemon.keeper import main as keeper, ending, restarts\n"
        f"keeper._daemon_argv = lambda _: [{python!r}, '-c', {program!r}]\n"
        "restarts._LONGEST_DELAY = 2.0\n"
        f"restarts._STOP_PATIENCE = {patience}\n"
        f"ending.MERCY = {patience}\n"
        "keeper.main()\n"
    )
    with subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def test_a_daemon_that_keeps_dying_is_started_ever_more_rarely(tmp_path: Path) -> None:
    with keeper_of(tmp_path, "raise SystemExit(9)") as child:
        assert child.stderr is not None
        said = [child.stderr.readline() for _ in range(4)]
    assert [line.split("again in ")[1].strip() for line in said] == ["0 s", "1 s", "2 s", "2 s"]
    assert all("ended with code 9" in line for line in said)


UP = "import os; os.write(2, b'up\\n')\n"
# Says that it takes signals; the one to stop ends it, and it alone.
USELESS = """
import socket
from emperord.daemon.keeper import protocol as keeping
with socket.socket(fileno=int(os.environ[keeping.CHANNEL])) as channel:
    channel.send(keeping.encode({"do": "hear"}))
    while channel.recv(keeping.LONGEST):
        pass
"""
HOPELESS = [
    pytest.param(UP + "raise SystemExit(9)", 1, 9, id="ends at its start"),
    pytest.param(UP + "os.abort()", 1, 128 + signal.SIGABRT, id="crashes at its start"),
    pytest.param(UP + USELESS, 2, 128 + signal.SIGTERM, id="ends when it is told"),
]


@pytest.mark.parametrize(("program", "starts", "code"), HOPELESS)
def test_told_to_stop_it_does_not_wait_for_a_hopeless_daemon(
    tmp_path: Path, program: str, starts: int, code: int
) -> None:
    with keeper_of(tmp_path, program) as child:
        assert child.stderr is not None
        while child.stderr.readline() != "up\n":
            pass
        child.send_signal(signal.SIGTERM)
        more = child.stderr.read().count("up\n")
        assert child.wait() == code
    assert more <= starts


# Its first thread ends when it is told twice. The other one stays, as in a write to a frozen disk.
HELD = """
import ctypes, signal, socket, threading, time
from emperord.daemon.keeper import protocol as keeping
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
threading.Thread(target=time.sleep, args=[1000]).start()
with socket.socket(fileno=int(os.environ[keeping.CHANNEL])) as channel:
    channel.send(keeping.encode({"do": "hear"}))
    signal.sigwait([signal.SIGTERM])
    os.write(2, b'told\\n')
    signal.sigwait([signal.SIGTERM])
    ctypes.CDLL(None).syscall(EXIT, 0)
"""
_EXIT = {"x86_64": 60, "aarch64": 93}  # this thread only


@pytest.mark.skipif(os.uname().machine not in _EXIT, reason="exit(2) has another number")
def test_told_twice_it_leaves_a_daemon_that_the_kernel_holds(tmp_path: Path) -> None:
    program = UP + HELD.replace("EXIT", str(_EXIT[os.uname().machine]))
    with keeper_of(tmp_path, program) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "up\n"
        (daemon,) = processes.children_of(child.pid)
        try:
            child.send_signal(signal.SIGTERM)
            assert child.stderr.readline() == "told\n"
            child.send_signal(signal.SIGTERM)
            assert child.wait(PATIENCE) == 3
            assert "the kernel holds a thread of the daemon" in child.stderr.readline()
        finally:
            os.kill(daemon, signal.SIGKILL)


def test_a_daemon_that_cannot_be_executed_ends_a_keeper_that_keeps_nothing(tmp_path: Path) -> None:
    with keeper_of(tmp_path, "", python="/does/not/exist") as child:
        assert child.wait(PATIENCE) == 3
        assert child.stderr is not None
        (line,) = child.stderr.readlines()
    assert "cannot start the daemon: " in line
    assert "tried again" not in line


# Its program is gone. It stops its keeper, entrusts a descriptor to it, and dies, all unread.
ENTRUSTS = f"""\
#!{sys.executable}
import os, pathlib, select, signal, socket, sys
from emperord.daemon.keeper import protocol as keeping
keeper = pathlib.Path(f"/proc/{{os.getppid()}}/stat")
os.unlink(sys.argv[0])
with socket.socket(fileno=int(os.environ[keeping.CHANNEL])) as channel:
    select.select([channel], [], [])
    os.kill(os.getppid(), signal.SIGSTOP)
    while keeper.read_text().rpartition(")")[2].split()[0] != "T":
        os.sched_yield()
    packet = keeping.encode({{"do": "keep", "name": "a", "about": {{}}}})
    socket.send_fds(channel, [packet], [0])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_it_keeps_is_worth_another_try_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """The keeper reads a daemon's last packets, too, whatever the daemon left unread."""
    python = tmp_path / "python"
    python.write_text(ENTRUSTS)
    python.chmod(0o755)
    with keeper_of(tmp_path, "", python=str(python), patience=0.1) as child:
        until(lambda: dead_children(child.pid), "the daemon is dead")
        child.send_signal(signal.SIGCONT)
        assert child.stderr is not None
        while "cannot start the daemon: " not in (line := child.stderr.readline()):
            assert line
        assert "tried again in" in line
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 3


def dead_children(pid: int) -> list[int]:
    return [child for child in processes.children_of(pid) if not processes.alive(child)]


# Children are dead by the time that it looks; each look is a turn, before which it was woken.
DEAD = """
import os, signal
from emperord.daemon.keeper.dead_child import Leaders
signal.signal(signal.SIGCHLD, lambda *_: print("woken"))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
pids = [os.fork() or os._exit(7) for _ in range(300)]
for pid in pids:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
signal.sigtimedwait([signal.SIGCHLD], 0)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
leaders, more = Leaders(), True
while more:
    dead = [(os.waitpid(pid, 0), code, number) for pid, code, number in leaders.dead()]
    assert {each[1:] for each in dead} == {(7, None)}
    print(len(dead))
    more = leaders.more
"""


def test_dead_children_by_the_hundred_are_reaped_in_turns() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEAD], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout.split() == ["woken", "256", "44"]


def test_a_hung_daemon_is_killed_for_the_watchdog(emperor: Emperor) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    pids = emperor.up("a.ini")
    seq = emperor.last_seq()
    os.kill(emperor.daemon_pid(), signal.SIGSTOP)
    emperor.send(signal.SIGABRT)
    emperor.next_ready(seq)
    assert emperor.running() == list(pids.values())
    emperor.stop()


# How it is made


def test_nothing_of_ours_takes_the_place_of_a_standard_stream_that_is_closed(
    make_emperor: MakeEmperor,
) -> None:
    emperor = make_emperor()
    emperor.before = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    emperor.start()
    for pid in (emperor.pid, emperor.daemon_pid()):
        streams = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
        assert streams == ["/dev/null"] * 3
    emperor.restart()
    emperor.stop()


def test_a_log_that_nobody_reads_holds_up_nothing(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        emperor = make_emperor()
        emperor.before = ["sh", "-c", 'exec "$@" 2>"$0"', str(fifo)]
        emperor.start()
        for count in range(20):
            name = f"{count}{'x' * 200}.ini"
            (emperor.vassals / name).write_text(SLEEPER)
            emperor.up(name)
        emperor.restart()
        said = b""

        def lost() -> bool:
            nonlocal said
            os.kill(emperor.pid, signal.SIGUSR1)
            with contextlib.suppress(BlockingIOError):
                said += os.read(reader, 65_536)
            return b" lines before this one are lost" in said

        until(lost, "it says so to who reads it again")
        emperor.stop()
    finally:
        os.close(reader)


def test_it_is_small(emperor: Emperor) -> None:
    emperor.start()
    status = Path(f"/proc/{emperor.pid}/status").read_text()
    assert int(status.split("VmRSS:")[1].split()[0]) < 15 * 1024
    assert len((ROOT / "daemon" / "keeper" / "main.py").read_text().splitlines()) < 400
    emperor.stop()


def test_it_imports_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import emperord.daemon.keeper.main;"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    tops = {name.partition(".")[0] for name in done.stdout.split()}
    assert tops - set(sys.stdlib_module_names) == {"emperord"}
    assert "sqlite3" not in tops


def test_a_password_on_the_command_line_is_in_no_list_of_processes(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """Over restarts and upgrades as well, and what was given is what counts."""
    (tmp_path / "vassals").mkdir()
    (tmp_path / "vassals" / "a.ini").write_text(SLEEPER)
    emperor = make_emperor(
        *("--vassal-set", "token=hidden"),
        monitors=[tmp_path / "vassals", "amqp://u:hidden@127.0.0.1:1"],
    ).start()
    for end in (None, signal.SIGKILL, signal.SIGUSR2):
        if end is not None:
            emperor.next_ready(after=_ended(emperor, end))
        pids = [emperor.pid, emperor.daemon_pid(), *emperor.up("a.ini").values()]
        assert [pid for pid in pids if "hidden" in str(processes.argv_of(pid))] == []
        assert "amqp://u:***@127.0.0.1:1" in processes.argv_of(emperor.daemon_pid())
        started = emperor.events("daemon_started")[-1]
        assert started.body["policy"]["vassal_set"] == ["token=hidden"]
        (vassal,) = emperor.up("a.ini").values()
        assert "hidden" not in str(processes.environment_of(vassal))
    emperor.stop()


def _ended(emperor: Emperor, end: int) -> int:
    seq = emperor.last_seq()
    os.kill(emperor.daemon_pid(), end)
    return seq


def _has(folder: str, count: int) -> bool:
    return len(os.listdir(folder)) == count


def test_vassals_get_nothing_of_it(emperor: Emperor) -> None:
    """Neither descriptors nor words in the environment, from no daemon of a row."""
    for name in ("a.ini", "b.ini"):
        (emperor.vassals / name).write_text(SLEEPER)
        if name == "a.ini":
            emperor.start()
            emperor.up("a.ini")
            emperor.restart()
    for pid in emperor.up("a.ini", "b.ini").values():
        folder = f"/proc/{pid}/fd"
        # The fourth is its end of the control socket. A fifth is a locale that the program reads.
        emperor.until(partial(_has, folder, 4), "four descriptors")
        assert set(os.listdir(folder)) > {"0", "1", "2"}
        assert os.readlink(f"{folder}/0") == "/dev/null"
        environ = processes.environment_of(pid)
        assert not {key for key in environ if key.startswith("EMPERORD_KEEPER")}
        (status,) = [
            line
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("SigBlk")
        ]
        assert int(status.split()[1], 16) == 0
    emperor.stop()


def test_what_it_keeps_it_lets_go(emperor: Emperor) -> None:
    """No descriptor and no death stays for vassals that are gone."""
    emperor.start()
    before = len(os.listdir(f"/proc/{emperor.pid}/fd"))
    for number in range(10):
        (emperor.vassals / f"{number}.ini").write_text(SLEEPER)
    names = [f"{number}.ini" for number in range(10)]
    emperor.up(*names)
    emperor.until(
        lambda: len(os.listdir(f"/proc/{emperor.pid}/fd")) == before + 10, "they are kept"
    )
    emperor.restart()
    for name in names:
        (emperor.vassals / name).unlink()
    for name in names:
        emperor.gone(name)
    emperor.until(lambda: len(os.listdir(f"/proc/{emperor.pid}/fd")) == before, "all are let go")
    emperor.stop()


CROWDED = """
import os, resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (1200, hard))
while os.dup(0) < 1150:
    pass
for number in range(3, 1151):
    os.set_inheritable(number, True)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_it_holds_more_than_a_program_should(emperor: Emperor) -> None:
    """Descriptors past 1023, which select(2) cannot, and past the limit that vassals get back."""
    emperor.before = [sys.executable, "-c", CROWDED]
    (emperor.vassals / "first.ini").write_text(program("sh", "-c", "ulimit -n >limit; sleep 1000"))
    names = [f"{number}.ini" for number in range(60)]
    for name in names:
        (emperor.vassals / name).write_text(SLEEPER)
    emperor.options += ["--max-starting", "100"]
    emperor.start()
    pids = emperor.up("first.ini", *names)
    emperor.restart()
    emperor.until(lambda: len(emperor.events("adopted")) == 61, "all are adopted")
    assert {name: emperor.pid_of(name) for name in pids} == pids
    assert {e.body["control"] for e in emperor.events("adopted")} == {True}
    assert (emperor.vassals / "limit").read_text() == "1200\n"
    emperor.stop()


def test_told_to_stop_at_any_moment_of_its_start(emperor: Emperor) -> None:
    """A stop that comes before the daemon takes signals waits for it, and is not lost."""
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.launch()
    emperor.until(lambda: handles(emperor.pid, signal.SIGTERM), "the keeper takes signals")
    emperor.stop()
    assert emperor.kinds()[-1] == "daemon_stopped"


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def test_a_stopped_keeper_holds_up_nothing_for_long(emperor: Emperor) -> None:
    """More is to be said to it than fits into its socket; all of it arrives later."""
    emperor.start()
    fds = f"/proc/{emperor.pid}/fd"
    before = len(os.listdir(fds))
    emperor.send(signal.SIGSTOP)
    names = [f"{number}.ini" for number in range(5)]
    for name in names:
        (emperor.vassals / name).write_text(SLEEPER)
    emperor.up(*names)
    (emperor.vassals / "0.ini").unlink()
    emperor.gone("0.ini")
    emperor.send(signal.SIGCONT)
    emperor.until(lambda: len(os.listdir(fds)) == before + 4, "it keeps those that are left")
    emperor.restart()
    assert {e.body["control"] for e in emperor.events("adopted")} == {True}
    emperor.stop()


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
