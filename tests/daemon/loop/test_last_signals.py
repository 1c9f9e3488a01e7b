"""Signals that arrive while the daemon leaves: its exit code stays what it was."""

import signal
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


GIVEN_BACK = """
import signal
import socket
import threading
import trio
import trio.testing
from emperord.daemon.keeper import protocol
from emperord.daemon.keeper.link import KeeperLink
from emperord.daemon.loop.last_signals import LastSignals
from emperord.daemon.loop.signals import Signals
from emperord.daemon.loop.systemd import Notifier

last = LastSignals()
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
keeper = KeeperLink(theirs)

class Daemon:
    paused, keeper_lives = None, True

async def tell(effect):
    if signals.unrecorded == [signal.SIGURG]:
        await trio.sleep_forever()  # the loop ends before it is recorded

signals = Signals(Daemon(), last.receive, Notifier(), tell, None)

async def leave():
    async with trio.open_nursery() as nursery:
        await nursery.start(signals.run, nursery)
        for number in (signal.SIGHUP, signal.SIGURG):
            signal.raise_signal(number)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    signal.raise_signal(signal.SIGUSR1)

def say():
    for number in (signal.SIGUSR2, None):
        packet = protocol.decode(ours.recv(65536))
        print(*packet["signals"])
        if number:
            signal.raise_signal(number)  # handed on before it was told to hold them
        ours.send(b'{"say": "held"}')

ours.send(b'{"say": "all", "version": 4}')
keeper.receive_all()
trio.run(leave)
threading.Thread(target=say).start()
last.hand_back(keeper, signals.unrecorded)
"""


def test_signals_without_an_effect_are_given_back_to_the_keeper() -> None:
    """Those that have one are not: a reload would be done twice."""
    numbers = (signal.SIGURG, signal.SIGUSR1, signal.SIGUSR2)
    assert run(GIVEN_BACK).split() == [str(int(number)) for number in numbers]
