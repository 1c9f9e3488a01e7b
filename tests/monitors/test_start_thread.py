"""Children that start in a thread with a descriptor table of its own."""

import contextlib
import errno
import fcntl
import gc
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from emperord.monitors.children import Child
from emperord.monitors.start_thread import StartThread
from support.processes import sleeps
from support.waiting import until

HIGH = 700
Numbers = dict[int, str]
BOTH = pytest.mark.parametrize("own", [True, False], ids=["own table", "shared table"])


def table_of(owner: str) -> Numbers:
    found = {}
    for number in os.listdir(f"/proc/{owner}/fd"):
        with contextlib.suppress(FileNotFoundError):  # it listed the directory
            found[int(number)] = os.readlink(f"/proc/{owner}/fd/{number}")
    return found


table_of_thread = partial(table_of, "thread-self")


def of_child(child: subprocess.Popen[bytes]) -> Numbers:
    """The descriptors of a child, which is ended."""
    until(lambda: sleeps(child.pid), "it has opened and closed its libraries")
    try:
        return table_of(str(child.pid))
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """A file with a high number."""
    (tmp_path / "file").write_text("text")
    low = os.open(tmp_path / "file", os.O_RDONLY)
    high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, HIGH)
    os.close(low)
    yield high
    os.close(high)


def begun(own: bool = True) -> StartThread:
    """One whose thread, if it has one, has begun."""
    starts = StartThread(own=own)
    with starts.start() as start:
        start.begin(lambda: None)
    return starts


def sleeper(**how: int) -> Callable[[], Child]:
    return partial(Child, ["sleep", "1000"], close_fds=False, **how)


@BOTH
def test_a_child_has_what_it_inherits_and_the_table_of_others_is_as_before(
    own: bool, file: int
) -> None:
    starts = begun(own)
    before = table_of_thread()
    with starts.start() as start:
        inherited, output = start.inherit(file), start.copy(file)
        null = os.open(os.devnull, os.O_RDWR)
        child = start.begin(sleeper(stdin=start.copy(null), stdout=output))
        os.close(null)
        assert not os.get_inheritable(file)
    found = of_child(child)
    path = os.readlink(f"/proc/self/fd/{file}")
    assert (found[0], found[1], found[inherited]) == (os.devnull, path, path)
    others = {number for number in before if os.get_inheritable(number)}  # of this process
    assert set(found) - others == {0, 1, 2, inherited} - others
    assert table_of_thread() == before


def test_the_thread_has_copies_of_what_is_given_alone(file: int) -> None:
    starts = begun()
    path = os.readlink(f"/proc/self/fd/{file}")
    with starts.start() as start:
        usual = start.begin(table_of_thread)
    assert [usual.pop(number) for number in range(3)] == [os.devnull] * 3
    kinds = sorted(target.partition(":")[0] for target in usual.values())
    assert kinds == [os.devnull, "socket"]  # to wake the event loop, and for messages
    for _ in range(3):
        with starts.start() as start:
            number = start.copy(file)
            assert start.begin(table_of_thread)[number] == path
        with starts.start() as start:
            assert usual.items() <= start.begin(table_of_thread).items()
            assert path not in start.begin(table_of_thread).values()
    starts.locks = lambda: [file]
    with starts.start() as start:
        assert path in start.begin(table_of_thread).values()


def test_children_are_those_of_one_thread_that_stays(file: int) -> None:
    starts = begun()
    children = []
    for _ in range(2):
        with starts.start() as start:
            children.append((start.begin(threading.get_native_id), start.begin(sleeper())))
    (thread, first), (same, second) = children
    assert thread == same != threading.get_native_id()
    with open(f"/proc/self/task/{thread}/children") as its:
        assert {first.pid, second.pid} <= set(map(int, its.read().split()))
    for child in (first, second):
        of_child(child)


