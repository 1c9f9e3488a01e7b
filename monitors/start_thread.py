"""The thread that starts children. It has a descriptor table of its own, with few descriptors.

fork(2) copies all descriptors of the process, and the exec closes each copy. A daemon of 10,000
vassals has 20,000 descriptors, and that would take 5 ms for each child. So one thread leaves the
table of the others (close_range(2) with CLOSE_RANGE_UNSHARE), and starts the children one by one.
It gets copies of what a child needs over a socket pair (SCM_RIGHTS), and closes them afterwards.

- The thread lives as long as the process. So ``__WNOTHREAD`` of waitid(2) tells its children from
  orphans that come to the first thread. Its nice value and its affinity are those of the process
  when it began: a later renice(1) of the daemon is not for new children.
- A signal may be delivered to any thread. Python's handler then writes to the descriptor that wakes
  the event loop, by its number. So that is open in the thread's table, too, with the same number.
  That is a low one, which is taken early: a fork copies the table up to its highest number.
- Copies of the journal are closed in the thread's table only. SQLite would lose its locks if one
  were closed in that of the others. The locks of the journal go along with each child, because they
  have to outlive the way from fork to exec.
- No garbage is collected while the thread works. A socket that it collects would stay open in the
  table of the others, or close a copy. A job may not let go of others' objects either. Popen lets
  go of each former one that was dropped without a wait, with its pipes. So there may be none.

Linux has that since 5.9, and the C library of GNU since 2.34. A filter of system calls may refuse
it, and the limit of open files may be too low for it. Without it, children start in the caller's
thread, with copies of all.
"""

import array
import contextlib
import ctypes
import errno
import fcntl
import gc
import itertools
import os
import queue
import resource
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol, Self, TypeVar

_T = TypeVar("_T")
_Pair = tuple[socket.socket, socket.socket]

_UNSHARE: Final = 2  # CLOSE_RANGE_UNSHARE of <linux/close_range.h>
_LAST: Final = 0xFFFFFFFF  # of all numbers
_PASSING: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
_MOST: Final = 50  # descriptors for one child
_FIRST: Final = 64  # the least number of a copy: scripts use the lowest ones for themselves
_SERIAL: Final = struct.Struct("Q")
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Start(Protocol):
    """The start of one child: first the descriptors that it needs, then the child."""

    def copy(self, descriptor: int) -> int:
        """Give it a copy until its exec; the number of that. Raises OSError."""

    def inherit(self, descriptor: int) -> int:
        """Give its program a copy; the number of that. Raises OSError."""

    def begin(self, job: Callable[[], _T]) -> _T:
        """Call this to begin the child; its answer. Raises OSError, and what it raises.

        It may use these numbers only, and has to close all that it opens.
        """


