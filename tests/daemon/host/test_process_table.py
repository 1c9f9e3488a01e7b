"""The table of processes: a change of one costs no look at the others."""

from typing import Any

import pytest
from emperord.daemon.host.process_table import ProcessTable


class StandIn:
    """As much of a process as the table needs."""

    def __init__(self, number: int, pid: int) -> None:
        self.name, self.attempt, self.pid = f"{number}.ini", 1, pid
        self.end_ordered = False


def process(number: int, pid: int = 0) -> Any:
    return StandIn(number, pid or number + 1)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ProcessTable:
    """Of a thousand processes, which cannot be iterated over."""
    table = ProcessTable()
    for number in range(1000):
        table.add(process(number))
    assert len(table.take_changed()) == 1000

    def refuse(self: ProcessTable) -> None:
        raise AssertionError("all processes were looked at")

    monkeypatch.setattr(ProcessTable, "__iter__", refuse)
    return table


def test_only_what_changed_is_given_once(table: ProcessTable) -> None:
    new = process(1000)
    table.add(new)
    assert table.take_changed() == {new}
    assert table.take_changed() == set()
    table.note_change(new)
    table.remove(new)
    assert table.take_changed() == set()


def test_the_pids_of_all_are_known(table: ProcessTable) -> None:
    assert table.pids() == set(range(1, 1001))
    reused = process(1000, pid=7)
    table.add(reused)
    table.remove(reused)
    assert table.pids() == set(range(1, 1001))
    last = table.get("999.ini")
    assert last is not None
    table.remove(last)
    assert table.pids() == set(range(1, 1000))
