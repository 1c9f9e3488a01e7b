"""Rows that were altered are marked where they are printed; ``--salvage`` reads on past them."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from emperord.journal.errors import Damaged
from emperord.journal.reading import open_journal
from emperord.replay import salvage
from emperord.replay.failed_ends import failed_ends
from journal_builder import building
from support.replaying import asking


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("altered") / "journal.db"
    with building(str(path)) as builder:
        builder.start()  # 1, 2
        builder.up("a.ini")  # 3 to 5
        builder.up("b.ini", b"b\n")  # 6 to 8
        builder.changed("a.ini", b"new\n")  # 9
        builder.accepting("a.ini")  # 10
        builder.removed("b.ini")  # 11
        builder.exited("b.ini", code=0)  # 12
        builder.event("daemon_stopped")  # 13
    return path


@pytest.fixture
def path(pristine: Path, tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    return path


def harm(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(statement).rowcount == 1


run = asking()


def marked(text: str) -> list[int]:
    return [int(line[1:].split()[0]) for line in text.splitlines() if line.startswith("!")]


def test_nothing_is_marked_where_all_is_well(path: Path) -> None:
    for command in ("events", "history"):
        result = run(path, command)
        assert (result.exit_code, marked(result.stdout), result.stderr) == (0, [], "")


TIME = "UPDATE event SET at = at + 5 WHERE seq = 9"
BODY = """UPDATE event SET body = replace(body, '"code":0', '"code":7') WHERE seq = 12"""
HASH = "UPDATE event SET hash = zeroblob(32) WHERE seq = 6"


@pytest.mark.parametrize(
    ("statement", "seq"), [(TIME, 9), (BODY, 12), (HASH, 6)], ids=["time", "body", "hash"]
)
def test_an_altered_event_is_marked(path: Path, statement: str, seq: int) -> None:
    harm(path, statement)
    result = run(path, "events")
    assert (result.exit_code, marked(result.stdout)) == (3, [seq])
    assert (
        f"event {seq} cannot be read by this version, or is not what was written" in result.stderr
    )
    told = [json.loads(line) for line in run(path, "events", "--json").stdout.splitlines()]
    assert [each["seq"] for each in told if each.get("altered")] == [seq]
    assert run(path, "events", "-o", "csv").exit_code == 3


def test_only_printed_events_count(path: Path) -> None:
    harm(path, BODY)
    result = run(path, "events", "a.ini")
    assert (result.exit_code, marked(result.stdout)) == (0, [])


@pytest.mark.parametrize(
    ("statement", "deploy", "seq"), [(TIME, 9, 9), (BODY, 11, 12)], ids=["itself", "its outcome"]
)
def test_an_altered_deploy_is_marked(path: Path, statement: str, deploy: int, seq: int) -> None:
    harm(path, statement)
    result = run(path, "history")
    assert (result.exit_code, marked(result.stdout)) == (3, [deploy])
    assert f"event {seq} is not what was written" in result.stderr
    told = json.loads(run(path, "history", "--json").stdout)
    assert [each["seq"] for each in told if each.get("altered")] == [deploy]


@pytest.mark.parametrize(
    ("statement", "left_out"),
    [(BODY, 12), ("DELETE FROM event WHERE seq = 12", 12)],
    ids=["altered", "missing"],
)
def test_salvage_reads_on(path: Path, statement: str, left_out: int) -> None:
    harm(path, statement)
    result = run(path, "state")
    assert (result.exit_code, result.stdout) == (3, "")
    result = run(path, "--salvage", "state", "--json")
    assert result.exit_code == 3
    state = json.loads(result.stdout)
    assert state["seq"] == 13
    assert {each["name"]: each["phase"] for each in state["vassals"]} == {
        "a.ini": "accepting",
        "b.ini": "stopping",
    }
    assert f"read on past damage, without event {left_out}: what follows" in result.stderr


def test_salvage_of_a_whole_journal_changes_nothing(path: Path) -> None:
    result = run(path, "--salvage", "state")
    assert (result.exit_code, result.stdout) == (0, run(path, "state").stdout)


PERIODS = {
    "report": ("report", "--json"),
    "runs": ("runs", "--json"),
    "timeline": ("timeline", "--json"),
    "simulate": ("simulate", "--set", "throttle=5s", "--json"),
}


@pytest.mark.parametrize("command", PERIODS.values(), ids=PERIODS)
@pytest.mark.parametrize(
    ("statement", "seq", "flaw"),
    [
        (TIME, 9, "is not what was written"),
        (BODY, 12, "is not what was written"),
        (HASH, 6, "is not what was written"),
        ("UPDATE event SET body = '{' WHERE seq = 5", 5, "is not what was written"),
        ("UPDATE event SET at = 'then' WHERE seq = 7", 7, "is not what was written"),
        ("DELETE FROM event WHERE seq = 10", 10, "is missing"),
    ],
    ids=["time", "body", "hash", "json", "type", "missing"],
)
def test_a_period_with_an_altered_event_is_not_told(
    path: Path, command: tuple[str, ...], statement: str, seq: int, flaw: str
) -> None:
    harm(path, statement)
    result = run(path, *command)
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"event {seq} {flaw}" in result.stderr
    salvaged = run(path, "--salvage", *command)
    assert (salvaged.exit_code, json.loads(salvaged.stdout) != []) == (3, True)
    assert f"read on past damage, without event {seq}: what follows" in salvaged.stderr


@pytest.mark.parametrize("seq", [1, 13])
def test_a_report_whose_end_has_no_time_names_the_event(path: Path, seq: int) -> None:
    harm(path, f"UPDATE event SET at = 'then' WHERE seq = {seq}")
    result = run(path, "report")
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"event {seq} has no time" in result.stderr


@pytest.mark.parametrize(
    "statement",
    ["UPDATE event SET at = 'then' WHERE seq = 10", "DELETE FROM event WHERE seq = 10"],
    ids=["damaged", "missing"],
)
def test_a_history_has_what_is_before_damage_and_reads_on(path: Path, statement: str) -> None:
    harm(path, statement)
    result = run(path, "history", "--full")
    told = [int(line.split()[0]) for line in result.stdout.splitlines()[1:]]
    assert (result.exit_code, told) == (3, [3, 6])
    assert "event 10" in result.stderr
    salvaged = run(path, "--salvage", "history", "--full", "--json")
    assert [each["seq"] for each in json.loads(salvaged.stdout)] == [3, 6, 9, 11]
    assert "read on past damage, without event 10: what follows" in salvaged.stderr


def test_a_gap_between_events_is_told_unless_a_filter_may_be_its_reason(path: Path) -> None:
    harm(path, "DELETE FROM event WHERE seq = 7")
    for command in (("events",), ("around", "6"), ("events", "--json"), ("events", "-n", "8")):
        result = run(path, *command)
        assert result.exit_code == 3
        assert "event 7 is missing; 'verify' says more" in result.stderr
    for command in (("events", "b.ini"), ("events", "--kind", "exited"), ("events", "-n", "2")):
        result = run(path, *command)
        assert (result.exit_code, result.stderr) == (0, "")


def test_a_gap_and_an_altered_event_are_one_line(path: Path) -> None:
    harm(path, "DELETE FROM event WHERE seq = 7")
    harm(path, TIME)
    result = run(path, "events")
    assert result.exit_code == 3
    assert result.stderr == (
        f"emperor-replay: {path}: event 7 is missing, and event 9 cannot be read by this version,"
        " or is not what was written; 'verify' says more\n"
    )


@pytest.mark.parametrize("command", [("why", "b.ini"), ("incident", "b.ini"), ("incident",)])
def test_a_story_with_a_damaged_event_reads_on(path: Path, command: tuple[str, ...]) -> None:
    harm(path, "UPDATE event SET body = '{' WHERE seq = 12")
    assert run(path, *command).exit_code == 3
    result = run(path, "--salvage", *command)
    if command == ("incident",):  # the removal and the death are no incident of the fleet
        assert "no incident is in this journal" in result.stderr
    else:
        assert result.exit_code == 3
        assert "read on past damage, without event 12" in result.stderr
        assert "b.ini" in result.stdout


def test_deaths_of_damaged_rows_are_not_counted(path: Path) -> None:
    harm(path, "UPDATE event SET body = '{' WHERE seq = 12")
    with open_journal(str(path)) as reader:
        with pytest.raises(Damaged, match="event 12 cannot be read"):
            list(failed_ends(reader, 0, 13))
        salvage.allow(reader)
        assert list(failed_ends(reader, 0, 13)) == []
