"""The keeper stays small, leaks no descriptor, and holds thousands of sockets."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from support import processes
from support.descriptors import has_open
from support.kept import Emperor
from support.vassals import SLEEPER, program
from support.waiting import PATIENCE, until

from ..conftest import MakeEmperor

pytestmark = pytest.mark.usefixtures("cold")

ROOT = Path(__file__).parents[3]

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
        emperor.until(partial(has_open, pid, 4), "four descriptors")
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
    before = emperor.kept()
    for number in range(10):
        (emperor.vassals / f"{number}.ini").write_text(SLEEPER)
    names = [f"{number}.ini" for number in range(10)]
    emperor.up(*names)
    emperor.until(lambda: emperor.kept() == before + 10, "they are kept")
    emperor.restart()
    for name in names:
        (emperor.vassals / name).unlink()
    for name in names:
        emperor.gone(name)
    emperor.until(lambda: emperor.kept() == before, "all are let go")
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
