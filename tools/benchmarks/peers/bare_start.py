"""The least of a start and a stop that are recorded: what no emperor in Python with a journal can
leave out.

``bare_start.py PROGRAM FOLDER COUNT`` imports the modules of the daemon. Then it reads the configs
in FOLDER, and starts PROGRAM for each. That gets a socket pair, which another process holds as
well, and a log of its own. Its pid and start time are read. Four events for each are appended to a
journal, and a thread makes them durable. So both processors have work.

At SIGTERM it records the stop, tells all, and waits for them together (``bare_stop.py``).

It has no fold, no event loop, no watch, no keeper, and it checks nothing. It hears of no vassal.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor

import bare_stop
import emperord.daemon.main  # noqa: F401
from emperord.daemon.host.procfs import start_time
from emperord.journal import chain
from emperord.journal.events import Announced, Body, OfAttempt, Spawned, Spec
from emperord.journal.store import Journal

LISTED = 100  # vassals of a listing that are recorded together
STARTED = 16  # starts that are recorded together
ENVIRON = dict(os.environ)
NULL = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


class Record:
    """A journal, and the events that are to be appended next."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows: list[chain.Columns] = []
        self._seq, self._at = journal.seq, time.time_ns()
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def add(self, kind: str, body: Body, vassal: str | None = None) -> None:
        self._seq, self._at = self._seq + 1, self._at + 1
        text = chain.text(body)
        self._rows.append((self._seq, self._at, kind, "dir://", vassal, None, text, "[]"))

    def commit(self) -> None:
        """Have them made durable while the next ones come."""
        self.wait()
        self._last = self._thread.submit(self._journal.append, self._rows)
        self._rows = []

    def wait(self) -> None:
        if self._last is not None:
            self._last.result()


def holder() -> socket.socket:
    """A channel to a process that holds what it gets, as a keeper does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        while socket.recv_fds(theirs, 1 << 16, 4)[0]:
            pass
        os._exit(0)
    theirs.close()
    return ours


def read(config: str) -> Announced:
    """A config as it is announced."""
    file = os.open(config, os.O_RDONLY | os.O_CLOEXEC)
    status, text = os.fstat(file), os.read(file, 1 << 16)
    os.close(file)
    digest = hashlib.sha256(text).hexdigest()
    return Announced(spec=Spec(ts=status.st_mtime_ns, config=digest, path=config))


def start(
    program: str, name: str, attempt: int, keeper: socket.socket
) -> tuple[Spawned, bare_stop.Running]:
    """Start one vassal. Our end of its socket stays open here, too."""
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    log = os.open(f"{name}.log", flags, 0o640)
    socket.send_fds(keeper, [b'{"do":"keep","name":"%d"}' % attempt], [ours.fileno()])
    child = subprocess.Popen(
        [program, "--ini", name],
        env={**ENVIRON, "UWSGI_EMPEROR_FD": str(theirs.fileno())},
        stdin=NULL, stdout=log, stderr=log, close_fds=False, start_new_session=True,
    )  # fmt: skip
    child.returncode = 0  # nothing waits for it
    running = bare_stop.Running(name, attempt, child.pid, os.pidfd_open(child.pid), ours)
    os.close(log)
    theirs.close()
    began = start_time(child.pid) or 0
    return Spawned(attempt=attempt, pid=child.pid, start_time=began), running


def main() -> None:
    program, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.chdir(folder)
    names = [f"v{index}.ini" for index in range(count)]
    vassals: list[bare_stop.Running] = []
    keeper = holder()
    with Journal.open(f"{folder}/journal.db") as journal:
        record = Record(journal)
        for number, name in enumerate(names, 1):
            record.add("vassal_added", read(f"{folder}/{name}"), name)
            if number % LISTED == 0:
                record.commit()
        for number, name in enumerate(names, 1):
            spawned, running = start(program, name, number, keeper)
            vassals.append(running)
            record.add("spawned", spawned, name)
            record.add("vassal_accepting", OfAttempt(attempt=number), name)
            record.add("vassal_loyal", OfAttempt(attempt=number), name)
            if number % STARTED == 0:
                record.commit()
        record.commit()
        record.wait()
        poll = bare_stop.watch(vassals)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # the vassals have theirs
        signal.sigwait([signal.SIGTERM])
        bare_stop.stop(vassals, poll, record, keeper)
    os._exit(0)


if __name__ == "__main__":
    main()
