"""``emperor-replay export`` and ``import``, as they are called."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from emperord.replay.histories.check import check_text
from emperord.replay.main import cli
from journal_builder import MONITOR, building

from .conftest import TEXT, crash


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def export(journal: str, *words: str) -> str:
    result = run("--journal", journal, "export", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def imported(history: str, folder: Path) -> str:
    """The path of a journal that was made of a history."""
    (folder / "a.history").write_text(history)
    path = str(folder / "made.db")
    result = run("import", str(folder / "a.history"), "-o", path)
    assert (result.exit_code, result.stderr) == (0, "")
    return path


def test_all_is_exported_without_options(journal: str) -> None:
    text = export(journal)
    assert check_text(text, "a.history").same
    assert "made from: events 1-14 of journal " in text
    assert "left out" not in text


def test_a_range_begins_with_the_fleet_before_it(journal: str) -> None:
    text = export(journal, "--since", "@9", "--until", "@11")
    assert check_text(text, "a.history").same
    assert "start: event 8\n" in text
    assert "made from: events 9-11 of journal " in text


def test_an_incident_is_of_its_vassal(journal: str) -> None:
    """From the deploy that broke it, without the other vassal."""
    text = export(journal, "--incident", "a.ini")
    assert check_text(text, "a.history").same
    assert "start: event 2\n" in text
    assert "my app.ini" not in text
    assert "left out: 1 other vassal, 5 events: without them" in text


def test_a_moment_moves_the_end_of_an_incident(journal: str) -> None:
    text = export(journal, "--incident", "a.ini", "--until", "@9")
    assert check_text(text, "a.history").same
    assert "made from: events 3-9 of journal " in text
    late = run("--journal", journal, "export", "--incident", "11", "--since", "@13")
    assert late.exit_code == 1
    assert late.stderr.endswith("the incident is in the events 6-12, not then\n")


@pytest.mark.parametrize("told", ["9", "@9"])
def test_an_incident_is_told_by_one_of_its_events(journal: str, told: str) -> None:
    assert export(journal, "--incident", told) == export(journal, "--incident", "a.ini")


def test_an_event_that_is_no_incident_has_what_came_of_it(journal: str) -> None:
    text = export(journal, "--incident", "11")
    assert check_text(text, "a.history").same
    assert "a.ini dir" not in text
    assert "made from: events 6-12 of journal" in text


def test_an_incident_of_a_source_has_its_vassals(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    names = [f"{letter}.ini" for letter in "abcdef"]
    with building(path) as builder:
        builder.start()
        for name in ["z.ini", *names]:
            builder.up(name)
        last = [builder.event("vassal_removed", name, MONITOR, after=0.01) for name in names][-1]
        for name in names:
            builder.exited(name, signal=15)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    text = export(path, "--incident", str(last))
    assert check_text(text, "a.history").same
    assert "z.ini" not in text
    assert all(f"{name} gone" in text for name in names)


def test_redacted_it_tells_nothing_and_decides_the_same(journal: str) -> None:
    text = export(journal, "--redact")
    assert check_text(text, "a.history").same
    for secret in ("a.ini", "my app", "vassals/", "Traceback", "SIGTERM", "[uwsgi]"):
        assert secret not in text
    assert "redacted: yes" in text


def test_a_file_is_written_and_none_is_overwritten(journal: str, tmp_path: Path) -> None:
    path = str(tmp_path / "a.history")
    told = export(journal, "--incident", "a.ini", "-o", path)
    assert told == (
        f"{path}: 7 events of 1 vassal; left out: 1 other vassal, 5 events:"
        " without them, all is decided the same\n"
    )
    assert os.stat(path).st_mode & 0o777 == 0o600
    again = run("--journal", journal, "export", "-o", path)
    assert again.exit_code == 1
    assert again.stderr == f"emperor-replay: {path}: is there already; name another file\n"


def test_json_tells_what_was_written(journal: str, tmp_path: Path) -> None:
    path = str(tmp_path / "a.history")
    assert json.loads(export(journal, "--redact", "--json", "-o", path)) == {
        "file": path,
        "events": 14,
        "first": 1,
        "last": 14,
        "vassals": ["v01.ini", "v02.ini"],
        "redacted": True,
        "left_out": ["texts, log lines, reasons, attributes, authors"],
    }
    assert run("--journal", journal, "export", "--json").exit_code == 2


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            "UPDATE event SET body = replace(body, '1', '2') WHERE seq = 9",
            "is not what was written",
        ),
        ("DELETE FROM event WHERE seq = 9", "is missing"),
        ("DELETE FROM event WHERE seq >= 9", "is missing"),
    ],
    ids=["altered", "missing", "cut"],
)
def test_a_journal_that_is_not_whole_is_no_history(tmp_path: Path, change: str, what: str) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        crash(builder)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(change)
    result = run("--journal", path, "export")
    assert result.exit_code == 3
    assert f"event 9 {what}, so no history is made of it" in result.stderr


# import


def test_all_comes_back(journal: str, tmp_path: Path) -> None:
    """The same events, and so the same chain."""
    made = imported(export(journal), tmp_path)
    words = ("events", "--json")
    assert run("--journal", made, *words).stdout == run("--journal", journal, *words).stdout
    assert "14 events up to 14" in run("--journal", made, "verify").stdout
    assert run("--journal", made, "show", "a.ini").stdout_bytes == TEXT


@pytest.mark.parametrize("redact", [(), ("--redact",)], ids=["plain", "redacted"])
@pytest.mark.parametrize(
    "which",
    [(), ("--since", "@9"), ("--incident", "a.ini")],
    ids=["whole", "later", "incident"],
)
def test_every_command_reads_it(
    journal: str, tmp_path: Path, which: tuple[str, ...], redact: tuple[str, ...]
) -> None:
    made = imported(export(journal, *which, *redact), tmp_path)
    verified = run("--journal", made, "verify")
    assert verified.exit_code == 0, verified.output
    assert ": verified: " in verified.stdout
    name = "v01.ini" if redact else "a.ini"
    for words in (("state",), ("why", name), ("history", name), ("show", name), ("report",)):
        result = run("--journal", made, *words)
        assert result.exit_code == 0, result.output
    assert name in run("--journal", made, "state").stdout


def test_an_incident_is_told_as_in_its_journal(journal: str, tmp_path: Path) -> None:
    made = imported(export(journal, "--incident", "a.ini"), tmp_path)
    ours, theirs = (
        json.loads(run("--journal", path, "why", "a.ini", "--at", at, "--json").stdout)
        for path, at in ((made, "@7"), (journal, "@10"))
    )
    assert ours["break"]["since"] == theirs["break"]["since"]
    assert ours["break"]["deaths"] == theirs["break"]["deaths"] == 1


def test_show_says_that_a_text_was_left_out(journal: str, tmp_path: Path) -> None:
    made = imported(export(journal, "--redact"), tmp_path)
    shown = run("--journal", made, "show", "v01.ini").stdout
    assert shown == "# config 1: its text was left out when this history was redacted\n"


def test_gaps_are_numbered_anew_with_all_that_refers_to_them(journal: str, tmp_path: Path) -> None:
    made = imported(export(journal, "--incident", "a.ini"), tmp_path)
    events = [
        json.loads(line) for line in run("--journal", made, "events", "--json").stdout.splitlines()
    ]
    assert [event["seq"] for event in events] == list(range(3, 10))
    retried = next(event for event in events if event["kind"] == "deadline_passed")
    assert retried["actions"][0]["attempt"] == retried["seq"] == 7


def test_no_file_is_ever_overwritten(journal: str, tmp_path: Path) -> None:
    (tmp_path / "a.history").write_text(export(journal))
    (tmp_path / "made.db").write_text("mine")
    result = run("import", str(tmp_path / "a.history"), "-o", str(tmp_path / "made.db"))
    assert result.exit_code == 1
    assert result.stderr.endswith("made.db: is there already; name another file\n")
    assert (tmp_path / "made.db").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["a.history", "made.db"]


def test_json_tells_what_was_made(journal: str, tmp_path: Path) -> None:
    (tmp_path / "a.history").write_text(export(journal, "--incident", "a.ini", "--redact"))
    path = str(tmp_path / "made.db")
    result = run("import", str(tmp_path / "a.history"), "-o", path, "--json")
    assert json.loads(result.stdout) == {
        "journal": path,
        "first": 3,
        "last": 9,
        "renumbered": True,
        "configs": 1,
        "redacted": True,
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# something\n", "a.history:1: no history"),
        ("# emperord history 9\n", "read it with a newer emperord"),
        (
            "# emperord history 1\nat: 2026-11-24T06:00:00Z\nstart: nothing\n",
            "the history has no event",
        ),
    ],
    ids=["none", "newer", "empty"],
)
def test_a_file_that_cannot_be_read_makes_no_journal(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.history").write_text(text)
    result = run("import", str(tmp_path / "a.history"), "-o", str(tmp_path / "made.db"))
    assert result.exit_code == 3
    assert says in result.stderr
    assert os.listdir(tmp_path) == ["a.history"]