class StartThread:
    """Starts children, one at a time. The first start begins the thread.

    ``locks`` gives the locks that a child needs until its exec. Without ``own``, children start in
    the caller's thread.
    """

    def __init__(self, *, own: bool = False) -> None:
        self.locks: Callable[[], Iterable[int]] = tuple
        self._one = threading.Lock()
        self._own = own and hasattr(_libc, "close_range")
        self._worker: _Worker | None = None
        self._pair: _Pair | None = None
        self._wakeup = -1
        if self._own:  # early in the life of a daemon, the numbers are low
            self._pair = socket.socketpair()
            self._wakeup = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close what it has open. It starts no child any more, and no event loop runs."""
        self._own = False
        self._close_pair()
        if self._wakeup >= 0:
            os.close(self._wakeup)
            self._wakeup = -1

    def note_wakeup(self) -> None:
        """Have signals wake the event loop, which this thread runs, by the low number.

        Call it before the first start. Raises OSError.
        """
        if self._own:
            usual = signal.set_wakeup_fd(-1)
            os.dup2(usual, self._wakeup, inheritable=False)
            # A signal in between sets Python's own flag, and the loop does not wait now.
            signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)

    @contextlib.contextmanager
    def start(self) -> Iterator[Start]:
        """The start of one child. Raises OSError."""
        with self._one:
            worker = self._working()
            with _SharedTable() if worker is None else _OwnTable(worker, self.locks) as start:
                yield start

    def _working(self) -> "_Worker | None":
        """The thread; None where there is none. Raises OSError."""
        if self._worker is None and self._own:
            if self._pair is None:
                self._pair = socket.socketpair()
            worker = _Worker(*self._pair, self._wakeup)
            if not worker.fits:
                return None
            try:
                worker.begin()
                self._worker = worker
            except _NoTable:
                self._own = False
                self._close_pair()
            except OSError:
                self._close_pair()  # with what was given to it
                with contextlib.suppress(OSError):  # else at the next start
                    self._pair = socket.socketpair()  # of low numbers, which are free now
                raise
        return self._worker

    def _close_pair(self) -> None:
        pair, self._pair = self._pair, None
        for end in pair or ():
            end.close()


class _Copies:
    """Copies for a child, made at once: the event loop may close what they are copies of."""

    def __init__(self) -> None:
        self.copies: list[int] = []
        self.inherited: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for number in self.copies:
            with contextlib.suppress(OSError):  # a log's disk may tell of former lines
                os.close(number)

    def copy(self, descriptor: int) -> int:
        self.copies.append(os.dup(descriptor))
        return self._number()

    def inherit(self, descriptor: int) -> int:
        self.inherited.append(self.copy(descriptor))
        return self.inherited[-1]

    def _number(self) -> int:
        """The number of the last copy in the child."""
        return self.copies[-1]


class _SharedTable(_Copies):
    """A start in the caller's thread, with the descriptors of all."""

    def begin(self, job: Callable[[], _T]) -> _T:
        try:
            for number in self.inherited:
                os.set_inheritable(number, True)
            return job()
        finally:
            for number in self.inherited:
                os.set_inheritable(number, False)


class _OwnTable(_Copies):
    """A start in the thread, which has copies of the copies, with other numbers."""

    def __init__(self, worker: "_Worker", locks: Callable[[], Iterable[int]]) -> None:
        super().__init__()
        self._worker = worker
        self._locks = locks

    def _number(self) -> int:
        return self._worker.first + len(self.copies) - 1

    def begin(self, job: Callable[[], _T]) -> _T:
        try:
            return self._begin(job)
        except _Replaced:
            return self._begin(job)

    def _begin(self, job: Callable[[], _T]) -> _T:
        given = [*self.copies, *self._locks()]
        return self._worker.call(given, self.inherited, job)


class _Replaced(OSError):
    """A lock was closed before it could be given, as there is another one now."""


class _NoTable(Exception):
    """The machine refuses a table of its own to the thread."""


