"""emperor-ctl list, show and status: at a terminal and in a pipe, with hostile names."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.cli import terminal
from emperord.replay import live_why as why
from support.asking import asked, refused
from support.kept import Emperor
from support.replaying import timeless
from support.terminals import at_terminal, lines
from support.vassals import SLEEPER, program, shell

from ..conftest import QUICK

LONG = f"{'long' * 49}.ini"  # 200 characters
REVERSED = "a\u202eb.ini"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emperor]:
    """A fleet with a vassal of each kind that a list shows in a way of its own."""
    folder = tmp_path_factory.mktemp("looking")
    with Emperor(folder, *QUICK, "--max-throttle", "600000", "--throttle", "600000") as emperor:
        for name in ("a.ini", LONG, REVERSED):
            (emperor.vassals / name).write_text(SLEEPER)
        (emperor.vassals / "dies.ini").write_text(shell("exit 3"))
        (emperor.vassals / "barred.ini").write_text(program("/nowhere"))
        emperor.start()
        emperor.up("a.ini", LONG, REVERSED)
        emperor.phase("dies.ini", "throttled")
        emperor.phase("barred.ini", "barred")
        yield emperor
        emperor.stop()


def ctl(emperor: Emperor, *words: str) -> list[str]:
    module = [sys.executable, "-P", "-m", "emperord.daemon.ctl"]
    return [*module, "--control", str(emperor.control), *words]


def seen(emperor: Emperor, *words: str, **more: Any) -> tuple[int, list[str]]:
    """The exit code, and the lines that an operator sees at a terminal."""
    code, text = at_terminal(ctl(emperor, *words), **more)
    assert "Traceback" not in text
    return code, lines(text)


# list


def test_a_list_fits_into_80_columns(fleet: Emperor) -> None:
    code, told = seen(fleet, "list")
    assert code == 0
    head, *rows = told
    assert head.split()[:6] == ["VASSAL", "PHASE", "PID", "SINCE", "(UTC)", "RST"]
    assert len(rows) == 5
    assert max(map(terminal.cells, told)) <= 80
    (long,) = (row for row in rows if row.startswith("long"))
    assert re.match(r"(long)+l?o?n?g?… +ready +\d+ ", long)
    (dies,) = (row for row in rows if row.startswith("dies.ini"))
    assert re.search(r" throttled +- +\d\d:\d\d:\d\d +1 +exit code 3; n", dies)


def test_a_wider_terminal_has_more_columns(fleet: Emperor) -> None:
    _, (head, *_) = seen(fleet, "list", columns=160)
    for column in ("RESTARTS", "LAST EXIT", "NEXT TRY", "REASON"):
        assert column in head
    assert "WANTED" not in head  # all run the wanted config


def test_names_cannot_turn_the_terminal_round(fleet: Emperor) -> None:
    _, told = seen(fleet, "list", "a*")
    assert any(row.startswith("a\\u202eb.ini ") for row in told)
    for words in (("list",), ("show", REVERSED), ("status",), ("list", "-o", "csv", "--no-pager")):
        _, told = seen(fleet, *words)
        assert not any("\u202e" in line for line in told)


def test_a_pipe_gets_whole_names_and_utc(fleet: Emperor) -> None:
    head, *rows = fleet.ctl("list").stdout.splitlines()
    assert head.split()[:6] == ["VASSAL", "PHASE", "PID", "SINCE", "RESTARTS", "(1"]
    (long,) = (row for row in rows if row.startswith(LONG))
    assert re.search(r" ready +\d+ +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", long)
    (dies,) = (row for row in rows if row.startswith("dies.ini"))
    due = asked(fleet, "show", "dies.ini")["not_before"]
    assert f"  {due[:19]}Z  " in dies


def test_a_part_of_the_list(fleet: Emperor) -> None:
    def names(*words: str) -> list[str]:
        return [each["name"] for each in asked(fleet, "list", *words)["vassals"]]

    assert names("dies.ini", "b*") == ["barred.ini", "dies.ini"]
    assert names("--phase", "barred", "--phase", "throttled", "-r") == ["dies.ini", "barred.ini"]
    assert names("--monitor", "dir:vassals", "--sort", "restarts")[0] == "dies.ini"
    assert refused(fleet, "list", "die.ini").startswith("there is no vassal die.ini; did you mean")
    assert fleet.ctl("list", "--phase", "down").returncode == 2


# status and show


def test_a_status_begins_with_the_verdict(fleet: Emperor) -> None:
    code, told = seen(fleet, "status")
    assert code == 3
    assert told[0] == "not well: 1 barred, 1 throttled; 5 vassals"
    assert not any(line.startswith(("held:", "paused:", "keeper:")) for line in told)
    assert "\npaused:          no\n" in fleet.ctl("status").stdout
    assert told[-1].startswith("  dies.ini: throttled since ")
    assert " UTC: death 1 in a row" in told[-1]


def test_show_has_the_paths(fleet: Emperor) -> None:
    vassal = asked(fleet, "show", "a.ini")
    assert vassal["path"] == str(fleet.vassals / "a.ini")
    assert Path(vassal["log"]).parent == fleet.logs
    assert Path(vassal["log"]).exists()
    assert f"log:             {vassal['log']}\n" in fleet.ctl("show", "a.ini").stdout
    told = json.loads(fleet.ctl("list", "--json").stdout)["vassals"]
    assert {each["log"] is None for each in told} == {False}


# why


def test_why_has_the_words_of_emperor_replay(fleet: Emperor) -> None:
    replay = [sys.executable, "-P", "-m", "emperord.replay.main", "--journal", str(fleet.journal)]

    def replayed(*words: str) -> str:
        return subprocess.run(
            [*replay, "why", *words], capture_output=True, text=True, check=True
        ).stdout

    for words in (["dies.ini"], ["barred.ini", "a.ini"], ["*.ini"]):
        live = fleet.ctl("why", *words).stdout
        assert timeless(live) == timeless(replayed(*words))
        told = json.dumps(asked(fleet, "why", *words))
        assert timeless(told) == timeless(json.dumps(json.loads(replayed(*words, "--json"))))
    assert refused(fleet, "why", "b.ini").startswith("no vassal b.ini was ever known here")


def test_why_says_for_how_long_until_now(fleet: Emperor) -> None:
    """Not until the last event, which may be that by which the vassal got its phase."""
    fleet.until(lambda: uptime(fleet, "a.ini") > 0.2, "it has run for a while")
    story = fleet.ctl("why", "a.ini").stdout
    (lasted,) = re.findall(r"^a.ini is ready \(for ([\d.]+)s\)$", story, re.M)
    assert uptime(fleet, "a.ini") + 1 > float(lasted) > 0.2
    throttled = fleet.ctl("why", "dies.ini").stdout
    assert re.search(r"^next try: .*, in [\dm.]+s?; 'retry' ends it$", throttled, re.M)


def uptime(fleet: Emperor, name: str) -> float:
    return float(asked(fleet, "show", name)["uptime_s"])


def test_why_finds_a_journal_of_a_relative_path(tmp_path: Path) -> None:
    pid = os.getpid()
    assert why.journal_of({"journal": "j.db", "pid": pid}) == f"{os.getcwd()}/j.db"
    assert why.journal_of({"journal": "/x/j.db", "pid": pid}) == "/x/j.db"
