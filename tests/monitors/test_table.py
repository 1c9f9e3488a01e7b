"""Readings of a whole source become listings, or parts where there is too much in them."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from emperord.journal.chain import digest
from emperord.monitors import table as table_module
from emperord.monitors.contract import Listing, Seen, Touched
from emperord.monitors.options import MonitorOptions
from emperord.monitors.polling import SourceFailed
from emperord.monitors.rows import Row
from emperord.monitors.table import Table


def test_a_table_remembers_what_was_listed_and_no_texts() -> None:
    table = Table(MonitorOptions(), {})

    def read(*rows: Row) -> Any:
        reading = table.reading()
        for row in rows:
            reading.add(row)
        return reading

    first = read(Row("a.ini", "one", 1)).listing().seen["a.ini"]
    read(Row("a.ini", "two", 2))  # given up before its listing was made
    again = read(Row("a.ini", "one", 1)).listing().seen["a.ini"]
    assert first.content == b"one"
    assert again.content is None
    assert again.spec is first.spec
    assert read().listing().seen == {}
    assert read(Row("a.ini", "one", 1)).listing().seen["a.ini"].content == b"one"


def test_the_first_of_two_rows_counts_and_the_second_is_refused() -> None:
    reading = Table(MonitorOptions(), {}).reading()
    for row in (Row("a.ini", "one", 1), Row(b"a.ini", "two", 2), Row("a.ini", None, 3)):
        reading.add(row)
    listing = reading.listing()
    assert isinstance(listing, Listing)
    assert listing.seen["a.ini"].content == b"one"
    assert listing.refused == {"a.ini": "the name is there twice; the first one counts"}


ONE, TWO = Row("a.ini", "one", 1), Row("a.ini", "two", 2)


def listed(table: Table, *rows: Row) -> Listing:
    reading = table.reading()
    reading.add_all(list(rows))
    listing = reading.listing()
    assert isinstance(listing, Listing)
    return listing


@pytest.mark.parametrize("former", [ONE, TWO], ids=["the first", "the second"])
def test_of_two_rows_the_one_that_counted_so_far_counts(former: Row) -> None:
    """PostgreSQL gives a row last once it was updated."""
    table = Table(MonitorOptions(), {})
    spec = listed(table, former).seen["a.ini"].spec
    for rows in ((ONE, TWO), (TWO, ONE), (TWO, ONE, ONE), (ONE, TWO)):
        listing = listed(table, *rows)
        assert listing.seen["a.ini"].spec == spec
        assert listing.refused == {"a.ini": "the name is there twice; the first one counts"}


def of_file(path: Path) -> Row:
    path.write_text("[uwsgi]\n")
    return Row(str(path), None, 3)


@pytest.mark.parametrize("former", [0, 1])
@pytest.mark.parametrize("kind", ["config", "file"])
def test_after_a_start_the_row_that_the_fleet_has_counts(
    tmp_path: Path, former: int, kind: str
) -> None:
    rows = [ONE, TWO]
    if kind == "file":
        file = of_file(tmp_path / "a.ini")
        rows = [file, Row(file.name, "two", 2)]
    name = rows[0].name
    known = listed(Table(MonitorOptions(), {}, files=True), rows[former]).seen[name].spec
    for order in (rows, rows[::-1]):
        table = Table(MonitorOptions(), {name: known}, files=True)
        assert listed(table, *order).seen[name].spec == known


def test_the_first_row_counts_although_it_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its user's room is used up. A row of that name by another user would have some."""
    monkeypatch.setattr(table_module, "MOST_HELD", 1000)
    table = Table(MonitorOptions(tyrant=True), {})
    every = [Row(f"{n}.ini", f"{n:300}", 1, 5001, 5001) for n in range(3)]
    every += [Row("dup.ini", "one", 1, 5001, 5001), Row("dup.ini", "two", 1, 5002, 5002)]
    told: dict[str, Seen] = {}
    for _ in range(5):
        reading = table.reading()
        reading.add_all(every)
        found = reading.listing()
        told.update(found.seen if isinstance(found, Listing) else {n.name: n.seen for n in found})
        assert "dup.ini" not in told or told["dup.ini"].spec.uid == 5001
    assert isinstance(found, Listing)
    assert found.seen["dup.ini"].spec.uid == 5001


