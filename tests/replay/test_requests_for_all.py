"""A request for all vassals is part of a vassal's story, however many events there are since."""

from pathlib import Path

import pytest
from emperord.replay import marks
from journal_builder import building
from support.replaying import asking

why = asking("why")


@pytest.mark.parametrize("name", ["b.ini", "a.ini"], ids=["at once", "after a wait for a slot"])
@pytest.mark.parametrize("over", [True, False], ids=["it is over", "it goes on"])
def test_a_reload_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, over: bool
) -> None:
    monkeypatch.setattr(marks, "_FAR", 10)
    path = str(tmp_path / "journal.db")
    # A snapshot ends what a fold of the last events can tell.
    with building(path, snapshot_every=20) as builder:
        builder.start(max_starting=1)
        for each in ("b.ini", "a.ini"):
            builder.added(each)
            builder.accepting(each)
        request = builder.operator("reload")
        builder.accepting("b.ini")  # this frees the slot
        if over:
            builder.accepting("a.ini")
        for _ in range(30):
            builder.event("monitor_failed", None, "pg://db", reason="refused")
            builder.event("monitor_recovered", None, "pg://db")
    told = why(path, name)
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    (asked,) = [line for line in lines if "operator_requested: reload by uid 1000" in line]
    assert asked.endswith(f"(event {request})")
    assert any("-> reload  (event" in line for line in lines)
