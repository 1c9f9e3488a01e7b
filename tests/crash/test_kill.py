"""Kill the daemon at random moments, over and over, while its files change.

Afterwards, and each time it is back, the record is whole, the fleet equals the files, and no
vassal ran twice at any moment. The seed of a failing run is printed; it gives the same changes
and the same plan of kills, though not the same microseconds.
"""

import hashlib
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from emperord.daemon.fleet import UP, Fleet

from . import record, world
from .churn import ALWAYS_UP, NEVER_UP, Churn, command_of, kind_of
from .running import Daemon, Ears, ears, until

KILLS: Final = 55
OPTIONS: Final = ("--freq", "0.5", "--throttle", "200", "--max-throttle", "400", "--mercy", "0.5")
STEADY: Final = ("sleeper-steady.ini", "family-steady.ini")


@pytest.fixture
def tag() -> Iterator[str]:
    """Marks the processes of this test; none of them is left behind."""
    name = uuid.uuid4().hex
    yield name
    world.kill_all(name)


class Kingdom:
    """A directory, a journal, and the daemons that come after each other."""

    def __init__(self, root: Path, tag: str, hearing: Ears) -> None:
        self.files = root / "vassals"
        self.files.mkdir()
        self.journal = root / "journal.db"
        self.tag = tag
        self._hearing = hearing
        self._log = root / "daemon.log"

    def start(self) -> Daemon:
        return Daemon(
            self.files, self.journal, self._hearing, self._log, OPTIONS, {world.TAG: self.tag}
        )

    def check_log(self) -> None:
        text = self._log.read_text()
        assert "Traceback" not in text, text[text.index("Traceback") :][:5000]

    def leaders(self) -> dict[str, int]:
        return {p.vassal: p.pid for p in world.processes(self.tag) if p.leads}

    def unequal(self) -> list[str]:
        """What runs otherwise than the files ask for, at this moment."""
        wrong: list[str] = []
        running = world.by_vassal(world.processes(self.tag))
        files = {path.name: path.read_text() for path in self.files.glob("*.ini")}
        wrong += [f"{name} is not wanted and runs" for name in running if name not in files]
        for name, text in files.items():
            kind = kind_of(name)
            leaders = [process.pid for process in running.get(name, []) if process.leads]
            if kind in ALWAYS_UP and len(leaders) != 1:
                wrong.append(f"{name} has leaders {leaders}")
            elif kind in NEVER_UP and leaders:
                wrong.append(f"{name} cannot run and does: {leaders}")
            elif kind in ALWAYS_UP and kind != "uwsgi":
                line = world.command_line(leaders[0])
                if line != command_of(text):
                    wrong.append(f"{name} runs {line}")
        return wrong

    def unequal_fleet(self, fleet: Fleet) -> list[str]:
        """What the record says otherwise than the files."""
        wrong: list[str] = []
        files = {path.name: path.read_bytes() for path in self.files.glob("*.ini")}
        vassals = fleet.vassals
        if vassals.keys() != files.keys():
            wrong.append(f"known: {sorted(vassals)}, files: {sorted(files)}")
        for name in vassals.keys() & files.keys():
            vassal, kind = vassals[name], kind_of(name)
            if vassal.spec.config != hashlib.sha256(files[name]).hexdigest():
                wrong.append(f"{name}: another text is known")
            if kind in NEVER_UP and vassal.phase != "barred":
                wrong.append(f"{name}: {vassal.phase}, not barred")
            if kind in ALWAYS_UP and vassal.phase not in ("ready", "accepting"):
                wrong.append(f"{name}: {vassal.phase}")
            if kind in ALWAYS_UP and vassal.running != vassal.spec:
                wrong.append(f"{name}: runs what is no longer wanted")
        return wrong


def wait_until_equal(kingdom: Kingdom, what: str) -> None:
    """Until processes and record both are as the files; says what is not."""
    last: list[str] = []

    def equal() -> bool:
        last[:] = kingdom.unequal()
        if not last:
            last[:] = kingdom.unequal_fleet(record.refold(record.rows(kingdom.journal)))
        return not last

    try:
        until(equal, what)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from None


def kill_at_some_moment(chance: random.Random, daemon: Daemon, churn: Churn, tag: str) -> None:
    """Kill a daemon that was just started."""
    moment = chance.choice(("start", "ready", "ready", "change"))
    pause = chance.random() * 0.4
    if moment == "start":
        daemon.ready(pause)  # or not yet: both happen
    else:
        assert daemon.ready(), daemon.log()
        assert not (wrong := world.twice(tag)), wrong
        if moment == "change":
            churn.changed.clear()
            assert churn.changed.wait(10)
            pause /= 20
        daemon.linger(pause)
    daemon.kill()


def test_killed_over_and_over_it_always_comes_back_as_it_was(tmp_path: Path, tag: str) -> None:
    seed = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"CRASH_SEED={seed}")
    chance = random.Random(seed)
    with ears(tmp_path / "notify") as hearing:
        kingdom = Kingdom(tmp_path, tag, hearing)
        churn = Churn(kingdom.files, tmp_path, seed)
        for name in STEADY:
            (kingdom.files / name).write_text(churn.text(name))
        daemon = kingdom.start()
        until(lambda: not kingdom.unequal(), "the steady ones run")
        steady = kingdom.leaders()
        with world.Watchman(tag) as watchman:
            with churn:
                for _ in range(KILLS):
                    kill_at_some_moment(chance, daemon, churn, tag)
                    assert not watchman.wrong
                    daemon = kingdom.start()
            assert daemon.ready(), daemon.log()
            wait_until_equal(kingdom, "all is as the files say")
            at_the_end = kingdom.leaders()
            assert daemon.stop() == 0
        assert not watchman.wrong
        assert {name: at_the_end[name] for name in steady} == steady, "an untouched one restarted"
        assert world.processes(tag) == []
        found, fleet = record.check(kingdom.journal)
        verify = ["emperord.replay.main", "--journal", str(kingdom.journal), "verify"]
        subprocess.run([sys.executable, "-m", *verify], check=True)
        assert watchman.marks <= set(record.ordered_marks(found)), "one ran unrecorded"
        assert not [v.name for v in fleet.vassals.values() if v.phase in UP]
        kingdom.check_log()
        # The test itself must have had something to bite on.
        assert churn.done > KILLS
        assert watchman.looks > KILLS
        print(f"{churn.done} changes, {len(found)} events, {watchman.looks} looks")
