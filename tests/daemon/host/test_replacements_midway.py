"""The table "What happens midway" of docs/deploys.md, with real processes.

``tests/fold/test_replacing_page.py`` compares it with the fold.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.daemon.core.candidate import Candidate
from support import clients, processes
from support.answering import tcp
from support.kept import Emperor

from ..conftest import MakeEmperor
from .test_replacements import known, server

NAME = "a.ini"
NEVER = "1h"  # within a test


class Midway:
    """A vassal whose new instance, ``new``, is beside the old one. ``seq`` is the last event."""

    def __init__(self, emperor: Emperor, folder: Path, *, settles: bool) -> None:
        self.emperor, self.folder = emperor, folder
        self.address, self.settles = tcp(), settles
        self.gate = folder / "gate"
        self.put("one", settle="100ms")
        emperor.start()
        self.old = emperor.phase(NAME, "accepting").pid or 0
        if settles:
            self.gate.touch()
        ready = f"exec:test -e {self.gate}"
        self.seq = self.put("two", settle=NEVER if settles else "100ms", ready=ready)
        phase = "settling" if settles else "starting"
        self.new = emperor.until(lambda: self.second(phase), f"it is {phase}").pid or 0

    def put(self, answer: str, settle: str, **settings: str) -> int:
        seq = self.emperor.last_seq()
        settings = {"stop_timeout": "5s", "ready": "100ms", **settings}
        self.emperor.put(
            NAME, server(self.folder, answer, self.address, replace_settle=settle, **settings)
        )
        return seq

    def second(self, phase: str | None = None) -> Candidate | None:
        """The second attempt, if it has a process and is in this phase."""
        second = known(self.emperor, NAME).candidate
        if second is None or second.pid is None or phase not in (None, second.phase):
            return None
        return second

    def says(self) -> str:
        return str(clients.ask(self.address))

    def lives(self) -> tuple[bool, bool]:
        """Whether the old one and the new one do."""
        return processes.alive(self.old), processes.alive(self.new)

    def alone(self) -> None:
        """Wait until there is one instance."""
        self.emperor.until(lambda: known(self.emperor, NAME).candidate is None, "one is left")

    def let_settle(self) -> None:
        """The new one takes over, where that can be waited for."""
        self.gate.touch()
        if not self.settles:
            self.emperor.until(lambda: known(self.emperor, NAME).pid == self.new, "it takes over")
            self.alone()
            assert self.says() == "two"


def another_change(site: Midway) -> None:
    site.put("three", settle="100ms")
    site.emperor.until(lambda: site.lives() == (False, False), "both have been replaced")
    site.alone()
    assert site.says() == "three"


def a_removal(site: Midway) -> None:
    (site.emperor.vassals / NAME).unlink()
    site.emperor.gone(NAME)
    assert site.lives() == (False, False)
    site.emperor.until(lambda: not clients.listened_at(site.address), "the socket is closed")


def a_stop(site: Midway) -> None:
    assert site.emperor.ctl("stop", NAME).returncode == 0
    assert known(site.emperor, NAME).phase == "held"
    assert site.lives() == (False, False)


def a_restart(site: Midway) -> None:
    site.gate.touch()
    assert site.emperor.ctl("restart", NAME).returncode == 0
    site.alone()
    assert site.lives() == (False, False)
    assert site.says() == "two"


def a_death_of_the_old_one(site: Midway) -> None:
    processes.kill(site.old)
    again = site.emperor.event("spawned", NAME, after=site.emperor.event("exited", NAME).seq)
    assert known(site.emperor, NAME).pid == again.body["pid"] != site.new
    assert processes.alive(site.new)
    site.let_settle()


def a_death_of_the_new_one(site: Midway) -> None:
    processes.kill(site.new)
    site.emperor.event("exited", NAME, after=site.seq)
    vassal = known(site.emperor, NAME)
    assert (vassal.pid, vassal.candidate) == (site.old, None)
    assert vassal.refused is not None
    assert site.says() == "one"


def a_death_of_the_keeper(site: Midway) -> None:
    site.emperor.kill()
    site.emperor.event("keeper_lost", after=site.seq)
    assert site.lives() == (True, True)
    site.let_settle()
    os.kill(site.emperor.daemon_pid(), signal.SIGTERM)
    site.emperor.event("daemon_stopped", after=site.seq)


def an_upgrade(site: Midway) -> None:
    assert site.emperor.ctl("upgrade").returncode == 0
    site.emperor.event("daemon_ready", after=site.seq)
    assert site.lives() == (True, True)
    assert known(site.emperor, NAME).pid == site.old
    site.let_settle()


def a_death_of_both(site: Midway) -> None:
    """Neither daemon nor keeper: the next daemon finds both, and the sockets are opened anew."""
    daemon = site.emperor.daemon_pid()
    site.emperor.kill()
    processes.kill(daemon)
    site.emperor.start()
    assert known(site.emperor, NAME).refused is None
    site.gate.touch()
    if not site.settles:
        site.emperor.until(lambda: site.says() == "two", "the new one serves")


EVENTS: dict[str, Callable[[Midway], None]] = {
    "another change": another_change,
    "a removal": a_removal,
    "a stop": a_stop,
    "a restart": a_restart,
    "a death of the old one": a_death_of_the_old_one,
    "a death of the new one": a_death_of_the_new_one,
    "a death of the keeper": a_death_of_the_keeper,
    "a death of both": a_death_of_both,
    "an upgrade": an_upgrade,
}


@pytest.fixture(params=[False, True], ids=["starts", "settles"])
def site(request: pytest.FixtureRequest, make_emperor: MakeEmperor, tmp_path: Path) -> Midway:
    return Midway(make_emperor(), tmp_path, settles=request.param)


@pytest.mark.few(4)
@pytest.mark.parametrize("happens", EVENTS.values(), ids=EVENTS)
def test_midway(site: Midway, happens: Callable[[Midway], None]) -> None:
    happens(site)
    if site.emperor.process is not None:
        site.emperor.stop()


def test_a_reload_midway_is_carried_out_afterwards(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    site = Midway(make_emperor(), tmp_path, settles=False)
    assert site.emperor.ctl("reload", "--no-wait", NAME).returncode == 0
    assert site.lives() == (True, True)
    site.gate.touch()
    site.emperor.until(lambda: site.lives() == (False, False), "both have been replaced")
    site.alone()
    assert site.says() == "two"
    site.emperor.stop()


def test_a_stop_of_the_daemon_stops_both(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    site = Midway(make_emperor(), tmp_path, settles=True)
    site.emperor.stop()
    assert site.lives() == (False, False)
