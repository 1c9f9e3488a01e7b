"""``report`` keeps the sums of a journal's segments: the next one says the same, sooner."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from emperord.journal.errors import Damaged
from emperord.journal.reading import open_journal
from emperord.replay import report, sums, tally, tally_segments
from emperord.replay.main import cli
from journal_builder import building, busy_fleet
from support.damage import ROW, rewrite, sql
from support.replaying import asking

from .test_report_segments import cut, facts

Told = dict[str, Any]
CACHE = "cache/emperord"
EXITED = 'UPDATE event SET body = \'{"attempt":4,"code":77}\' WHERE seq = 59'
run = asking("report")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with snapshots at 20, 40 and so on; event 59 is a death."""
    path = tmp_path_factory.mktemp("sums") / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, 200, 6)
    with closing(sqlite3.connect(path)) as db:
        deaths = [seq for (seq,) in db.execute("SELECT seq FROM event WHERE kind = 'exited'")]
    assert 59 in deaths
    return path


@pytest.fixture(autouse=True)
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, int]]:
    """The segments that were tallied, in a cache of this test's own."""
    made: list[tuple[int, int]] = []
    segment = tally_segments._segment

    def noted(reader: Any, window: Any, begin: int, end: int, resumed: bool) -> Any:
        made.append((begin, end))
        return segment(reader, window, begin, end, resumed)

    cut(monkeypatch, 40)
    monkeypatch.setattr(tally_segments, "_segment", noted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


def reported(path: Path) -> Told:
    with open_journal(str(path)) as reader:
        return facts(report.report(reader, None, None))


def folded(path: Path) -> Told:
    """By one fold of all, without anything that is kept."""
    with open_journal(str(path)) as reader:
        return facts(tally.fold(reader, report.window_of(reader, None, None)))


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / CACHE).glob("*"))


Work = list[tuple[int, int]]


def test_the_second_report_tallies_the_end_only(pristine: Path, work: Work) -> None:
    truth = folded(pristine)
    assert reported(pristine) == truth
    first = work.copy()
    work.clear()
    assert reported(pristine) == truth
    assert work == first[-1:]
    assert len(first) > 4


def test_a_copy_of_the_journal_has_the_same_sums(
    pristine: Path, tmp_path: Path, work: Work
) -> None:
    truth = reported(pristine)
    work.clear()
    assert reported(Path(shutil.copy(pristine, tmp_path / "copy.db"))) == truth
    assert len(work) == 1


def test_a_later_window_uses_those_that_are_whole_in_it(pristine: Path, work: Work) -> None:
    reported(pristine)
    work.clear()
    with open_journal(str(pristine)) as reader:
        window = report.window_of(reader, reader.row(95)[1], None)  # type: ignore[index]
        with sums.kept() as kept:
            found = tally_segments.tallied(reader, window, kept)
        assert found is not None
        assert facts(found) == facts(tally.fold(reader, window))
    assert [begin for begin, _ in work] == [80, work[-1][0]]


def test_a_journal_grows(tmp_path: Path, work: Work) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, 100, 6)
        builder.flush()
        reported(path)
        first = work.copy()
        work.clear()
        busy_fleet(builder, 240, 6)
    assert reported(path) == folded(path)
    assert not set(work) & set(first)


Harm = Callable[[Path], None]


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def altered(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("harm", [cut_short, altered, Path.unlink], ids=lambda harm: harm.__name__)
def test_a_damaged_file_counts_for_nothing(
    pristine: Path, tmp_path: Path, work: Work, harm: Harm
) -> None:
    truth = reported(pristine)
    known = files(tmp_path)
    harm(known[0])
    work.clear()
    assert reported(pristine) == truth
    assert len(work) == 2
    assert files(tmp_path) == known


def test_sums_of_other_code_count_for_nothing(
    pristine: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported(pristine)
    first = work.copy()
    work.clear()
    monkeypatch.setattr(sums, "source_digest", lambda: "another")
    reported(pristine)
    assert work == first


def test_without_the_source_no_sums_are_kept(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "source_digest", lambda: "")
    assert reported(pristine) == folded(pristine)
    assert files(tmp_path) == []


def test_sums_of_altered_rows_are_not_kept(pristine: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(pristine, tmp_path / "journal.db"))
    truth = folded(path)
    sql(EXITED)(path)
    with pytest.raises(Damaged, match="event 59 is not what was written"):
        reported(path)
    kept = len(files(tmp_path))
    shutil.copy(pristine, path)
    assert reported(path) == truth
    assert len(files(tmp_path)) > kept
    sql(EXITED)(path)
    assert reported(path) == truth


def test_salvage_keeps_nothing_and_uses_nothing(pristine: Path, tmp_path: Path, work: Work) -> None:
    path = Path(shutil.copy(pristine, tmp_path / "journal.db"))
    sql(EXITED)(path)
    result = CliRunner().invoke(cli, ["--journal", str(path), "--salvage", "report"])
    assert "without event 59" in result.stderr
    assert files(tmp_path) == []
    reported(pristine)
    work.clear()
    assert CliRunner().invoke(cli, ["--journal", str(pristine), "--salvage", "report"]).output
    assert len(work) > 1


def test_a_rewritten_journal_has_sums_of_its_own(pristine: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(pristine, tmp_path / "journal.db"))
    reported(path)
    before = len(files(tmp_path))

    def change(columns: list[object]) -> None:
        at = columns[1]
        assert isinstance(at, int)
        columns[1] = at + 1

    rewrite(path, change)
    assert ROW < 40
    assert reported(path) == folded(path)
    assert len(files(tmp_path)) > before


def open_to_others(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)


def a_link(folder: Path) -> None:
    folder.parent.mkdir()
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)


def a_file(folder: Path) -> None:
    folder.parent.write_text("")


@pytest.mark.parametrize("there", [open_to_others, a_link, a_file], ids=lambda each: each.__name__)
def test_a_folder_that_is_not_the_users_own_is_not_used(
    pristine: Path, tmp_path: Path, there: Harm
) -> None:
    there(tmp_path / CACHE)
    assert reported(pristine) == folded(pristine)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "{}/c"}, "c"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "{}/h"}, "h/.cache"),
        ({"XDG_CACHE_HOME": "", "HOME": "{}/h"}, "h/.cache"),
    ],
    ids=["told", "relative", "home"],
)
def test_where_they_are(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str], folder: str,
) -> None:  # fmt: skip
    for name, value in environ.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    reported(pristine)
    kept = tmp_path / folder / "emperord"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in kept.iterdir()} == {0o600}


def test_old_files_are_deleted(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported(pristine)
    old, newer, *_ = files(tmp_path)
    os.utime(old, (0, 0))
    with sums.kept() as kept:
        kept.tidy()
    assert not old.exists()
    assert newer.exists()
    monkeypatch.setattr(sums, "_MOST", newer.stat().st_size)
    os.utime(newer)
    with sums.kept() as kept:
        kept.tidy()
    assert files(tmp_path) == [newer]


def test_full_keeps_nothing_and_uses_nothing(pristine: Path, tmp_path: Path, work: Work) -> None:
    whole = run(pristine, "--full")
    assert files(tmp_path) == []
    assert run(pristine).stdout == whole.stdout
    assert files(tmp_path)
    work.clear()
    assert run(pristine, "--full").stdout == whole.stdout
    assert len(work) > 1
