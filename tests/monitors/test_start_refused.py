"""Children where the thread that starts them can have no descriptor table of its own."""

import errno
import subprocess
import sys

import pytest

REFUSED = """
import ctypes, os, struct, sys, threading
from emperord.monitors.start_thread import StartThread
libc = ctypes.CDLL(None, use_errno=True)
def statement(code, true, false, value):
    return struct.pack("HBBI", code, true, false, value)
rules = b"".join([
    statement(0x20, 0, 0, 0),           # load the number of the system call
    statement(0x15, 0, 1, 436),         # close_range
    statement(0x06, 0, 0, 0x00050000 | int(sys.argv[1])),  # this error
    statement(0x06, 0, 0, 0x7fff0000),  # allow
])
buffer = ctypes.create_string_buffer(rules)
program = struct.pack("HxxxxxxQ", len(rules) // 8, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0
starts = StartThread(own=True)
before = set(os.listdir("/proc/self/fd"))
for _ in range(3):
    with starts.start() as start:
        start.inherit(0)
        print(start.begin(lambda: threading.current_thread() is threading.main_thread()))
print(len(before - set(os.listdir("/proc/self/fd"))), threading.active_count())
"""


@pytest.mark.parametrize("error", [errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP])
def test_a_filter_of_system_calls_that_refuses_is_lived_with(error: int) -> None:
    """Both ends of its socket pair are closed then."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REFUSED, str(error)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("True\nTrue\nTrue\n2 1\n", "")


FEW = """
import resource, subprocess, sys, threading
from functools import partial
from emperord.monitors.start_thread import StartThread
few = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))
starts = StartThread(own=True)
for _ in range(3):
    with starts.start() as start:
        start.inherit(0)
        child = start.begin(partial(subprocess.Popen, ["true"], close_fds=False))
        print(child.wait(), start.begin(threading.current_thread).name)
starts.close()
"""


@pytest.mark.parametrize("few", [20, 113, 114])
def test_children_start_where_few_files_may_be_open(few: int) -> None:
    """Numbers from 64 on may be more than there can be."""
    name = "starts" if few >= 64 + 50 else "MainThread"
    done = subprocess.run([sys.executable, "-c", FEW, str(few)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"0 {name}\n" * 3, "")
