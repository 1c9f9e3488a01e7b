"""Vassals that were adopted after keeper and daemon had died: the new keeper knows them as well."""

import os
import signal
import time
from pathlib import Path

import pytest
from support import processes
from support.estranged import decide, kill_both, remove
from support.kept import Emperor
from support.vassals import SLEEPER, shell
from support.waiting import until

from ..conftest import MakeEmperor

# It ends of its own stop signal only, and leaves a note.
NOTED = "trap 'echo told >> note; exit 0' USR1; trap '' TERM HUP; while :; do sleep 0.1; done"

FAILURE = "the daemon ended with code 2"


class Adopted:
    """An emperor with one program; if it ``dies``, the next one has adopted it without sockets."""

    def __init__(self, emperor: Emperor, config: str, *, dies: bool = True) -> None:
        self.emperor = emperor
        self.options = emperor.folder / "options.yml"
        self.options.write_text("freq: 0.2\n")
        emperor.options += ["--config", str(self.options)]
        (emperor.vassals / "plain.ini").write_text(config)
        emperor.start()
        emperor.up("plain.ini")
        self.vassal = emperor.pid_of("plain.ini")
        if not dies:
            return
        self.die()
        emperor.start()
        assert not emperor.event("adopted", "plain.ini").body.get("control")
        assert emperor.pid_of("plain.ini") == self.vassal

    def die(self) -> None:
        """Keeper and daemon die."""
        pids = [self.emperor.pid, *self.emperor.daemons()]
        for pid in pids:
            processes.kill(pid)
        self.emperor.kill()
        until(lambda: not any(map(processes.alive, pids)), "both are dead")

    def fail(self) -> None:
        """The daemon dies, and no other can start."""
        self.options.write_text("nonsense: 1\n")
        self.emperor.kill_daemon()
        self.emperor.until(lambda: FAILURE in self.emperor.log(), "it fails")


def tell_twice(emperor: Emperor) -> None:
    """Tell the keeper to stop, and to try no longer."""
    began, failures = time.monotonic(), emperor.log().count(FAILURE)
    emperor.send(signal.SIGTERM)

    def can_be_told_again() -> bool:
        tried = emperor.log().count(FAILURE) > failures
        return tried and time.monotonic() - began > 1.1

    emperor.until(can_be_told_again, "a second signal is another request")
    emperor.send(signal.SIGTERM)
    assert emperor.wait() == 3


@pytest.fixture
def adopted(emperor: Emperor) -> Adopted:
    return Adopted(emperor, SLEEPER)


def test_the_keeper_tries_on_for_them(adopted: Adopted) -> None:
    adopted.fail()
    seq = adopted.emperor.last_seq()
    adopted.options.write_text("freq: 0.2\n")
    adopted.emperor.next_ready(seq)
    assert adopted.emperor.pid_of("plain.ini") == adopted.vassal
    adopted.emperor.stop()


@pytest.mark.parametrize("restarts", [0, 2], ids=["at once", "after other daemons"])
def test_they_are_ended_where_no_daemon_can(emperor: Emperor, restarts: int) -> None:
    adopted = Adopted(emperor, shell(NOTED, stop_signal="USR1"))
    for _ in range(restarts):
        emperor.restart()
    adopted.fail()
    tell_twice(emperor)
    assert "the keeper ends 1 vassals itself" in emperor.log()
    assert (emperor.vassals / "note").read_text() == "told\n"
    assert emperor.running() == []


def test_a_program_whose_spec_is_too_long_for_the_keeper(emperor: Emperor) -> None:
    """It was started by the daemon that died; the keeper knows its stop signal all the same."""
    long = Adopted(emperor, shell(f"{NOTED}; : {'x' * 20_000}", stop_signal="USR1"), dies=False)
    long.fail()
    tell_twice(emperor)
    assert (emperor.vassals / "note").read_text() == "told\n"
    assert emperor.running() == []


def test_one_that_has_ended_is_forgotten(adopted: Adopted) -> None:
    """Its pid may be another process's by then."""
    emperor = adopted.emperor
    (emperor.vassals / "plain.ini").unlink()
    emperor.gone("plain.ini")
    adopted.options.write_text("nonsense: 1\n")
    emperor.kill_daemon()
    assert emperor.wait() == 2


def test_a_successor_gets_to_know_them(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    """Its keeper takes over from a daemon that lost its own."""
    emperor = make_emperor()
    adopted = Adopted(emperor, SLEEPER)
    (old,) = emperor.daemons()
    emperor.kill()
    seq = emperor.last_seq()
    emperor.launch()
    emperor.event("daemon_ready", after=seq)
    until(lambda: not processes.alive(old), "the old daemon leaves")
    adopted.fail()
    assert emperor.insist() == 3
    assert emperor.running() == []


def test_one_that_was_taken_over_is_known_under_its_new_attempt(
    adopted: Adopted, tmp_path: Path
) -> None:
    """The journal is lost: the keeper has no sockets of it, but knows what it runs."""
    emperor = adopted.emperor
    remove(emperor, tmp_path)
    os.kill(emperor.daemon_pid(), signal.SIGKILL)
    emperor.until(lambda: "emperor: estranged: " in emperor.log(), "it is estranged")
    decide(emperor, "adopt")
    spawned = emperor.event("spawned", "plain.ini").body
    assert (spawned["pid"], spawned.get("control", False)) == (adopted.vassal, False)
    assert spawned["runs"]["settings"]["command"] == "sleep 1000"
    adopted.fail()
    assert emperor.insist() == 3
    assert emperor.running() == []


def test_one_that_no_source_has_is_known_still(adopted: Adopted, tmp_path: Path) -> None:
    emperor = adopted.emperor
    remove(emperor, tmp_path)
    os.kill(emperor.daemon_pid(), signal.SIGKILL)
    emperor.until(lambda: "emperor: estranged: " in emperor.log(), "it is estranged")
    (emperor.vassals / "plain.ini").rename(tmp_path / "plain.ini")
    decide(emperor, "adopt")
    emperor.restart()
    (tmp_path / "plain.ini").rename(emperor.vassals / "plain.ini")
    spawned = emperor.event("spawned", "plain.ini").body
    assert (spawned["pid"], spawned["runs"]["settings"]["command"]) == (
        adopted.vassal,
        "sleep 1000",
    )
    emperor.stop()


def test_they_are_found_again_where_nothing_knew_them(emperor: Emperor, tmp_path: Path) -> None:
    """Keeper, daemon and journal are lost: taken over by the mark, it is entrusted as well."""
    adopted = Adopted(emperor, SLEEPER)
    kill_both(emperor, tmp_path)
    emperor.launch()
    emperor.until(lambda: "emperor: estranged: " in emperor.log(), "it is estranged")
    decide(emperor, "adopt")
    assert emperor.event("spawned", "plain.ini").body["pid"] == adopted.vassal
    adopted.fail()
    assert emperor.insist() == 3
    assert emperor.running() == []
