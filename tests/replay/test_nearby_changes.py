"""Changes around a moment, and changes that came together: by vassal, and only what was near."""

from pathlib import Path

import pytest
from emperord.journal.reading import open_journal
from emperord.replay import nearby_changes
from emperord.replay.change_groups import change_group
from journal_builder import MONITOR, building


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        for name in ("a.ini", "b.ini"):
            builder.up(name)  # 3 to 8
        builder.changed("a.ini", b"2\n")  # 9
        for name, text in (("b.ini", b"2\n"), ("b.ini", b"3\n")):
            builder.at -= 950_000_000  # 50 ms after the one before
            builder.changed(name, text)  # 10, 11
        builder.at += 5 * 10**9
        builder.changed("a.ini", b"3\n")  # 12
        builder.at += 5 * 10**9
        for name in ("c.ini", "b.ini", "a.ini"):  # 13 to 15, as a listing may have them
            builder.at -= 950_000_000
            builder.changed(name, b"4\n")
    return path


@pytest.mark.parametrize(
    ("upto", "told"),
    [
        pytest.param(
            15,
            [
                "changed: a.ini, b.ini, from dir:vassals (events 9-11)",
                "changed: a.ini, from dir:vassals (event 12)",
                "changed: a.ini, b.ini, c.ini, from dir:vassals (events 13-15)",
            ],
            id="all",
        ),
        pytest.param(
            10, ["changed: a.ini, b.ini, from dir:vassals (events 9-10)"], id="as of event 10"
        ),
    ],
)
def test_changes_that_are_far_apart_are_told_one_by_one(
    path: str, upto: int, told: list[str]
) -> None:
    with open_journal(path) as reader:
        row = reader.row(9)
        assert row is not None
        found = nearby_changes.changes(reader, row[1], upto)
    assert [str(each) for each in found if "change" in each.kind] == told


def test_a_listing_of_a_large_fleet_is_counted_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, group=500) as builder:
        first = builder.start() + 2
        for number in range(2_100):
            builder.at -= 999_000_000
            builder.added(f"app-{number:04}.ini")
        last = builder.seq
    with open_journal(path) as reader:
        row = reader.row(first)
        assert row is not None
        found = nearby_changes.changes(reader, row[1], last)
    some = "app-0000.ini, app-0001.ini, app-0002.ini, app-0003.ini and 2096 more"
    assert str(found[-1]) == f"added: {some}, from dir:vassals (events {first}-{last})"


def test_a_vassal_that_changed_twice_counts_once(path: str) -> None:
    with open_journal(path) as reader:
        found = change_group(reader, 10, "vassal_changed", MONITOR)
        assert str(found) == "one of 2 changed together (events 9-11)"
        assert change_group(reader, 12, "vassal_changed", MONITOR) is None


@pytest.mark.parametrize("others", [0, 40], ids=["near", "far apart"])
def test_a_long_group_is_found_from_each_of_its_events(tmp_path: Path, others: int) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, group=100) as builder:
        builder.start()
        builder.up("before.ini")
        names = [f"app-{number:02}.ini" for number in range(60)]
        for name in names:
            builder.at -= 950_000_000
            builder.added(name)
            for _ in range(others if name == "app-30.ini" else 0):
                builder.at -= 999_000_000
                builder.operator("reload", "before.ini")
        builder.up("after.ini")
    with open_journal(path) as reader:
        seqs = [row[0] for row in reader.rows() if row[4] in names]
        found = [change_group(reader, seq, "vassal_added", MONITOR) for seq in seqs]
    assert {str(each) for each in found} == {
        f"one of 60 added together (events {seqs[0]}-{seqs[-1]})"
    }