class _Worker:
    """The thread. ``ours`` and ``its`` are the ends of a socket pair.

    ``wakeup`` is the descriptor that wakes the event loop.
    """

    def __init__(self, ours: socket.socket, its: socket.socket, wakeup: int) -> None:
        self._ours = ours
        self._its = its
        self._wakeup = wakeup
        self._kept = sorted((0, 1, 2, its.fileno(), wakeup))  # numbers of its table
        self.first = max(_FIRST, self._kept[-1] + 1)  # of the copies
        self._serials = itertools.count()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    @property
    def fits(self) -> bool:
        """Whether as many files may be open as its highest number."""
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return most == resource.RLIM_INFINITY or self.first + _MOST <= most

    def begin(self) -> None:
        """Begin the thread. Raises _NoTable, OSError."""
        serial = self._give([self._wakeup])
        job = _Job(lambda: self._leave_table(serial))
        thread = threading.Thread(target=self._serve, args=(job,), name="starts", daemon=True)
        self._wait(job, thread.start)

    def call(self, given: list[int], inherited: list[int], job: Callable[[], _T]) -> _T:
        """Call in the thread, where what is given has the numbers from ``first`` on.

        Raises OSError, one of which is _Replaced, and what the job raises.
        """
        serial, count = self._give(given), len(given)
        its = _Job(lambda: self._with_copies(serial, count, inherited, job))
        answer: _T = self._wait(its, lambda: self._jobs.put(its))
        return answer

    def _give(self, descriptors: list[int]) -> int:
        """Send copies of these; the number of the message. Raises OSError, as ``call``."""
        if len(descriptors) > _MOST:
            raise _failure(errno.EMFILE)
        serial = next(self._serials)
        try:
            with _too_many(errno.ETOOMANYREFS):  # too many are on their way
                socket.send_fds(self._ours, [_SERIAL.pack(serial)], descriptors)
        except OSError as error:
            if error.errno == errno.EBADF:
                raise _failure(errno.EAGAIN, _Replaced) from None
            raise
        return serial

    def _wait(self, job: "_Job", begin: Callable[[], None]) -> Any:
        """The answer of a job of the thread, which this begins. Raises what it raises."""
        collects = gc.isenabled()
        gc.disable()
        try:
            begin()
            job.is_over.acquire()
        except RuntimeError:  # there can be no more threads
            raise _failure(errno.EAGAIN) from None
        finally:
            if collects:
                gc.enable()
        return job.result()

    # In the thread

    def _serve(self, first: "_Job") -> None:
        goes_on = first.do()
        del first
        while goes_on:
            self._jobs.get().do()

    def _leave_table(self, serial: int) -> None:
        # Its table lacks the descriptor for signals for a moment.
        mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            self._unshare()
            [number] = self._received(serial, 1)
            if number != self._wakeup:
                os.dup2(number, self._wakeup, inheritable=False)
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            for number in range(3):
                os.dup2(null, number)
            self._close_others()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _unshare(self) -> None:
        try:
            _close_range(self._its.fileno() + 1, _LAST, _UNSHARE)
        except OSError as refused:
            if refused.errno in _PASSING:
                raise
            raise _NoTable from None

    def _with_copies(
        self, serial: int, count: int, inherited: list[int], job: Callable[[], _T]
    ) -> _T:
        try:
            for number, descriptor in enumerate(self._received(serial, count), self.first):
                kind = fcntl.F_DUPFD if number in inherited else fcntl.F_DUPFD_CLOEXEC
                with _too_many(errno.EINVAL):  # above the limit of open files
                    fcntl.fcntl(descriptor, kind, number)
            return job()
        finally:
            self._close_others()

    def _received(self, serial: int, count: int) -> "array.array[int]":
        """So many descriptors of a message, all of which close on exec. Raises OSError."""
        while True:
            received = array.array("i")
            # ``socket.recv_fds`` of Python 3.11 ignores the flag.
            room = socket.CMSG_LEN(_MOST * received.itemsize)
            said, more, _, _ = self._its.recvmsg(_SERIAL.size, room, socket.MSG_CMSG_CLOEXEC)
            for _, _, data in more:
                received.frombytes(data)
            if _SERIAL.unpack(said) != (serial,):
                self._close_others()  # of a start that was given up
            elif len(received) == count:
                return received
            else:
                raise _failure(errno.EMFILE)

    def _close_others(self) -> None:
        """Close all but what its table keeps."""
        for kept, following in itertools.pairwise([*self._kept, _LAST + 1]):
            if kept + 1 < following:
                _close_range(kept + 1, following - 1)


def _failure(number: int, kind: type[OSError] = OSError) -> OSError:
    """The error with this number, as the kernel's library words it."""
    return kind(number, os.strerror(number))


def _close_range(first: int, last: int, flags: int = 0) -> None:
    """Close these numbers in the thread's table. Raises OSError."""
    if _libc.close_range(ctypes.c_uint(first), ctypes.c_uint(last), flags):
        raise _failure(ctypes.get_errno())


@contextlib.contextmanager
def _too_many(error: int) -> Iterator[None]:
    """Take this error for EMFILE, which passes."""
    try:
        yield
    except OSError as refused:
        if refused.errno != error:
            raise
        raise _failure(errno.EMFILE) from None


class _Job:
    """A call for the thread. Its caller takes the answer out, and lets go of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.is_over = threading.Lock()
        self.is_over.acquire()
        self._call: Callable[[], Any] | None = call
        self._answer: Any = None
        self._error: BaseException | None = None

    def do(self) -> bool:
        """Call, in the thread; whether nothing was raised."""
        assert self._call is not None
        try:
            self._answer = self._call()
        except BaseException as error:
            self._error = error
        good = self._error is None
        self.is_over.release()
        return good

    def result(self) -> Any:
        """The answer. Raises what the call raised."""
        answer, error = self._answer, self._error
        self._call = self._answer = self._error = None
        if error is None:
            return answer
        try:
            raise error
        finally:
            del error  # otherwise error, traceback and this frame are a cycle
