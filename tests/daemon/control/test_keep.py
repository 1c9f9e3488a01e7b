"""``emperor --keep``: the daemon moves older events to archives by itself."""

import json
import shutil
from pathlib import Path

import click
import pytest
from emperord.replay.verify import verify
from journal_builder import building, busy_fleet
from support.archives import sql
from support.kept import Emperor
from support.options import run

from ..conftest import MakeEmperor


def begun(emperor: Emperor, tmp_path: Path) -> None:
    """A journal of some days ago."""
    emperor.state.mkdir()
    path = tmp_path / "built.db"
    with building(str(path), group=100) as builder:
        builder.at += hash(str(tmp_path)) % 10**9  # an identity of its own
        busy_fleet(builder, 1_000, 10)
        builder.event("daemon_stopping", reason="SIGTERM")
        builder.event("daemon_stopped")
    shutil.move(path, emperor.journal)


def test_older_events_go_at_the_start(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor("--keep", "1h")
    begun(emperor, tmp_path)
    emperor.start()
    (event,) = emperor.until(lambda: emperor.events("journal_archived"), "they go")
    file = emperor.journal.with_name("journal.db.archives") / event.body["file"]
    emperor.until(lambda: f"went to {file}" in emperor.log(), "it says so")
    assert sql(emperor.journal, "SELECT min(seq) FROM event") == [(event.body["through"] + 1,)]
    emperor.stop()
    assert verify(str(emperor.journal), archives=[str(file)]).exit_code == 0


def test_a_failure_is_told_once_and_ends_nothing(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    emperor = make_emperor("--keep", "1h")
    begun(emperor, tmp_path)
    emperor.journal.with_name("journal.db.archives").write_text("in the way")
    emperor.start()

    def told() -> list[str]:
        status = json.loads(emperor.ctl("status", "--json").stdout)
        return [each["reason"] for each in status["attention"] if each["what"] == "no archive"]

    (reason,) = emperor.until(told, "status says it")
    assert "journal.db.archives: cannot be used: " in reason
    assert emperor.log().count("--keep: older events stay in the journal: ") == 1
    emperor.stop()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("90", "90 has no unit; write one, as in 90d"),
        ("0s", "0s is out of range"),
        ("-1d", "-1d is out of range"),
        ("soon", "'soon' is not a duration"),
    ],
)
def test_bad_ages_are_refused(given: str, said: str) -> None:
    for more in ((), ("--check",)):
        result = run(f"--keep={given}", *more, "/v")
        assert isinstance(result.exception, click.BadParameter)
        assert said in str(result.exception)
