"""^C: the commands end by its signal, as a shell expects, with a word about what goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.followers import Follower
from support.kept import Emperor
from support.vassals import SLEEPER, shell
from support.waiting import until

from ..conftest import QUICK

# It runs on for a minute after the request to stop.
DEAF = shell("trap '' TERM; echo deaf; while :; do sleep 0.1; done")
# ^C comes when a text is in the buffer, so as if it came between a write and the note of it.
BUFFERED = """
import click
from emperord.daemon.cli import commandline

@click.command()
def command():
    print("told")
    raise KeyboardInterrupt

commandline.run(command, "test")
"""
# ^C comes while a module is imported.
EARLY = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from emperord import __main__
getattr(__main__, sys.argv[2])()
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emperor]:
    folder = tmp_path_factory.mktemp("interrupts")
    with Emperor(folder, *QUICK, "--mercy", "300") as emperor:
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        for name in ("deaf-1.ini", "deaf-2.ini"):
            (emperor.vassals / name).write_text(DEAF)
        emperor.start()
        emperor.up("a.ini", "deaf-1.ini", "deaf-2.ini")
        for name in ("deaf-1.ini", "deaf-2.ini"):
            log = emperor.journal.with_name(f"{emperor.journal.name}.logs") / f"{name}.log"
            until(log.read_text, f"{name} ignores the signal")
        yield emperor


def has_socket(pid: int) -> bool:
    """Whether a process has a socket. The output of these is a pipe."""
    folder = f"/proc/{pid}/fd"
    with suppress(FileNotFoundError):
        return any(os.readlink(f"{folder}/{each}")[:6] == "socket" for each in os.listdir(folder))
    return False


@pytest.mark.parametrize(
    "words",
    [("wait", "a.ini", "--for", "gone"), ("top", "-d", "60s"), ("status",)],
    ids=" ".join,
)
def test_a_command_that_waits_ends_by_the_signal(fleet: Emperor, words: tuple[str, ...]) -> None:
    os.kill(fleet.daemon_pid(), signal.SIGSTOP)
    try:
        with Follower(fleet, *words) as follower:
            until(lambda: has_socket(follower.process.pid), "it has asked the daemon")
            code, out, errors = follower.interrupted()
    finally:
        os.kill(fleet.daemon_pid(), signal.SIGCONT)
    assert (code, out, errors.strip()) == (-signal.SIGINT, b"", b"")


def test_a_change_that_is_recorded_goes_on(fleet: Emperor) -> None:
    with Follower(fleet, "stop", "deaf-*", "a.ini") as follower:
        follower.until(b"a.ini: now held\n")
        code, out, errors = follower.interrupted()
    assert (code, out) == (-signal.SIGINT, b"")
    assert errors.strip() == (
        b"emperor-ctl: deaf-1.ini, deaf-2.ini: stop is recorded, so it goes on"
    )


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("emperord.daemon.ctl", "ctl"),
        ("emperord.daemon.client.orders", "ctl"),
        ("emperord.replay.main", "replay"),
    ],
)
def test_it_comes_while_a_module_is_imported(module: str, command: str) -> None:
    argv = [sys.executable, "-c", EARLY, module, command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_nothing_is_written_twice() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUFFERED], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (-signal.SIGINT, "", "")
