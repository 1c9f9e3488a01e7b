"""Signals that arrive while the daemon leaves: its exit code stays what it was."""

import subprocess
import sys

SCRIPT = """
import signal
import trio
import trio.testing
from emperord.daemon.main import signals_to_the_end

async def leave():
    with signals_to_the_end(signal.SIGTERM, signal.SIGHUP):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        await trio.testing.wait_all_tasks_blocked()  # they have come, and are not taken
    signal.raise_signal(signal.SIGTERM)

trio.run(leave)
"""


def test_a_signal_that_is_not_taken_any_more_ends_nothing() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], timeout=60, check=False)
    assert done.returncode == 0
