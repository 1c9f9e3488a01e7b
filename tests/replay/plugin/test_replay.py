"""The fixture ``replay``: steps through histories and journals."""

from pathlib import Path

import pytest
from emperord.journal.errors import Damaged
from emperord.replay.histories.text import write
from emperord.replay.rebuild import NotFound
from emperord.replay.testing import EndOfHistory, Replays, Steps
from journal_builder import building, busy_fleet
from support.damage import sql

from .conftest import throttled

pytest_plugins = "pytester"


@pytest.fixture
def steps(replay: Replays, text: str) -> Steps:
    return replay(text)


def test_a_step_is_an_event(steps: Steps) -> None:
    assert steps.seq == 0
    assert steps.next().kind == "daemon_started"
    assert steps.until(9).kind == "vassal_added"
    assert steps.orders == ["spawn shop.ini"]
    assert steps.actions == steps.recorded
    assert steps.attempt == 9
    assert steps.vassals["shop.ini"].phase == "starting"
    assert steps.state.seq == steps.seq == 9


def test_first_folds_up_to_an_event(steps: Steps) -> None:
    event = steps.first(kind="exited", vassal="shop.ini", code=1)
    assert (event.seq, steps.attempt) == (11, 9)
    assert steps.vassals["shop.ini"].phase == "throttled"
    steps.first(vassal="shop.ini")
    assert (steps.event.kind, steps.attempt) == ("deadline_passed", 12)
    assert [event.seq for event in steps] == [13, 14]
    assert "stop shop.ini" in steps.orders


def test_the_end_is_told(steps: Steps) -> None:
    with pytest.raises(EndOfHistory, match="no step was taken yet"):
        _ = steps.event
    steps.until(10)
    with pytest.raises(EndOfHistory, match="event 10 was folded before event 10"):
        steps.until(10)
    with pytest.raises(EndOfHistory, match="no event of kind 'exited', code 7 is behind event 10"):
        steps.first(kind="exited", code=7)
    with pytest.raises(EndOfHistory, match="event 14 is the last one"):
        steps.next()


def test_recorded_is_what_was_ordered_that_day(replay: Replays, text: str) -> None:
    steps = replay(text.replace("-> stop shop.ini", "-> kill shop.ini"))
    steps.first(kind="operator_requested")
    assert "stop shop.ini" in steps.orders
    assert "kill" in [action.do for action in steps.recorded]


def test_a_file_is_found_beside_the_test(pytester: pytest.Pytester, text: str) -> None:
    folder = pytester.mkdir("tests")
    folder.joinpath("shop.history").write_text(text)
    folder.joinpath("test_shop.py").write_text(
        "def test_it(replay):\n"
        "    assert replay('shop.history').until(9).vassal == 'shop.ini'\n"
        "    assert replay.open('shop.history', after=9).next().seq == 10\n"
    )
    pytester.runpytest("tests").assert_outcomes(passed=2)


def test_a_journal_is_replayed_and_left_as_it_is(replay: Replays, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=100) as builder:
        busy_fleet(builder, 300, vassals=5)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    steps = replay(path)
    deaths = [event for event in steps if event.kind == "exited"]
    assert steps.seq == builder.seq
    assert len(deaths) > 3
    later = replay(str(path), after=250)
    assert later.seq == 250
    assert later.first(kind="exited").seq == next(each.seq for each in deaths if each.seq > 250)
    assert [later.actions, later.state.seq] == [later.recorded, later.seq]
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    with pytest.raises(NotFound, match="there is no event 999"):
        replay(path, after=999)


def test_steps_through_a_journal_end_before_a_damaged_row(replay: Replays, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        busy_fleet(builder, 50, vassals=5)
    sql("UPDATE event SET at = at + 1 WHERE seq = 20")(path)
    steps = replay(path)
    steps.until(19)
    with pytest.raises(Damaged, match="event 20 is not what was written"):
        steps.next()


def test_a_damaged_text_is_an_error(replay: Replays, tmp_path: Path) -> None:
    path = tmp_path / "shop.history"
    path.write_text(write(throttled()).replace("-> spawn", "x spawn", 1))
    with pytest.raises(Damaged, match="shop"):
        replay(path)
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "none.history")
