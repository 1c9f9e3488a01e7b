"""A tenant that rewrites its files, or whose processes die without end, fills no disk."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from emperord.replay import verify
from support.daemon import Daemon
from support.tyrant import BOB, BOBS, TyrantDaemon, common_ground

TEXT = 100_000  # bytes
FILES = 40
BUDGET = 1 << 20


@pytest.fixture
def daemon() -> Iterator[TyrantDaemon]:
    """A daemon in tyrant mode, each of whose users may have a MiB recorded at once."""
    with common_ground() as folder, TyrantDaemon(folder, "--tyrant") as daemon:
        daemon.options += ["--record-budget", "1M", "--freq", "200ms", "--throttle", "1ms"]
        yield daemon


def text(mark: str) -> str:
    return f"[emperor]\ncommand = /bin/sleep 10000\n; {mark}\n;{'x' * TEXT}\n"


def stored(daemon: TyrantDaemon) -> int:
    """The bytes of all config texts."""
    uri = f"file:{daemon.journal}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as journal:
        (row,) = journal.execute("SELECT coalesce(sum(length(content)), 0) FROM config")
        return int(row[0])


def test_rewriting_many_files_stores_no_more_texts_than_the_budget(daemon: TyrantDaemon) -> None:
    for number in range(FILES):
        daemon.put(f"a{number}.ini", text(f"{number} first"))
    daemon.put("b.ini", text("b"), BOB, BOBS)
    daemon.start()
    daemon.until(lambda: len(daemon.fleet().vassals) == FILES + 1, "the first listing is taken")
    before = stored(daemon)
    for turn in range(2):
        after = daemon.last_seq()
        for number in range(FILES):
            daemon.put(f"a{number}.ini", text(f"{number} {turn}"))
        for number in range(FILES):
            daemon.event("vassal_changed", f"a{number}.ini", after=after)
    assert BUDGET - TEXT < stored(daemon) - before < BUDGET + 2 * TEXT
    after = daemon.last_seq()
    daemon.put("b.ini", text("another"), BOB, BOBS)
    assert "over_budget" not in daemon.event("vassal_changed", "b.ini", after=after).body
    assert daemon.log().count("uid 61001: more is recorded") == 1
    attention = status(daemon)["attention"]
    (entry,) = [each for each in attention if each["what"] == "over budget"]
    assert entry["reason"].startswith("uid 61001: ")
    daemon.stop()
    assert verify.verify(str(daemon.journal)).exit_code == 0


def test_deaths_in_a_loop_leave_no_last_lines_above_the_budget(daemon: TyrantDaemon) -> None:
    loud = "[emperor]\ncommand = /bin/sh -c 'head -c 2000 /dev/zero | tr \\\\0 x; exit 1'\n"
    daemon.options += ["--record-budget", "20K", "--max-throttle", "60s"]
    for number in range(6):
        daemon.put(f"a{number}.ini", loud)
    daemon.start()
    daemon.until(lambda: all_wait(daemon), "all wait for the longest throttle")
    deaths = daemon.events("exited")
    lines = [len(death.body.get("log", "")) for death in deaths]
    assert 3 <= len([length for length in lines if length]) <= 5
    assert [death.body.get("over_budget", False) for death in deaths] == [
        not each for each in lines
    ]
    assert len(deaths) <= 12
    daemon.put("b.ini", loud, BOB, BOBS)
    assert len(daemon.event("exited", "b.ini").body["log"]) == 2000
    daemon.stop()


def all_wait(daemon: TyrantDaemon) -> bool:
    """Whether all vassals wait for almost a minute."""
    vassals = daemon.fleet().vassals.values()
    longest = [v for v in vassals if v.deadline is not None and v.deadline - v.since > 50 * 10**9]
    return len(longest) == 6


def status(daemon: Daemon) -> dict[str, Any]:
    """The JSON of ``emperor-ctl status``."""
    control = f"{daemon.journal}.sock"
    words = [sys.executable, "-P", "-m", "emperord.daemon.ctl", "--control", control]
    asked = subprocess.run([*words, "status", "--json"], capture_output=True, check=False)
    told: dict[str, Any] = json.loads(asked.stdout)
    return told
