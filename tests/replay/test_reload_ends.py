"""The end of a process by its reload is no failure of the deploy that was to be reloaded.

The process may be a child of init, because the keeper was killed. Then its exit status is unknown.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.loop.stored_deploys import followed
from emperord.journal.reading import open_journal
from emperord.journal.store import Journal
from emperord.replay.failed_ends import failed_ends
from emperord.replay.verify import verify
from journal_builder import Builder, building
from support.archives import sql
from support.deploys import history
from support.replaying import asking

PROGRAM: dict[str, Any] = {"settings": {"command": "serve"}}
A = "a.ini"


def reloaded_uwsgi(b: Builder) -> None:
    b.up(A, b"one\n")  # 3, 4, 5
    b.changed(A, b"two\n")  # 6
    b.exited(A, after=0.1)  # 7
    b.accepting(A)


def with_exit_code(b: Builder) -> None:
    """uWSGI with exit-on-reload, of which the status is known."""
    b.up(A, b"one\n")
    b.changed(A, b"two\n")
    b.exited(A, after=0.1, code=0)
    b.accepting(A)


def after_a_while(b: Builder) -> None:
    """It takes longer over its requests than a reload may. The next process dies of the config."""
    b.up(A, b"one\n")
    b.changed(A, b"two\n")
    b.event("deadline_passed", A, after=30, deadline=b.fleet.vassals[A].deadline)
    b.exited(A)  # 8
    b.exited(A, code=1)  # 9


def reloaded_program(b: Builder) -> None:
    b.added(A, b"one\n", **PROGRAM)  # 3
    b.spawned(A)
    b.event("pressure_observed", after=60, cpu=1)
    b.changed(A, b"two\n", **PROGRAM)  # 6
    b.exited(A, after=0.1)  # 7
    b.spawned(A)


def much_later(b: Builder) -> None:
    """A program confirms no reload. An end after the time of a stop is one of its own."""
    b.added(A, b"one\n", **PROGRAM)
    b.spawned(A)
    b.changed(A, b"two\n", **PROGRAM)  # 5
    b.exited(A, after=61)  # 6: a death
    b.event("deadline_passed", A, deadline=b.fleet.vassals[A].deadline)
    b.spawned(A)


def confirmed(b: Builder) -> None:
    """It has loaded the config, and dies later."""
    b.up(A, b"one\n")
    b.changed(A, b"two\n")
    b.accepting(A)  # 7
    b.exited(A)  # 8: a death
    b.event("deadline_passed", A, deadline=b.fleet.vassals[A].deadline)
    b.accepting(A)


def well_at_once(b: Builder) -> None:
    """It was rolled back for a success within the first throttle, which is a failure."""
    b.up(A, b"one\n")
    b.changed(A, b"two\n", settings={"rollback": "1", "reload": "restart"})  # 6
    b.exited(A, code=0)
    b.exited(A, after=0.1, code=0)  # 8: a death


CASES = pytest.mark.parametrize(
    ("story", "outcome", "outcome_seq", "deaths"),
    [
        pytest.param(reloaded_uwsgi, "accepting", 8, 0, id="uWSGI, status unknown"),
        pytest.param(with_exit_code, "accepting", 8, 0, id="uWSGI, exit code 0 at once"),
        pytest.param(after_a_while, "died", 9, 1, id="uWSGI after the patience"),
        pytest.param(reloaded_program, "running", 6, 0, id="a program"),
        pytest.param(much_later, "running", 5, 1, id="a program after the mercy"),
        pytest.param(confirmed, "accepting", 7, 1, id="the reload was confirmed"),
        pytest.param(well_at_once, "rolled_back", 8, 1, id="a success at once, rolled back"),
    ],
)
Story = Callable[[Builder], None]


@pytest.fixture
def path(tmp_path: Path, story: Story) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        story(builder)
    return path


@CASES
def test_the_outcome_is_that_of_the_next_start(
    path: str, story: Story, outcome: str, outcome_seq: int, deaths: int
) -> None:
    last = history(path)[-1]
    assert (last["outcome"], last["outcome_seq"]) == (outcome, outcome_seq)
    assert verify(path).exit_code == 0


@CASES
def test_all_commands_count_the_same_deaths(
    path: str, story: Story, outcome: str, outcome_seq: int, deaths: int
) -> None:
    (vassal,) = json.loads(asking("report")(path, "--json").stdout)["vassals"]
    (lane,) = json.loads(asking("timeline")(path, A, "--json").stdout)["lanes"][1:]
    broken = json.loads(asking("why")(path, A, "--json").stdout)["break"]
    with open_journal(path) as reader:
        ends = list(failed_ends(reader, 0, reader.head.seq))
    counts = {
        "report": vassal["deaths"],
        "why": 0 if broken is None else broken["deaths"],
        "incident": len(ends),
        "timeline": sum(mark["sort"] == "death" for mark in lane["marks"]),
    }
    assert counts == dict.fromkeys(counts, deaths)


def test_a_rollback_goes_to_the_deploy_whose_reload_ended_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        reloaded_uwsgi(builder)
        builder.changed(A, b"bad\n")
        builder.exited(A, code=1)
        target = builder.fleet.vassals[A].spec.config
        good = builder.journal.announcements.last_good(A, target, target)
        assert good is not None
        assert good.seq == 6


def test_outcomes_of_an_earlier_version_are_not_compared_and_made_anew(tmp_path: Path) -> None:
    """They were defined in another way, so they tell nothing of the journal."""
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        reloaded_uwsgi(builder)
    sql(path, "UPDATE deploy SET outcome = 'died', outcome_seq = 7 WHERE seq = 6")
    assert verify(str(path)).exit_code == 3
    sql(path, "DELETE FROM _sqlite_migrations WHERE name = '0006_outcomes'")
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.audit.findings) == (0, [])
    assert any("so they are not compared" in note for note in verdict.notes)
    assert history(str(path))[-1]["outcome"] == "accepting"
    with Journal.open(str(path)) as journal:
        followed(journal)
    rows = sql(path, "SELECT outcome, outcome_seq FROM deploy ORDER BY seq")
    assert rows == [("accepting", 5), ("accepting", 8)]
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.audit.findings) == (0, [])
    assert not any("not compared;" in note for note in verdict.notes)
