"""Rollouts under a real daemon: ten programs of a directory, changed a few at a time."""

import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.journal.reading import open_journal
from support.asking import asked, refused
from support.kept import Emperor
from support.vassals import shell

from ..conftest import MakeEmperor

NAMES = [f"a{number}.ini" for number in range(10)]
SLEEP = "exec sleep 1000"


def write(emperor: Emperor, text: str) -> None:
    for name in NAMES:
        emperor.put(name, text)


def changing(emperor: Emperor) -> Iterator[tuple[Fleet, int]]:
    """The fleet after each event, and how many vassals are changing then."""
    fleet = Fleet()
    with open_journal(str(emperor.journal)) as reader:
        for event in reader.events():
            fold(fleet, event)
            yield fleet, sum(len(each.turning) for each in fleet.rollouts.values())


def under_way(emperor: Emperor) -> list[Any]:
    """The rollouts that have not closed, however they go."""
    return list(json.loads(emperor.ctl("rollout", "--no-wait", "--json").stdout)["rollouts"])


def outcomes(emperor: Emperor) -> dict[str, str]:
    """The outcome of the last deploy of each vassal, as the daemon stored it."""
    with contextlib.closing(sqlite3.connect(emperor.journal)) as journal:
        rows = journal.execute(
            "SELECT event.vassal, outcome FROM deploy JOIN event USING (seq) ORDER BY seq"
        )
        return dict(rows.fetchall())


def test_a_few_at_a_time_and_the_rest_is_held_back(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """All of a good change. Of a bad one two fail, and eight run on, also after a crash."""
    emperor = make_emperor("--rollout", "40%", "--rollout-failures", "2")
    good = shell(f"echo good >> {tmp_path}/starts; {SLEEP}")
    write(emperor, good)
    emperor.start()
    emperor.up(*NAMES)
    write(emperor, good.replace("good", "better"))
    emperor.until(lambda: under_way(emperor), "it has begun")
    state = asked(emperor, "rollout")
    (rollout,) = state["rollouts"] or state["closed"]
    assert (rollout["total"], rollout["done"], rollout["failed"]) == (10, 10, {})
    assert max(count for _, count in changing(emperor)) == 4
    emperor.until(lambda: asked(emperor, "rollout")["closed"], "it has closed")
    pids = {name: emperor.pid_of(name) for name in NAMES}
    write(emperor, shell("sleep 0.3; exit 3"))
    emperor.until(lambda: under_way(emperor), "the next one has begun")
    (rollout,) = asked(emperor, "rollout", code=1)["rollouts"]
    assert rollout["state"] == "held"
    assert 2 <= len(rollout["failed"]) <= 5  # four at once, and one that followed the first
    assert set(rollout["failed"].values()) == {"exit code 3"}
    held = rollout["waiting"]
    assert len(held) == 10 - len(rollout["failed"])
    assert {name: emperor.pid_of(name) for name in held} == {name: pids[name] for name in held}
    assert {outcomes(emperor)[name] for name in held} == {"held"}
    listed = {each["name"]: each["rollout"] for each in asked(emperor, "list")["vassals"]}
    assert {name for name, told in listed.items() if told is not None} == set(held)
    attention = asked(emperor, "status", code=3)["attention"]
    assert "held back" in {each["what"] for each in attention}
    seq = emperor.last_seq()
    os.kill(pids[held[0]], signal.SIGKILL)
    emperor.event("spawned", held[0], after=seq)

    def started() -> list[str]:
        return (tmp_path / "starts").read_text().split()

    emperor.until(lambda: started().count("better") == 11, "its former config once more")
    assert refused(emperor, "rollout", "continue", "--monitor", "dir:other").startswith("dir:other")
    asked(emperor, "rollout", "abort", code=1)
    assert refused(emperor, "rollout", "continue").startswith("no rollout is held back")
    write(emperor, good.replace("good", "best"))
    emperor.until(lambda: "best" in (tmp_path / "starts").read_text(), "the fix is carried out")
    emperor.until(
        lambda: asked(emperor, "rollout", code=0)["closed"][0]["state"] == "done", "it ends well"
    )
    emperor.stop()


def test_a_daemon_that_is_killed_midway_goes_on_with_it(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    """The size is one of its source's. The next daemon waits for the same two vassals."""
    emperor = make_emperor()
    emperor.monitors = [f"dir://{emperor.vassals}?rollout=2"]
    go = tmp_path / "go"
    config = shell(SLEEP, ready=f"exec:test -e {go}", ready_timeout="60s")
    write(emperor, shell(SLEEP))
    emperor.start()
    emperor.up(*NAMES)
    before = emperor.last_seq()
    write(emperor, config)
    emperor.event("spawned", after=before, count=2)
    (rollout,) = asked(emperor, "rollout", "--no-wait")["rollouts"]
    assert len(rollout["changing"]) == 2
    emperor.restart()
    (same,) = asked(emperor, "rollout", "--no-wait")["rollouts"]
    assert (same["seq"], same["changing"]) == (rollout["seq"], rollout["changing"])
    late = emperor.ctl("rollout", "--timeout", "0.3")
    assert late.returncode == 1
    assert "still goes on" in late.stderr
    go.write_text("")
    state = asked(emperor, "rollout")
    (ended,) = state["rollouts"] or state["closed"]
    assert (ended["seq"], ended["done"]) == (rollout["seq"], 10)
    assert max(count for _, count in changing(emperor)) == 2
    emperor.stop()


def test_the_files_of_one_push_that_come_one_by_one(make_emperor: MakeEmperor) -> None:
    """The first fails before the next is written: that one is held back, and opens no rollout."""
    emperor = make_emperor("--rollout", "1", "--freq", "60")
    write(emperor, shell(SLEEP))
    emperor.start()
    emperor.up(*NAMES)
    pids = {name: emperor.pid_of(name) for name in NAMES}
    first, *others = NAMES
    emperor.put(first, shell("exit 3"))
    emperor.event("exited", first, code=3)
    for name in others:
        seq = emperor.last_seq()
        emperor.put(name, shell("exit 3"))
        emperor.event("vassal_changed", name, after=seq)
    (rollout,) = asked(emperor, "rollout", code=1)["rollouts"]
    assert (list(rollout["failed"]), rollout["waiting"]) == ([first], others)
    assert {outcomes(emperor)[name] for name in others} == {"held"}
    assert {name: emperor.pid_of(name) for name in others} == {n: pids[n] for n in others}
    emperor.stop()


def test_only_what_fails_after_continue_is_told(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor("--rollout", "1", "--rollout-failures", "3", "--freq", "60")
    write(emperor, shell(SLEEP))
    emperor.start()
    emperor.up(*NAMES)
    write(emperor, shell("exit 3"))
    emperor.until(lambda: "held back" in emperor.ctl("rollout").stdout, "the rest is held back")
    before = set(asked(emperor, "rollout", code=1)["rollouts"][0]["failed"])
    told = emperor.ctl("rollout", "continue").stdout
    assert not [name for name in before if f"{name}: " in told]
    assert told.count(": exit code 3") == 3
    emperor.ctl("rollout", "continue")
    assert emperor.ctl("rollout").stdout.endswith("  and 4 others\n")
    emperor.stop()
