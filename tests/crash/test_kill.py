"""Kill the daemon at random moments, over and over, while its files change.

Afterwards, and each time it is back, the record is whole, the fleet equals the files, and no
vassal ran twice at any moment. The seed of a failing run is printed; it gives the same changes
and the same plan of kills, though not the same microseconds.
"""

import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from emperord.daemon.core.fleet import UP
from support.effort import examples

from . import record, world
from .churn import Churn
from .kingdom import Kingdom, wait_until_equal
from .running import Daemon, Ears, ears, until

KILLS: Final = examples(12)
OPTIONS: Final = ("--freq", "0.5", "--throttle", "200", "--max-throttle", "400", "--mercy", "0.5")
STEADY: Final = ("sleeper-steady.ini", "family-steady.ini")


@pytest.fixture
def tag() -> Iterator[str]:
    """Marks the processes of this test; none of them is left behind."""
    name = uuid.uuid4().hex
    yield name
    world.kill_all(name)


class Realm(Kingdom):
    """A kingdom, and the daemons that come after each other in it."""

    def __init__(self, root: Path, tag: str, hearing: Ears) -> None:
        super().__init__(root / "vassals", root / "journal.db", tag)
        self.files.mkdir()
        self._hearing = hearing
        self._log = root / "daemon.log"

    def start(self) -> Daemon:
        return Daemon(
            self.files, self.journal, self._hearing, self._log, OPTIONS, {world.TAG: self.tag}
        )

    def check_log(self) -> None:
        text = self._log.read_text()
        assert "Traceback" not in text, text[text.index("Traceback") :][:5000]


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


@pytest.mark.search
def test_killed_over_and_over_it_always_comes_back_as_it_was(tmp_path: Path, tag: str) -> None:
    seed = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"CRASH_SEED={seed}")
    chance = random.Random(seed)
    with ears(tmp_path / "notify") as hearing:
        kingdom = Realm(tmp_path, tag, hearing)
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
