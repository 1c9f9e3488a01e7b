"""Signals that the keeper hands on, without a keeper."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from emperord.daemon.keeper.handed_on import HandedOn

NOTES = """
import signal
signals = {signal.SIGHUP, signal.SIGURG, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
while True:
    print(int(signal.sigwait(signals)), flush=True)
"""


@pytest.fixture
def daemon() -> Iterator[subprocess.Popen[str]]:
    """A process that prints the number of each signal that it gets."""
    argv = [sys.executable, "-c", NOTES]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert said(process) == "ready"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_signals_that_are_held_are_for_the_next_daemon(daemon: subprocess.Popen[str]) -> None:
    handed = HandedOn({signal.SIGHUP, signal.SIGURG})
    handed.waiting.append(signal.SIGHUP)
    handed.hold([])
    handed.send(daemon.pid)
    handed.hold([signal.SIGKILL, signal.SIGURG])  # one of these can come from no keeper
    handed.send(daemon.pid)
    assert handed.waiting == [signal.SIGURG, signal.SIGHUP]
    handed.daemon_ended(None)
    handed.send(daemon.pid)
    told = {said(daemon), said(daemon)}
    assert told == {str(int(signal.SIGURG)), str(int(signal.SIGHUP))}
    assert handed.waiting == []


def test_a_stop_takes_the_place_of_what_waits() -> None:
    handed = HandedOn({signal.SIGHUP})
    handed.hold([signal.SIGHUP])
    handed.daemon_ended(signal.SIGTERM)
    assert handed.waiting == [signal.SIGTERM]
