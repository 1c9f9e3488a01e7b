"""Signals that arrive while the daemon leaves: its exit code stays what it was."""

import subprocess
import sys

SCRIPT = """
import signal
import trio
import trio.testing
from emperord.daemon.loop.last_signals import LastSignals

last = LastSignals()

async def leave():
    with last.receive(signal.SIGTERM, signal.SIGHUP) as received:
        signal.raise_signal(signal.SIGTERM)
        assert await anext(received) == signal.SIGTERM
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        await trio.testing.wait_all_tasks_blocked()  # they have come, and are not taken
    signal.raise_signal(signal.SIGTERM)

trio.run(leave)
"""
ENDS = """
with last:
    assert sorted(last.untaken) == [signal.SIGHUP, signal.SIGTERM, signal.SIGTERM], last.untaken
signal.raise_signal(signal.SIGTERM)
"""
STARTS = """
import subprocess
subprocess.run(["grep", "SigIgn", "/proc/self/status"], check=True)
"""


def run(script: str) -> str:
    """The output of a script."""
    argv = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(argv, timeout=60, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_a_signal_that_is_not_taken_any_more_ends_nothing() -> None:
    assert run(SCRIPT + ENDS) == ""


def test_a_child_that_is_started_meanwhile_ignores_no_signal() -> None:
    """A vassal whose spawn is under way then would ignore TERM as long as it runs."""
    assert run(SCRIPT + STARTS) == run(STARTS)
