"""``report`` has the segments of a long journal seen by all cores: it says what one fold says."""

import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from emperord.journal.events import Before, Ending
from emperord.journal.reading import open_journal
from emperord.journal.times import EventNumber
from emperord.replay import tally, tally_segments, tickets
from emperord.replay.report import window_of
from emperord.replay.sums import Sums
from emperord.replay.uptime import Report, Spell
from fold.test_properties import Life
from hypothesis import HealthCheck, settings
from journal_builder import SECOND, building, busy_fleet
from support.effort import examples
from support.long_lives import waits_for_a_client, write

# The first daemon has none before it.
ENDINGS: tuple[Ending | None, ...] = (
    None, "told", "replaced", "killed", "unknown", "killed", "replaced",
)  # fmt: skip


def facts(report: Report) -> dict[str, Any]:
    """All that a report knows, to be compared."""
    return {
        "fleet": (report.since, report.until, report.events),
        "daemons": (report.starts, report.breaks, report.gaps, report.unseen),
        "vassals": {name: of_spell(spell) for name, spell in sorted(report.spells.items())},
    }


def of_spell(spell: Spell) -> dict[str, Any]:
    told = {name: getattr(spell, name) for name in Spell.__slots__}
    told["leads"] = sorted(spell.leads)
    told["restored"] = list(spell.restored)
    told["outcomes"] = dict(sorted(spell.outcomes.items()))
    return told


def cut(patch: pytest.MonkeyPatch, segment: int, processes: int = 1) -> None:
    patch.setattr(tally_segments, "LONG", 1)
    patch.setattr(tally_segments, "SEGMENT", segment)
    patch.setattr(tickets, "MOST", processes)


def compare(path: Path, since: int, until: int) -> None:
    """Both ways, on the events from one to another; and again, with the sums that were kept."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with open_journal(str(path)) as reader:
            window = window_of(reader, EventNumber(since), EventNumber(until))
            truth = facts(tally.fold(reader, window))
            for _ in range(2):
                found = tally_segments.tallied(reader, window, Sums(folder))
                assert found is not None
                assert facts(found) == truth
    finally:
        os.close(folder)


@pytest.mark.parametrize("window", [(1, 300), (105, 300), (1, 215), (105, 215)], ids=str)
def test_a_busy_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: tuple[int, int]
) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, 300, 6)
    cut(monkeypatch, 40, processes=2)
    compare(path, *window)


def test_deploys_that_are_open_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=5) as builder:
        waits_for_a_client(builder)
        last = builder.seq
    cut(monkeypatch, 5)
    for until in (last, last - 12, last - 30):
        compare(path, 1, until)
        compare(path, 8, until)


def test_ends_of_daemons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=5) as builder:
        for how in ENDINGS:
            away = None if how == "unknown" else SECOND
            builder.start(before=None if how is None else Before(how=how, away=away))
            builder.up(f"{builder.seq}.ini")
        last = builder.seq
    cut(monkeypatch, 5)
    compare(path, 1, last)
    compare(path, 8, last - 6)


@pytest.mark.parametrize("events", [0, 7])
def test_an_upgrade_before_a_start_that_does_not_tell_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    """Segments begin before the request, and between it and the next start."""
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=5) as builder:
        for upgraded in (True, False, True):
            builder.start()
            builder.up(f"{builder.seq}.ini")
            if upgraded:
                builder.operator("upgrade")
            for _ in range(events):
                builder.event("pressure_observed", cpu=1)
        builder.start()
        last = builder.seq
    cut(monkeypatch, 5)
    compare(path, 1, last)
    with open_journal(str(path)) as reader:
        assert tally.fold(reader, window_of(reader, None, None)).breaks == 1


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
def test_where_no_other_process_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    path = tmp_path / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, 100, 6)
    cut(monkeypatch, 20, processes=2)
    monkeypatch.setattr(sys, "executable", program)
    with open_journal(str(path)) as reader:
        assert tally_segments.tallied(reader, window_of(reader, None, None)) is None


class Reported(Life):
    """The random lives of the fold's properties, and what the report says of them."""

    def teardown(self) -> None:
        self.world.turn_honest()
        events = [event for event, _ in self.world.journal]
        last = len(events)
        chance = random.Random(last)
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            path = Path(folder) / "journal.db"
            write(path, events, chance.choice((5, 10, 20)))
            cut(patch, chance.choice((5, 10, 30)))
            compare(path, 1, last)
            since, until = sorted((chance.randint(1, last), chance.randint(1, last)))
            compare(path, since, until)


TestReported = pytest.mark.search(Reported.TestCase)
TestReported.settings = settings(
    max_examples=examples(30),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
