"""Checkpoints: a fold that orders the same and remembers something else is found."""

from pathlib import Path

import pytest
from emperord.daemon.core import starts, steps
from emperord.daemon.core.checkpoints import NEWEST
from emperord.replay.verify import lines, verify
from journal_builder import Builder, building


def stopped_slowly(builder: Builder) -> None:
    """A vassal is stopped between two checkpoints, and ends before its mercy is over."""
    builder.start()  # 1, 2
    builder.up("a.ini")  # 3 to 5
    builder.checkpoint()  # 6
    builder.operator("stop", "a.ini")  # 7
    builder.up("b.ini")  # 8 to 10
    builder.checkpoint()  # 11
    builder.exited("a.ini", code=0)  # 12
    builder.checkpoint()  # 13


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        stopped_slowly(builder)
    return path


def told(path: Path) -> str:
    return "\n".join(lines(str(path), verify(str(path))))


def test_states_are_compared(path: Path) -> None:
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.states.count, verdict.states.parted) == (0, 3, 0)
    assert "3 checkpoints" in told(path)
    assert "states are compared from event 6 on" in told(path)


def test_a_doubled_mercy_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It orders the same, as the process ends in time. Only the deadline is another."""
    monkeypatch.setattr(steps, "seconds", lambda number: int(number * 2e9))
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.diverged, verdict.states.parted) == (1, 0, 1)
    parting = verdict.states.parting
    assert parting is not None
    assert (parting.after, parting.until) == (6, 11)
    assert f"{path}: diverged: states part between the checkpoints 6 and 11" in told(path)


def test_a_journal_without_checkpoints_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.up("a.ini")
    assert verify(str(path)).exit_code == 0
    assert "states are not compared: there is no checkpoint" in told(path)


def test_a_projection_that_is_not_known_is_skipped_and_said(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.event("checkpoint", v=NEWEST + 1, digest="f" * 64)
        builder.up("a.ini")
        builder.checkpoint()
    verdict = verify(str(path))
    assert (verdict.exit_code, verdict.states.count) == (0, 1)
    assert f"checkpoints from event 3 on have projection {NEWEST + 1}" in told(path)


def test_a_difference_before_the_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        builder.start()
        builder.added("a.ini")
        builder.checkpoint()
    monkeypatch.setattr(starts, "seconds", lambda number: int(number * 2e9))
    assert "states part before the checkpoint 4, the first that is compared" in told(path)