def test_a_row_that_counted_so_far_may_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the part has none of its name."""
    monkeypatch.setattr(table_module, "MOST_HELD", 1000)
    known = listed(Table(MonitorOptions(), {}), TWO).seen["a.ini"].spec
    reading = Table(MonitorOptions(), {"a.ini": known}).reading()
    reading.add_all([ONE, Row("b.ini", "x" * 1001, 1), TWO])
    told = reading.listing()
    assert isinstance(told, tuple)
    assert [each.name for each in told] == ["b.ini"]


def test_new_configs_are_told_in_parts_where_they_are_too_much_to_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_module, "MOST_HELD", 1000)
    table = Table(MonitorOptions(), {})
    content = "x" * 600
    every = [Row(f"{name}.ini", content, 1) for name in "abcde"]

    def read() -> Any:
        reading = table.reading()
        reading.add_all(every)
        return reading.listing()

    first, second = read(), read()
    assert [each.name for each in first] == ["a.ini", "b.ini"]
    assert [each.name for each in second] == ["c.ini", "d.ini"]
    assert all(isinstance(each, Touched) and each.seen.content for each in first + second)
    last = read()
    assert isinstance(last, Listing)
    assert list(last.seen) == [row.name for row in every]
    assert [name for name, seen in last.seen.items() if seen.content] == ["e.ini"]


@pytest.mark.parametrize(
    "given",
    [int, str, lambda uid: str(uid).encode(), Decimal, float],
    ids=["int", "text", "bytes", "Decimal", "float"],
)
def test_a_part_has_room_for_each_user(
    monkeypatch: pytest.MonkeyPatch, given: Callable[[int], Any]
) -> None:
    """In tyrant mode a row does not wait until all earlier ones of another user were told."""
    monkeypatch.setattr(table_module, "MOST_HELD", 1000)
    table = Table(MonitorOptions(tyrant=True), {})
    content = "x" * 200
    many = [Row(f"a{n}.ini", content, 1, given(5001), 5001) for n in range(20)]
    single = Row("b.ini", content, 1, given(5002), 5002), Row("c.ini", content, 1, "5003", 5003)
    every = [*many, *single]
    reading = table.reading()
    reading.add_all(every)
    told = reading.listing()
    assert isinstance(told, tuple)
    assert [each.name for each in told] == ["a0.ini", "b.ini", "c.ini", "a1.ini", "a2.ini"]


def test_a_source_whose_new_configs_have_no_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "MOST_HELD", 1000)
    monkeypatch.setattr(table_module, "MOST_TOLD", 10_000)
    table = Table(MonitorOptions(), {})

    def read(start: int) -> None:
        reading = table.reading()
        reading.add_all([Row(f"{start + n}.ini", "x" * 600, 1) for n in range(10)])
        reading.listing()

    for start in range(0, 80, 10):  # each tells two
        read(start)
    with pytest.raises(SourceFailed, match="MiB of new configs"):
        read(80)


@pytest.mark.parametrize(
    ("limit", "most"), [("MOST_TOLD", 4000), ("MOST_ROWS", 6)], ids=["bytes", "rows"]
)
def test_each_text_is_told_although_the_source_failed_for_too_many(
    monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    """A row of a part that was not told is new to the next reading, and the source comes back."""
    monkeypatch.setattr(table_module, "MOST_HELD", 1000)
    monkeypatch.setattr(table_module, limit, most)
    table, told, failures = Table(MonitorOptions(), {}), dict[str, bytes](), 0
    every = [Row(f"{n:02}.ini", f"{n:600}", 1) for n in range(12)]
    for _ in range(20):
        reading = table.reading()
        reading.add_all(every[6:] if limit == "MOST_ROWS" and failures else every)
        try:
            found = reading.listing()
        except SourceFailed:
            failures += 1
            continue
        seen = found.seen if isinstance(found, Listing) else {n.name: n.seen for n in found}
        told.update((name, each.content) for name, each in seen.items() if each.content)
        if isinstance(found, Listing):
            break
    assert isinstance(found, Listing)
    assert failures >= 1
    assert {name: found.seen[name].spec.config for name in found.seen} == {
        name: digest(text) for name, text in told.items() if name in found.seen
    }


def test_a_reading_that_came_to_no_end_was_not_for_nothing() -> None:
    table = Table(MonitorOptions(), {})
    rows = [Row("a.ini", "one", 1), Row("b.ini", "two", 1)]
    table.reading().add_all(rows)
    understood = {name: told.seen for name, told in table.unfinished.items()}
    reading = table.reading()
    reading.add_all([rows[0], Row("b.ini", "other", 1)])
    listing = reading.listing()
    assert isinstance(listing, Listing)
    assert listing.seen["a.ini"] is understood["a.ini"]
    assert listing.seen["a.ini"].content == b"one"
    assert listing.seen["b.ini"].content == b"other"
    assert not table.unfinished
