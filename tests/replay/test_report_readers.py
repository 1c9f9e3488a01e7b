"""``report`` has two readers: the full fold, and one without it. They come to the same."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.core.actions import recorded
from emperord.daemon.core.deploys import Deploys
from emperord.daemon.core.fleet import Fleet, to_json
from emperord.journal import chain
from emperord.journal.events import KINDS, Event
from emperord.journal.reading import open_journal
from emperord.journal.store import Journal, Snapshot
from emperord.journal.times import EventNumber
from emperord.replay import follower, tally
from emperord.replay.report import window_of
from emperord.replay.uptime import Report, Spell
from fold.test_properties import Life
from hypothesis import HealthCheck, settings
from journal_builder import building, busy_fleet
from support.effort import examples


def facts(report: Report) -> dict[str, Any]:
    """All that a report knows, to be compared."""
    return {
        "fleet": (report.since, report.until, report.events),
        "daemons": (report.starts, report.breaks, report.gaps),
        "vassals": {
            name: told for name, spell in report.spells.items() if (told := spell_facts(spell))
        },
    }


def spell_facts(spell: Spell) -> dict[str, Any]:
    """Those of a vassal; none of one that was not there in the window."""
    told = {
        "times": (spell.up, spell.down, spell.off, spell.unknown),
        "outages": (spell.outages, spell.open, list(spell.restored), spell.longest),
        "deaths": spell.deaths,
        "outcomes": spell.outcomes,
        "leads": sorted(spell.leads),
    }
    return told if any(told["times"]) or spell.outcomes or spell.outages else {}  # type: ignore[arg-type]


def write(path: str, events: list[Event], snapshot_every: int) -> None:
    """A journal of these events, with deploys and snapshots."""
    fleet, deploys = Fleet(), Deploys()
    with Journal.open(path) as journal:
        for first in range(0, len(events), snapshot_every):
            rows: list[chain.Columns] = []
            for event in events[first : first + snapshot_every]:
                actions = recorded(deploys.take(fleet, event))
                body = chain.text(event.body)
                rows.append((*_columns(event), body, actions))
            snapshot = Snapshot(fleet.seq, to_json(fleet))
            journal.append(rows, None, snapshot, deploys.rows)
            deploys.touched.clear()


def _columns(event: Event) -> tuple[int, int, str, str | None, str | None, int | None]:
    return event.seq, event.at, event.kind, event.monitor, event.vassal, event.cause


def compare(path: str) -> None:
    """Both readers, on the whole journal and on parts of it."""
    with open_journal(path) as reader:
        last = reader.head.seq
        for since, until in ((1, last), (last // 3 + 1, last), (last // 2 + 1, last - last // 4)):
            window = window_of(reader, EventNumber(since), EventNumber(until))
            try:
                followed = follower.follow(reader, window)
            except follower.NotFollowed as error:  # then a report is folded
                (seq,) = error.args
                row = reader.row(seq)
                assert row is not None
                assert row[2] == "vassal_failed"
                continue
            assert facts(followed) == facts(tally.fold(reader, window))


class Reported(Life):
    """The random lives of the fold's properties, and what the report says of them."""

    def teardown(self) -> None:
        self.world.turn_honest()
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "journal.db")
            write(path, [event for event, _ in self.world.journal], 40)
            compare(path)


TestReported = pytest.mark.search(Reported.TestCase)
TestReported.settings = settings(
    max_examples=examples(40),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_both_readers_agree_on_a_busy_fleet(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, group=200, snapshot_every=1000) as builder:
        busy_fleet(builder, 3000, 20)
    compare(path)


def test_each_kind_of_event_was_considered() -> None:
    """A new kind may change the state of a vassal: then it needs a handler."""
    assert set(KINDS) == follower.KINDS
