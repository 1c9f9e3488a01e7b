"""The chain of a long journal is checked in a second process: the answer is the same."""

import shutil
import sys
from pathlib import Path

import pytest
from emperord.journal.errors import JournalError
from emperord.replay import beside
from emperord.replay.verify import lines, verify
from journal_builder import building, busy_fleet
from support.damage import EVENTS, IN_THE_FILE, Harm


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("beside") / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, EVENTS, 4)
    return path


def told(path: Path) -> list[str]:
    try:
        return list(lines(str(path), verify(str(path))))
    except JournalError as error:
        return [str(error)]


def test_a_whole_journal(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = told(pristine)
    monkeypatch.setattr(beside, "LONG", 10)
    results: list[beside.Audited | None] = []
    result = beside.Beside.result

    def noted(self: beside.Beside) -> beside.Audited | None:
        results.append(result(self))
        return results[-1]

    monkeypatch.setattr(beside.Beside, "result", noted)
    assert told(pristine) == alone
    assert [each and (each.findings, each.events) for each in results] == [(0, EVENTS)]


@pytest.mark.few(12)
@pytest.mark.parametrize("harm", [harm for harm, _ in IN_THE_FILE.values()], ids=IN_THE_FILE)
def test_damage_is_told_as_by_one_process(
    pristine: Path, tmp_path: Path, harm: Harm, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    harm(path)
    alone = told(path)
    monkeypatch.setattr(beside, "LONG", 10)
    assert told(path) == alone


def test_without_a_second_process_one_does_all(
    pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = told(pristine)
    monkeypatch.setattr(beside, "LONG", 10)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert told(pristine) == alone