@BOTH
@pytest.mark.parametrize(
    ("name", "expected"),
    [("nowhere", errno.ENOENT), ("text", errno.ENOEXEC), ("", errno.EACCES)],
    ids=["not there", "no program", "a directory"],
)
def test_an_error_of_the_exec_is_raised(
    name: str, expected: int, own: bool, file: int, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("exit 0")
    (tmp_path / "text").chmod(0o755)
    starts = begun(own)
    before = table_of_thread()
    with starts.start() as start:
        start.inherit(file)
        with pytest.raises(OSError, match=f"Errno {expected}"):
            start.begin(partial(Child, [str(tmp_path / name)], close_fds=False))
        assert not os.get_inheritable(file)
    assert table_of_thread() == before
    with starts.start() as start:
        assert file not in start.begin(table_of_thread) or not own


@BOTH
def test_a_descriptor_that_is_not_open_is_told(own: bool, file: int) -> None:
    starts = begun(own)
    before = table_of_thread()
    with starts.start() as start:
        start.inherit(file)
        with pytest.raises(OSError, match="Bad file descriptor"):
            start.copy(HIGH + 50)
    assert table_of_thread() == before
    with starts.start() as start:
        assert start.begin(lambda: 7) == 7


@BOTH
def test_a_copy_is_made_at_once(own: bool, file: int) -> None:
    """The event loop closes a socket meanwhile, and opens another file."""
    path = os.readlink(f"/proc/self/fd/{file}")
    given = os.dup(file)
    with begun(own).start() as start:
        number = start.inherit(given)
        os.dup2(0, given)
        assert start.begin(table_of_thread)[number] == path
    os.close(given)


def test_more_than_a_message_carries_is_refused_and_the_next_start_is_as_ever(file: int) -> None:
    starts = begun()
    with starts.start() as start:
        for _ in range(100):
            start.copy(file)
        with pytest.raises(OSError, match="Too many open files"):
            start.begin(lambda: None)
    with starts.start() as start:
        assert os.readlink(f"/proc/self/fd/{file}") not in start.begin(table_of_thread).values()


def test_what_was_given_to_a_start_that_failed_is_not_the_next_ones(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = begun()

    def lacks_memory() -> None:
        raise MemoryError

    with starts.start() as start, monkeypatch.context() as patch:
        start.copy(file)
        patch.setattr(threading, "Lock", lacks_memory)
        with pytest.raises(MemoryError):
            start.begin(lambda: None)
    with starts.start() as start:
        number = start.copy(0)
        found = start.begin(table_of_thread)
    assert found[number] == os.readlink("/proc/self/fd/0")
    assert os.readlink(f"/proc/self/fd/{file}") not in found.values()


def test_an_answer_that_was_not_waited_for_is_not_the_next_ones() -> None:
    """A handler of a signal raises in the thread that waits."""
    starts = begun()
    main = threading.get_ident()

    def interrupt(number: int, frame: object) -> None:
        raise InterruptedError

    def call() -> str:
        signal.pthread_kill(main, signal.SIGUSR1)
        return "former"

    usual = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with starts.start() as start, pytest.raises(InterruptedError):
            start.begin(call)
    finally:
        signal.signal(signal.SIGUSR1, usual)
    with starts.start() as start:
        assert start.begin(lambda: "next") == "next"


def test_no_garbage_is_collected_in_the_thread() -> None:
    """A collected socket would close its number in the wrong table."""
    ends: list[str] = []

    class Garbage:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            ends.append(threading.current_thread().name)

    def call() -> None:
        gc.set_threshold(1)
        Garbage()
        assert [[number] for number in range(1_000)]

    starts = begun()
    usual = gc.get_threshold()
    try:
        with starts.start() as start:
            start.begin(call)
    finally:
        gc.set_threshold(*usual)
    assert gc.isenabled()
    gc.collect()
    assert ends == [threading.current_thread().name]


def test_a_collection_that_was_off_stays_off() -> None:
    starts = begun()
    gc.disable()
    try:
        with starts.start() as start:
            start.begin(lambda: None)
        assert not gc.isenabled()
    finally:
        gc.enable()


@contextlib.contextmanager
def without_threads() -> Iterator[None]:
    """No thread can begin: its stack would be too large."""
    usual = threading.stack_size(1 << 47)
    try:
        yield
    finally:
        threading.stack_size(usual)


def test_a_thread_that_cannot_begin_is_tried_again() -> None:
    starts = StartThread(own=True)
    with without_threads(), pytest.raises(BlockingIOError), starts.start():
        pass
    with starts.start() as start:
        assert start.begin(threading.get_native_id) != threading.get_native_id()


def test_a_socket_pair_that_cannot_be_had_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A former one is closed, with what was given to the thread that could not begin."""
    starts = StartThread(own=True)

    def refuse() -> None:
        raise OSError(errno.EMFILE, "none")

    with without_threads():
        with pytest.raises(BlockingIOError), starts.start():
            pass
        other = os.dup(0)  # numbers that were free are the pair's again
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socketpair", refuse)
            for expected in ("unavailable", "none", "none"):
                with pytest.raises(OSError, match=expected), starts.start():
                    pass
    with starts.start() as start:
        assert max(start.begin(table_of_thread)) < other
    os.close(other)


def test_a_lock_that_was_replaced_meanwhile_is_asked_for_again(file: int) -> None:
    starts = begun()
    numbers = iter([HIGH + 50, file, HIGH + 50, HIGH + 50])
    starts.locks = lambda: [next(numbers)]
    with starts.start() as start:
        assert os.readlink(f"/proc/self/fd/{file}") in start.begin(table_of_thread).values()
    with starts.start() as start, pytest.raises(OSError, match="temporarily unavailable"):
        start.begin(lambda: None)


HELD = f"""
import fcntl, os, subprocess, sys
from functools import partial
from emperord.monitors.start_thread import StartThread
starts = StartThread(own=sys.argv[2] == "True")
lock = fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.F_DUPFD_CLOEXEC, {HIGH})
fcntl.flock(lock, fcntl.LOCK_EX)
starts.locks = lambda: [lock]
def before_exec():
    os.write(1, b"x")
    os.read(0, 1)
with starts.start() as start:
    how = {{"stdin": start.copy(0), "stdout": start.copy(1), "preexec_fn": before_exec}}
    start.begin(partial(subprocess.Popen, ["true"], close_fds=False, **how))
"""


@BOTH
def test_a_lock_outlives_the_daemon_until_the_exec_of_its_child(own: bool, tmp_path: Path) -> None:
    path, pipe = tmp_path / "lock", subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", HELD, str(path), str(own)], stdin=pipe, stdout=pipe
    ) as daemon:
        assert daemon.stdin is not None
        assert daemon.stdout is not None
        assert daemon.stdout.read(1) == b"x"
        daemon.kill()
        daemon.wait()
        with path.open("rb") as file:
            assert not is_free(file.fileno())
            daemon.stdin.write(b"x")
            daemon.stdin.flush()
            until(lambda: is_free(file.fileno()), "its exec closes the last copy")


def is_free(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


SIGNALS = """
import fcntl, os, signal, socket, sys, threading
from emperord.monitors.start_thread import StartThread
starts = StartThread(own=True)
ours, its = socket.socketpair()
ours.settimeout(20)
number = fcntl.fcntl(its.fileno(), fcntl.F_DUPFD_CLOEXEC, int(sys.argv[1]))
os.set_blocking(number, False)
signal.set_wakeup_fd(number, warn_on_full_buffer=False)
signal.signal(signal.SIGUSR1, lambda *_: None)
starts.note_wakeup()
with starts.start() as start:
    thread = start.begin(threading.get_ident)
    table = start.begin(lambda: list(map(int, os.listdir("/proc/thread-self/fd"))))
assert thread != threading.get_ident()
assert max(table) < 10, table  # a fork copies a table up to its highest number
for _ in range(50):
    signal.pthread_kill(thread, signal.SIGUSR1)  # while it waits
    assert ours.recv(100) == bytes([signal.SIGUSR1])
file = os.open(sys.argv[2], os.O_RDWR)
for count in range(45):
    with starts.start() as start:
        for _ in range(count):
            start.inherit(file)
        start.begin(lambda: signal.pthread_kill(thread, signal.SIGUSR1))
    assert ours.recv(100) == bytes([signal.SIGUSR1])
os._exit(0)
"""


@pytest.mark.parametrize("number", [5, 21, 63, 64, 100])
def test_a_signal_that_comes_to_it_wakes_the_event_loop(number: int, tmp_path: Path) -> None:
    """Python writes to that number in the table of the thread that the signal comes to."""
    (tmp_path / "file").write_text("text")
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS, str(number), str(tmp_path / "file")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "file").read_text() == "text"


def test_a_child_has_the_signal_mask_of_the_caller(file: int) -> None:
    with begun().start() as start:
        child = start.begin(sleeper())
    blocked = [
        re.findall(r"SigBlk:\t(\w+)", Path(f"/proc/{pid}/status").read_text())
        for pid in ("self", child.pid)
    ]
    of_child(child)
    assert blocked[0] == blocked[1]


OTHER = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0).execute("BEGIN IMMEDIATE")
"""


def test_sqlite_keeps_its_locks_of_a_journal_whose_copies_go_along(tmp_path: Path) -> None:
    """It loses them when any descriptor of the file is closed in the table that it uses."""
    path = tmp_path / "journal.db"
    starts = begun()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("BEGIN IMMEDIATE")
        file = os.open(path, os.O_RDONLY)
        starts.locks = lambda: [file]
        for _ in range(3):
            with starts.start() as start:
                of_child(start.begin(sleeper()))
        done = subprocess.run([sys.executable, "-c", OTHER, str(path)], capture_output=True)
        assert b"database is locked" in done.stderr
        db.execute("ROLLBACK")
    os.close(file)


def test_what_is_given_is_free_again_when_the_start_is_over(tmp_path: Path) -> None:
    """Another socket may have the address at once."""
    starts = begun()
    for _ in range(100):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            address = listener.getsockname()
            with starts.start() as start:
                start.inherit(listener.fileno())
                with pytest.raises(FileNotFoundError):
                    start.begin(partial(Child, ["/nowhere"], close_fds=False))
        with socket.socket() as other:
            other.bind(address)
